#include "actors/workload/template_files.hpp"

#include "actors/host/files.hpp"
#include "kernels/checksum.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <span>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;

constexpr auto page_bytes = std::size_t{4096};
constexpr auto block_bytes = std::size_t{1} << 20;
constexpr auto memory_file = "memory";
constexpr auto state_file = "state";
/// Written last.
constexpr auto facts_file = "template";

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error{errno, std::system_category(), what};
}

bool is_zero(std::span<const std::byte> page) {
  return page.front() == std::byte{0} && std::equal(page.begin() + 1, page.end(), page.begin());
}

/// Calls `what` with each page of the file that is not all zeros, and its number.
void each_page(int fd, const std::function<void(std::uint64_t number, std::span<const std::byte> page)>& what) {
  auto block = std::vector<std::byte>(block_bytes);
  auto at = off_t{0};
  while ((at = ::lseek(fd, at, SEEK_DATA)) >= 0) {
    at = at / static_cast<off_t>(page_bytes) * static_cast<off_t>(page_bytes);
    const auto count = ::pread(fd, block.data(), block.size(), at);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      break;
    const auto read = std::span{block}.first(static_cast<std::size_t>(count));
    for (auto i = std::size_t{0}; i < read.size(); i += page_bytes) {
      const auto page = read.subspan(i, std::min(page_bytes, read.size() - i));
      if (!is_zero(page))
        what(static_cast<std::uint64_t>(at) / page_bytes + i / page_bytes, page);
    }
    at += count;
  }
  // ENXIO: nothing but a hole follows.
  if (at < 0 && errno != ENXIO)
    fail("cannot read the memory of a template");
}

void write_at(int fd, std::span<const std::byte> bytes, off_t at) {
  while (!bytes.empty()) {
    const auto count = ::pwrite(fd, bytes.data(), bytes.size(), at);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      fail("cannot write the memory of a template");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    at += count;
  }
}

/// Copies what is not zero, and returns a checksum of all of it.
std::uint64_t copy_pages(int from, int to) {
  auto sum = std::uint64_t{0};
  each_page(from, [&](std::uint64_t number, std::span<const std::byte> page) {
    sum = kernels::checksum(page, sum + number);
    write_at(to, page, static_cast<off_t>(number * page_bytes));
  });
  return sum;
}

std::uint64_t checksum(std::string_view bytes) {
  return kernels::checksum(std::as_bytes(std::span{bytes}));
}

std::uint64_t allocated(const fs::path& name) {
  struct stat facts = {};
  return ::stat(name.c_str(), &facts) == 0 ? static_cast<std::uint64_t>(facts.st_blocks) * 512 : 0;
}

struct record {
  template_facts facts;
  std::uint64_t memory_sum = 0;
  std::uint64_t state_sum = 0;
};

std::string text_of(const record& x) {
  const auto& y = x.facts;
  return json{{"key", y.key},           {"tenant", y.tenant},   {"small", y.small},
              {"network", y.network},   {"cpus", y.cpus},       {"memory_bytes", y.memory_bytes},
              {"bytes", y.bytes},       {"made_ms", y.made_ms}, {"stamp_khz", y.stamp_khz},
              {"memory", x.memory_sum}, {"state", x.state_sum}}
             .dump(1) +
         "\n";
}

std::optional<record> read_record(const fs::path& directory) {
  const auto text = host::read_file(directory / facts_file, 64 << 10);
  const auto x = text ? json::parse(*text, nullptr, false) : json{};
  try {
    auto found = record{};
    auto& y = found.facts;
    x.at("key").get_to(y.key);
    x.at("tenant").get_to(y.tenant);
    x.at("small").get_to(y.small);
    x.at("network").get_to(y.network);
    x.at("cpus").get_to(y.cpus);
    x.at("memory_bytes").get_to(y.memory_bytes);
    x.at("bytes").get_to(y.bytes);
    x.at("made_ms").get_to(y.made_ms);
    x.at("stamp_khz").get_to(y.stamp_khz);
    x.at("memory").get_to(found.memory_sum);
    x.at("state").get_to(found.state_sum);
    return found;
  } catch (const json::exception&) {
    return {};
  }
}

} // namespace

descriptor make_guest_memory(std::uint64_t bytes) {
  auto memory = descriptor{::memfd_create("novacron-guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (memory.get() < 0 || ::ftruncate(memory.get(), static_cast<off_t>(bytes)) != 0)
    fail("cannot make memory for a guest");
  return memory;
}

std::uint64_t write_template(const fs::path& directory, const template_facts& facts, int memory,
                             std::string_view state) {
  auto whole = record{.facts = facts, .state_sum = checksum(state)};
  {
    const auto file = open_file(directory / memory_file, O_RDWR | O_CREAT | O_TRUNC);
    if (::ftruncate(file.get(), static_cast<off_t>(facts.memory_bytes)) != 0)
      fail("cannot make the memory of a template");
    whole.memory_sum = copy_pages(memory, file.get());
  }
  host::replace_file(directory / state_file, state);
  whole.facts.bytes = allocated(directory / memory_file) + allocated(directory / state_file);
  host::replace_file(directory / facts_file, text_of(whole));
  return whole.facts.bytes;
}

std::optional<template_facts> read_facts(const fs::path& directory) {
  const auto found = read_record(directory);
  return found ? std::optional{found->facts} : std::nullopt;
}

std::shared_ptr<const ready_template> load_template(const fs::path& directory) {
  const auto known = read_record(directory);
  if (!known)
    throw std::runtime_error{"what it is cannot be read"};
  auto made = std::make_shared<ready_template>();
  made->facts = known->facts;
  const auto file = open_file(directory / memory_file, O_RDONLY);
  if (fs::file_size(directory / memory_file) != known->facts.memory_bytes)
    throw std::runtime_error{"its memory is not as large as it was"};
  made->memory = make_guest_memory(known->facts.memory_bytes);
  if (copy_pages(file.get(), made->memory.get()) != known->memory_sum)
    throw std::runtime_error{"its memory is not what it was"};
  constexpr auto seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  if (::fcntl(made->memory.get(), F_ADD_SEALS, seals) != 0)
    fail("cannot seal the memory of a template");
  const auto state = host::read_file(directory / state_file).value_or("");
  if (checksum(state) != known->state_sum)
    throw std::runtime_error{"its state is not what it was"};
  made->state = make_guest_memory(state.size());
  write_at(made->state.get(), std::as_bytes(std::span{state}), 0);
  if (::fcntl(made->state.get(), F_ADD_SEALS, seals) != 0)
    fail("cannot seal the state of a template");
  // It will not be read again soon, and is in memory once more.
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  return made;
}

descriptor open_state(const ready_template& from) {
  return open_file(fmt::format("/proc/self/fd/{}", from.state.get()), O_RDONLY);
}

descriptor copy_memory(const ready_template& from) {
  auto memory = make_guest_memory(from.facts.memory_bytes);
  copy_pages(from.memory.get(), memory.get());
  return memory;
}

} // namespace novacron::workload
