#include "actors/workload/descriptor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace novacron::workload {

descriptor::~descriptor() {
  if (fd_ >= 0)
    ::close(fd_);
}

descriptor open_file(const std::filesystem::path& name, int flags) {
  auto file = descriptor{::open(name.c_str(), flags | O_CLOEXEC, 0600)};
  if (file.get() < 0)
    throw std::system_error{errno, std::system_category(), "cannot open " + name.string()};
  return file;
}

} // namespace novacron::workload
