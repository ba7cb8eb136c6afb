#pragma once

/// A fast checksum of any bytes: XXH64 of xxHash. Against damage, not against somebody who chooses the bytes.

#include <cstddef>
#include <cstdint>
#include <span>

namespace novacron::kernels {

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed = 0);

} // namespace novacron::kernels
