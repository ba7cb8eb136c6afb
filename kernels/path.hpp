#pragma once

/// Which instructions the kernels use on this processor.

#include <span>
#include <string_view>

namespace novacron::kernels {

/// All paths decide alike, bit for bit; they differ in speed only.
enum class path { scalar, neon, avx2, avx512 };

std::string_view name(path x);

/// The paths this machine can run, slowest first. `scalar` is always there.
std::span<const path> paths();

/// The last of paths().
path best_path();

} // namespace novacron::kernels
