#pragma once

/// The codec that lets a device do the work, and goes on with the processor when the device fails.

#include "kernels/codec.hpp"
#include "kernels/device/engine.hpp"

#include <cstddef>
#include <memory>

namespace novacron::kernels::device {

struct device_codec_options {
  /// Pages that are examined by one order, a multiple of sixteen; and how many orders are under way at once, two or
  /// more. Chosen: 4 x 512 blocks give each multiprocessor of an H100 the fourteen tables that fit into it.
  std::size_t batch_pages = 8192;
  std::size_t line_count = 4;
};

std::unique_ptr<codec> make_device_codec(std::shared_ptr<engine> by, device_codec_options options = {});

} // namespace novacron::kernels::device
