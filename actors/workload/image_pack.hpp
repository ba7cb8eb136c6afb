#pragma once

/// A directory becomes an image.

#include "actors/workload/image_config.hpp"
#include "actors/workload/image_error.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace novacron::workload {

struct pack_options {
  /// The name in the layout's index; an entry of that name is replaced, others stay.
  std::string name = "latest";
  /// All files belong to root unless this is set.
  bool keep_owners = false;
  /// The time of all files, so that equal content is an equal image; nothing keeps their own.
  std::optional<std::int64_t> modified = 0;
  bool compress = true;
  /// Empty is this host's.
  std::string architecture;
};

struct packed_image {
  /// Of the manifest.
  std::string digest;
  std::uint64_t size_bytes = 0;
};

/// Writes the OCI layout `layout` (made if it is not there) with an image of one layer that holds all of `rootfs`.
/// The same content gives the same bytes. Devices and sockets are left out. Waits while another one
/// writes there. Throws image_error.
packed_image pack_image(const std::filesystem::path& rootfs, const image_config& config,
                        const std::filesystem::path& layout, const pack_options& options = {});

} // namespace novacron::workload
