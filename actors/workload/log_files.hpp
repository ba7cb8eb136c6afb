#pragma once

/// Reads the output of an instance from its segments; each is called by the offset of its first byte.

#include <cstdint>
#include <filesystem>
#include <string>

namespace novacron::workload {

struct log_part {
  std::string data;
  /// Where `data` begins; later than asked for when what was there before is gone already.
  std::int64_t offset = 0;
  [[nodiscard]] std::int64_t next() const { return offset + static_cast<std::int64_t>(data.size()); }
};

/// At most `limit` bytes from `offset` on; a negative offset counts from the end. Empty when nothing is there yet.
log_part read_log(const std::filesystem::path& directory, std::int64_t offset, std::size_t limit);

} // namespace novacron::workload
