#include "actors/workload/usher_program.hpp"

#include <cstddef>

extern "C" const char novacron_usher_begin[];
extern "C" const char novacron_usher_end[];

namespace novacron::workload {

std::string_view usher_program() {
  return {novacron_usher_begin, static_cast<std::size_t>(novacron_usher_end - novacron_usher_begin)};
}

} // namespace novacron::workload
