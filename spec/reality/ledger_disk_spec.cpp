/// The ledger on disks that are full, torn and damaged.

#include "spec/reality/ledger_fixture.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>

#include <iostream>

using namespace spec;

namespace {

/// A small disk of its own; not there when this process may not mount.
struct small_disk {
  fs::path path;
  bool there = false;
  explicit small_disk(fs::path where) : path{std::move(where)} {
    fs::create_directories(path);
    there = ::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=80m") == 0;
  }
  ~small_disk() {
    if (there)
      ::umount2(path.c_str(), MNT_DETACH);
  }
  fs::path filler() const { return path / "filler"; }
  void fill() const {
    const auto fd = ::open(filler().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const auto block = std::string(64 * 1024, 'x');
    while (::write(fd, block.data(), block.size()) > 0)
      ;
    ::close(fd);
  }
  void empty() const { fs::remove(filler()); }
};

ledger::answer<wire::LedgerApplied> try_put(ledger::voter_group& group, const std::string& key, const std::string& value) {
  auto hint = std::size_t{0};
  return group.propose(ledger::put(key, value), 1s, hint);
}

/// The newest file of the log whose name begins like this.
fs::path log_file(const fs::path& directory, const std::string& prefix, bool closed) {
  auto newest = fs::path{};
  for (const auto& file : fs::directory_iterator{directory}) {
    const auto name = file.path().filename().string();
    const auto fits = closed ? std::isdigit(static_cast<unsigned char>(name[0])) != 0 : name.starts_with(prefix);
    if (fits && (newest.empty() || fs::last_write_time(file) >= fs::last_write_time(newest)))
      newest = file.path();
  }
  return newest;
}

std::string read_whole(const fs::path& file) {
  auto in = std::ifstream{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

void write_whole(const fs::path& file, const std::string& bytes) { std::ofstream{file, std::ios::binary} << bytes; }

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("a full disk refuses writes, serves reads, and is forgotten when space returns") {
  auto where = directory{};
  auto disk = small_disk{where.path / "disk"};
  if (!disk.there) {
    std::cout << "skipped: this process may not mount a small disk\n";
    return;
  }
  // With the guard that looks ahead, and without: then the library itself finds the disk full.
  for (const auto reserve : {std::uint64_t{32} << 20, std::uint64_t{0}}) {
    CAPTURE(reserve);
    auto group = ledger::voter_group{{.program = program,
                                      .directory = disk.path / std::to_string(reserve),
                                      .count = 1,
                                      .server = {.free_bytes_min = reserve, .segment_bytes = 1u << 20}}};
    group.start_all();
    REQUIRE(put(group, "before", "1"));
    disk.fill();
    auto refused = ledger::answer<wire::LedgerApplied>{};
    auto written = 0;
    // What was allocated ahead is still written to.
    CHECK(eventually([&] {
      refused = try_put(group, "full/" + std::to_string(written), std::string(100'000, 'x'));
      written += refused.ok;
      return !refused.ok && refused.kind == fault::storage;
    }));
    CHECK(refused.kind == fault::storage);
    CHECK(count(group, "before") == 1);
    CHECK(count(group, "full/") >= written);
    CHECK(group.status(0).state() == (reserve > 0 ? "read-only: disk full" : group.status(0).state()));

    group.kill(0, SIGKILL);
    group.reap(0);
    group.start(0);
    CHECK(eventually([&] { return count(group, "before") == 1; }));

    disk.empty();
    CHECK(eventually([&] { return try_put(group, "after", "2").ok; }, 20s));
    CHECK(count(group, "full/") >= written);
    group.kill(0, SIGKILL);
    group.reap(0);
    group.start(0);
    CHECK(eventually([&] { return count(group, "after") == 1; }));
  }
}

SCENARIO("a torn last write is dropped and nothing else") {
  auto where = directory{};
  auto group = ledger::voter_group{{.program = program, .directory = where.path, .count = 1}};
  group.start_all();
  for (auto i = 0; i < 10; ++i)
    REQUIRE(put(group, "key/" + std::to_string(i), std::string(1000, 'x')));
  group.kill(0, SIGKILL);
  group.reap(0);
  const auto directory_of = group.options(0).directory;
  // The one that was being written to is the lowest in number.
  auto open = directory_of / "open-1";
  REQUIRE(fs::exists(open));
  auto bytes = read_whole(open);
  auto end = bytes.find_last_not_of('\0') + 1;
  WHEN("rubbish stands where the next entry was being written") {
    end = (end + 7) / 8 * 8;
    for (auto i = std::size_t{0}; i < 300; ++i)
      bytes[end + i] = static_cast<char>(17 + i * 31);
    write_whole(open, bytes);
    group.start(0);
    CHECK(count(group, "key/") == 10);
    CHECK(put(group, "key/next", "x"));
  }
  WHEN("the last entry itself is cut off in the middle") {
    for (auto i = end - 500; i < end; ++i)
      bytes[i] = '\0';
    write_whole(open, bytes);
    group.start(0);
    CHECK(count(group, "key/") == 9);
    CHECK(put(group, "key/next", "x"));
  }
  WHEN("the segment was cut short") {
    fs::resize_file(open, end);
    group.start(0);
    CHECK(count(group, "key/") == 10);
    CHECK(put(group, "key/next", "x"));
  }
}

SCENARIO("a log that lost acknowledged entries does not come up as if nothing had happened") {
  auto where = directory{};
  auto group = ledger::voter_group{{.program = program, .directory = where.path, .count = 1, .server = {.segment_bytes = 1u << 20}}};
  group.start_all();
  for (auto i = 0; i < 30; ++i)
    REQUIRE(put(group, "key/" + std::to_string(i), std::string(100'000, 'x')));
  group.kill(0, SIGKILL);
  group.reap(0);
  const auto closed = log_file(group.options(0).directory, "", true);
  REQUIRE_FALSE(closed.empty());
  fs::resize_file(closed, fs::file_size(closed) / 2);
  group.start(0);
  CHECK(eventually([&] { return group.status(0, 500ms).state().find("cannot be loaded") != std::string::npos; }));
  const auto refused = try_put(group, "key/x", "x");
  CHECK_FALSE(refused.ok);
}

TEST_SUITE_END();
