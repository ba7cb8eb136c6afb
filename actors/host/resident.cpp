#include "actors/host/resident.hpp"

#include <sys/mman.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>

namespace novacron::host {

namespace {

/// A mapping of a file as /proc/self/smaps tells of it.
struct mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool of_file = false;
  bool writable = false;
  /// Kilobytes that differ from the file (relocated data, for one): those must stay.
  std::uint64_t changed = 0;
};

void release(const mapping& x) {
  if (x.of_file && !x.writable && x.changed == 0)
    ::madvise(reinterpret_cast<void*>(x.begin), x.end - x.begin, MADV_DONTNEED);
}

} // namespace

void release_startup_code() {
  auto maps = std::ifstream{"/proc/self/smaps"};
  auto now = mapping{};
  for (auto line = std::string{}; std::getline(maps, line);) {
    auto next = mapping{};
    char rights[5] = {};
    auto kilobytes = std::uint64_t{0};
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s", &next.begin, &next.end, rights) == 3) {
      release(now);
      now = next;
      now.of_file = line.find(" /") != line.npos;
      now.writable = std::string_view{rights}.find('w') != std::string_view::npos;
    } else if (std::sscanf(line.c_str(), "Private_Dirty: %" SCNu64, &kilobytes) == 1
               || std::sscanf(line.c_str(), "Anonymous: %" SCNu64, &kilobytes) == 1
               || std::sscanf(line.c_str(), "Swap: %" SCNu64, &kilobytes) == 1) {
      now.changed += kilobytes;
    }
  }
  release(now);
}

} // namespace novacron::host
