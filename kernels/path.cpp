#include "kernels/path.hpp"

#include <array>
#include <cstddef>

namespace novacron::kernels {
namespace {

struct found {
  std::array<path, 4> all{};
  std::size_t count = 0;
  void add(path x) { all[count++] = x; }
};

found look() {
  auto here = found{};
  here.add(path::scalar);
#if defined(__aarch64__)
  here.add(path::neon);
#elif defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) {
    here.add(path::avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      here.add(path::avx512);
  }
#endif
  return here;
}

const found& here() {
  static const auto once = look();
  return once;
}

} // namespace

std::string_view name(path x) {
  switch (x) {
    case path::neon: return "neon";
    case path::avx2: return "avx2";
    case path::avx512: return "avx512";
    case path::scalar: break;
  }
  return "scalar";
}

std::span<const path> paths() {
  return {here().all.data(), here().count};
}

path best_path() {
  return paths().back();
}

} // namespace novacron::kernels
