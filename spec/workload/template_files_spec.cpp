#include "actors/workload/template_files.hpp"

#include "actors/host/files.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>

using namespace novacron;
using namespace novacron::workload;
namespace fs = std::filesystem;

namespace {

constexpr auto memory_bytes = std::uint64_t{8} << 20;

struct scratch {
  fs::path top;
  scratch() {
    auto pattern = (fs::temp_directory_path() / "novacron-spec-XXXXXX").string();
    top = ::mkdtemp(pattern.data());
  }
  ~scratch() { fs::remove_all(top); }
};

std::string content_of(int fd, std::uint64_t bytes) {
  auto text = std::string(bytes, '\0');
  REQUIRE(::pread(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(bytes));
  return text;
}

/// Some pages of noise, a page with one byte, and holes.
descriptor some_memory() {
  auto memory = make_guest_memory(memory_bytes);
  auto chance = std::mt19937{3};
  auto page = std::string(4096, '\0');
  for (const auto at : {0, 5, 6, 700, 2047}) {
    for (auto& byte : page)
      byte = static_cast<char>(chance());
    REQUIRE(::pwrite(memory.get(), page.data(), page.size(), at * 4096) == 4096);
  }
  REQUIRE(::pwrite(memory.get(), "x", 1, 1000 * 4096 + 17) == 1);
  return memory;
}

template_facts facts() {
  return {.key = "sandbox-8m-0",
          .tenant = "acme",
          .small = true,
          .network = true,
          .cpus = 3,
          .memory_bytes = memory_bytes,
          .made_ms = 5,
          .stamp_khz = 2'100'000};
}

void flip(const fs::path& file, std::uint64_t at) {
  auto text = host::read_file(file).value();
  text.at(at) = static_cast<char>(text.at(at) ^ 1);
  std::ofstream{file, std::ios::binary} << text;
}

} // namespace

SCENARIO("a template comes back from the disk as it was, and takes no more than what is in it") {
  const auto place = scratch{};
  const auto memory = some_memory();
  const auto bytes = write_template(place.top, facts(), memory.get(), "state of its devices");
  CHECK(bytes > 6 * 4096);
  CHECK(bytes < memory_bytes / 2);
  const auto x = load_template(place.top);
  CHECK(x->facts.key == facts().key);
  CHECK(x->facts.tenant == "acme");
  CHECK(x->facts.small);
  CHECK(x->facts.network);
  CHECK(x->facts.cpus == 3);
  CHECK(x->facts.bytes == bytes);
  CHECK(content_of(x->memory.get(), memory_bytes) == content_of(memory.get(), memory_bytes));
  CHECK(content_of(copy_memory(*x).get(), memory_bytes) == content_of(memory.get(), memory_bytes));
  // Each reads the state from its beginning.
  for (auto i = 0; i < 2; ++i) {
    const auto state = open_state(*x);
    auto text = std::string(100, '\0');
    const auto count = ::read(state.get(), text.data(), text.size());
    CHECK(text.substr(0, static_cast<std::size_t>(count)) == "state of its devices");
  }
}

SCENARIO("nobody who has the memory of a template can change it") {
  const auto place = scratch{};
  write_template(place.top, facts(), some_memory().get(), "state");
  const auto x = load_template(place.top);
  const auto fd = x->memory.get();
  CHECK(::pwrite(fd, "y", 1, 0) == -1);
  CHECK(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1);
  CHECK(::ftruncate(fd, 4096) == -1);
  CHECK(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
  auto* own = static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
  REQUIRE(own != MAP_FAILED);
  const auto before = *own;
  *own = static_cast<char>(before + 1);
  CHECK(content_of(fd, 1)[0] == before);
  ::munmap(own, 4096);
}

SCENARIO("damage to a template is found, wherever it is") {
  const auto place = scratch{};
  const auto memory = some_memory();
  const auto fresh = [&] { write_template(place.top, facts(), memory.get(), "state"); };
  const auto broken = [&] {
    CHECK_THROWS_AS(load_template(place.top), std::runtime_error);
    fresh();
    CHECK_NOTHROW(load_template(place.top));
  };
  fresh();
  for (const auto at : {0u, 4095u, 5u * 4096, 700u * 4096 + 1, 1000u * 4096 + 17, 2048u * 4096 - 1}) {
    flip(place.top / "memory", at);
    broken();
  }
  // Where nothing was.
  flip(place.top / "memory", 300 * 4096);
  broken();
  flip(place.top / "state", 2);
  broken();
  fs::resize_file(place.top / "memory", memory_bytes - 4096);
  broken();
  fs::resize_file(place.top / "memory", memory_bytes + 4096);
  broken();
  fs::remove(place.top / "state");
  broken();
  fs::remove(place.top / "memory");
  broken();
  for (const auto* text : {"", "{}", "[1]", "nonsense", R"({"key": 7})"}) {
    host::replace_file(place.top / "template", text);
    CHECK_FALSE(read_facts(place.top));
    broken();
  }
}
