#pragma once

/// Measures the kernels on a device, beside what its memory and its bus could do at best.

#include "kernels/bench.hpp"
#include "kernels/device/device_codec.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace novacron::kernels::device {

struct device_bench_options {
  unsigned rounds = 9;
  /// A gigabyte: far more than the caches of a device hold.
  std::size_t page_count = 262144;
  std::uint64_t seed = 1;
  device_codec_options codec;
  /// As many codecs as a migration has streams, each with a thread and a part of the memory.
  std::size_t stream_count = 8;
};

/// Rates are bytes of pages per second by the clock on the wall. Throws a device_fault when the device fails.
std::vector<bench_figure> bench_device(const std::shared_ptr<engine>& by, const device_bench_options& options);

} // namespace novacron::kernels::device
