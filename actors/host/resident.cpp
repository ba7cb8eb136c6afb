#include "actors/host/resident.hpp"

#include <sys/mman.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

namespace novacron::host {

void release_startup_code() {
  auto maps = std::ifstream{"/proc/self/maps"};
  for (auto line = std::string{}; std::getline(maps, line);) {
    auto begin = std::uintptr_t{0};
    auto end = std::uintptr_t{0};
    char rights[5] = {};
    // Only code of files: data behind "r--p" may have been relocated, and would be lost.
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, rights) == 3
        && std::string{rights} == "r-xp" && line.find(" /") != line.npos)
      ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

} // namespace novacron::host
