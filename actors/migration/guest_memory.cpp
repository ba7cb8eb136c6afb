#include "actors/migration/guest_memory.hpp"

#include "actors/host/files.hpp"
#include "actors/migration/channel.hpp"
#include "kernels/page.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

namespace novacron::migration {
namespace {

/// As the links of descriptors begin that are a guest's memory: QEMU's memory-backend-memfd, and the copy that a clone
/// was given of its template's.
constexpr auto memory_names =
    std::array{std::string_view{"/memfd:memory-backend-memfd"}, std::string_view{"/memfd:novacron-guest-memory"}};

bool names_memory(std::string_view text) {
  return std::ranges::any_of(memory_names, [&](auto name) { return text.find(name) != text.npos; });
}

std::system_error wrong(const char* what) {
  return {errno, std::generic_category(), what};
}

} // namespace

std::unique_ptr<guest_memory> guest_memory::map(int fd) {
  struct stat about = {};
  if (::fstat(fd, &about) != 0) {
    const auto error = wrong("the guest's memory cannot be looked at");
    ::close(fd);
    throw error;
  }
  const auto size = static_cast<std::size_t>(about.st_size) / kernels::page_size * kernels::page_size;
  auto* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) {
    const auto error = wrong("the guest's memory cannot be mapped");
    ::close(fd);
    throw error;
  }
  return std::unique_ptr<guest_memory>{new guest_memory{fd, {static_cast<std::byte*>(at), size}}};
}

std::unique_ptr<guest_memory> guest_memory::of_process(pid_t pid) {
  // What is mapped but not shared is the memory of a template, not what the guest has written.
  find_mapping(pid);
  auto error = std::error_code{};
  for (const auto& each : std::filesystem::directory_iterator{fmt::format("/proc/{}/fd", pid), error}) {
    const auto name = std::filesystem::read_symlink(each.path(), error).string();
    if (error || !name.starts_with('/') || !names_memory(name))
      continue;
    const auto fd = ::open(each.path().c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0)
      throw wrong("the guest's memory cannot be opened");
    return map(fd);
  }
  throw migration_error{fmt::format("process {} has no guest memory that can be shared; start the guest with "
                                    "memory-backend-memfd,share=on",
                                    pid)};
}

guest_memory::~guest_memory() {
  ::munmap(bytes_.data(), bytes_.size());
  ::close(fd_);
}

std::uint64_t guest_memory::page_count() const {
  return bytes_.size() / kernels::page_size;
}

void guest_memory::add_populated(page_set& into) const {
  const auto end = static_cast<off_t>(bytes_.size());
  for (auto at = off_t{0}; at < end;) {
    const auto begin = ::lseek(fd_, at, SEEK_DATA);
    if (begin < 0 && errno == ENXIO)
      return;
    const auto hole = begin < 0 ? begin : ::lseek(fd_, begin, SEEK_HOLE);
    if (hole < 0)
      throw wrong("the guest's memory cannot be looked through");
    const auto first = static_cast<std::uint64_t>(begin) / kernels::page_size;
    const auto last = (static_cast<std::uint64_t>(hole) + kernels::page_size - 1) / kernels::page_size;
    into.insert({first, last - first});
    at = hole;
  }
}

void guest_memory::clear() const {
  if (::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes_.size())) != 0)
    throw wrong("the guest's memory cannot be cleared");
}

void guest_memory::fill(std::size_t offset, std::span<const std::byte> pages) const {
  while (!pages.empty()) {
    const auto count = ::pwrite(fd_, pages.data(), pages.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      throw wrong("the guest's memory cannot be filled");
    offset += static_cast<std::size_t>(count);
    pages = pages.subspan(static_cast<std::size_t>(count));
  }
}

guest_mapping find_mapping(pid_t pid) {
  const auto maps = host::read_file(fmt::format("/proc/{}/maps", pid)).value_or("");
  auto found = guest_mapping{};
  auto is_private = false;
  for (auto at = std::size_t{0}; at < maps.size();) {
    const auto feed = std::min(maps.find('\n', at), maps.size());
    const auto line = std::string_view{maps}.substr(at, feed - at);
    at = feed + 1;
    if (!names_memory(line))
      continue;
    // "BEGIN-END rwxs ..."
    if (const auto rights = line.find(' '); rights != line.npos && line.substr(rights + 4, 1) == "p") {
      is_private = true;
      continue;
    }
    auto begin = std::uint64_t{0};
    auto end = std::uint64_t{0};
    const auto dash = line.find('-');
    std::from_chars(line.data(), line.data() + dash, begin, 16);
    std::from_chars(line.data() + dash + 1, line.data() + line.size(), end, 16);
    if (found.size > 0 && found.begin + found.size != begin)
      throw migration_error{fmt::format("process {} has its guest's memory in several pieces", pid)};
    found.begin = found.size > 0 ? found.begin : begin;
    found.size += end - begin;
  }
  if (found.size == 0 && is_private)
    throw migration_error{"the guest shares its memory with the template that it was cloned from, so what it writes "
                          "cannot be read from outside; start it on a node with templates = \"0\" in nodes.toml"};
  if (found.size == 0)
    throw migration_error{fmt::format("process {} has no guest memory that can be shared", pid)};
  return found;
}

} // namespace novacron::migration
