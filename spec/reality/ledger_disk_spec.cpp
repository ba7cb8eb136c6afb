/// The ledger on disks that are full, torn and damaged.

#include "spec/reality/ledger_fixture.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <atomic>
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

/// Until it ends, what this process starts can be slowed down when it writes to the disk of a directory.
class slow_disk {
public:
  explicit slow_disk(const fs::path& directory) {
    struct stat about {};
    ::stat(directory.c_str(), &about);
    const auto number = std::to_string(major(about.st_dev)) + ":" + std::to_string(minor(about.st_dev));
    // The first kind of control groups, and the second.
    if (!join("/sys/fs/cgroup/blkio", ":blkio:", "blkio.throttle.write_iops_device", number + " "))
      join("/sys/fs/cgroup", "0::", "io.max", number + " wiops=");
  }
  ~slow_disk() {
    if (own_.empty())
      return;
    write(before_ / "cgroup.procs", "0");
    // Those that were started in it are gone, or go with it.
    std::error_code problem;
    for (auto tries = 0; tries < 100 && !fs::remove(own_, problem); ++tries)
      std::this_thread::sleep_for(10ms);
  }
  slow_disk(const slow_disk&) = delete;
  slow_disk& operator=(const slow_disk&) = delete;
  bool there() const { return !own_.empty(); }
  void slow_down(unsigned writes_per_second) const {
    REQUIRE(write(own_ / knob_, disk_ + std::to_string(writes_per_second)));
  }

private:
  static bool write(const fs::path& file, const std::string& text) {
    const auto fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
    const auto done = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(fd);
    return done;
  }
  /// The group of this process, below `above`.
  static fs::path here(const fs::path& above, const std::string& mark) {
    auto in = std::ifstream{"/proc/self/cgroup"};
    for (auto line = std::string{}; std::getline(in, line);)
      if (const auto at = line.find(mark); at != line.npos)
        return above.string() + line.substr(at + mark.size());
    return above;
  }
  bool join(const fs::path& above, const std::string& mark, const std::string& knob, const std::string& disk) {
    const auto own = above / ("novacron-spec-" + std::to_string(::getpid()));
    auto problem = std::error_code{};
    if (!fs::exists(above / "cgroup.procs", problem) || !fs::create_directory(own, problem))
      return false;
    before_ = here(above, mark);
    knob_ = knob;
    disk_ = disk;
    if (write(own / knob, disk + "1000000") && write(own / "cgroup.procs", "0")) {
      own_ = own;
      return true;
    }
    fs::remove(own, problem);
    return false;
  }

  fs::path before_;
  fs::path own_;
  std::string knob_;
  std::string disk_;
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
    // Without it the library notices by itself, and tries again now and then.
    if (reserve > 0)
      CHECK(group.status(0).state() == "read-only: disk full");

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

SCENARIO("a ledger that finds its disk full, with nothing put aside, opens as soon as there is room") {
  auto where = directory{};
  auto disk = small_disk{where.path / "disk"};
  if (!disk.there) {
    std::cout << "skipped: this process may not mount a small disk\n";
    return;
  }
  auto group = ledger::voter_group{
      {.program = program, .directory = disk.path / "ledger", .count = 1, .server = {.segment_bytes = 1u << 20}}};
  group.start_all();
  REQUIRE(put(group, "before", "1"));
  group.kill(0, SIGKILL);
  group.reap(0);
  auto removed = 0;
  for (const auto& file : fs::recursive_directory_iterator{disk.path})
    if (file.path().filename() == "reserve")
      removed += fs::remove(file.path());
  REQUIRE(removed == 1);
  disk.fill();
  group.start(0);
  // It tries several times, and is still the same process afterwards.
  std::this_thread::sleep_for(1500ms);
  CHECK(count(group, "before") != 1);
  disk.empty();
  CHECK(eventually([&] { return count(group, "before") == 1; }));
  CHECK(eventually([&] { return try_put(group, "after", "2").ok; }, 20s));
}

SCENARIO("on a slow disk everything takes longer, and nothing else happens") {
  auto where = directory{};
  auto disk = slow_disk{where.path};
  if (!disk.there()) {
    std::cout << "skipped: this process may not make the disk below " << where.path.string() << " slow\n";
    return;
  }
  auto group =
      ledger::voter_group{{.program = program, .directory = where.path, .server = {.segment_bytes = 1u << 20}}};
  group.start_all();
  const auto leader = group.leader(10s);
  REQUIRE(leader);
  const auto term = group.status(*leader).term();
  disk.slow_down(20);
  auto written = std::atomic<int>{0};
  auto failed = std::atomic<int>{0};
  auto threads = std::vector<std::thread>{};
  const auto begin = std::chrono::steady_clock::now();
  for (auto i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (auto n = 0; n < 15; ++n)
        put(group, "key/" + std::to_string(i) + "/" + std::to_string(n), "x", 30s) ? ++written : ++failed;
    });
  // Whoever only asks does not wait for the disk.
  auto slowest = duration{};
  while (written + failed < 60) {
    const auto asked = std::chrono::steady_clock::now();
    CHECK(group.status(*leader, 5s).members_size() == 3);
    slowest = std::max<duration>(slowest, std::chrono::steady_clock::now() - asked);
    std::this_thread::sleep_for(50ms);
  }
  for (auto& each : threads)
    each.join();
  const auto took = std::chrono::steady_clock::now() - begin;
  std::cout << "slow disk: 60 commands in " << std::chrono::duration<double>(took).count() << " s, slowest status "
            << std::chrono::duration<double>(slowest).count() << " s\n";
  CHECK(failed == 0);
  CHECK(group.status(*leader).term() == term);
  for (auto i = std::size_t{0}; i < 3; ++i) {
    group.kill(i, SIGKILL);
    group.reap(i);
  }
  // A vote is a write, too: the voters give their elections the time that it takes.
  disk.slow_down(20);
  for (auto i = std::size_t{0}; i < 3; ++i)
    group.start(i);
  CHECK(eventually([&] { return count(group, "key/") == 60; }));
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
