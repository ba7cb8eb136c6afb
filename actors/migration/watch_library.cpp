#include "actors/migration/watch_library.hpp"

#include "actors/host/files.hpp"

#include <string_view>

extern "C" const char novacron_watch_begin[];
extern "C" const char novacron_watch_end[];

namespace novacron::migration {

std::filesystem::path write_watch_library(const std::filesystem::path& directory) {
  const auto content = std::string_view{novacron_watch_begin, novacron_watch_end};
  auto path = directory / "novacron-watch.so";
  // What runs has it mapped: it is replaced, never written to.
  if (host::read_file(path) != content)
    host::replace_file(path, content);
  return path;
}

} // namespace novacron::migration
