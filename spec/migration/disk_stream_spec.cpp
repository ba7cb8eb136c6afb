#include "actors/migration/disk_stream.hpp"
#include "spec/migration/moving_guest.hpp"
#include "spec/workload/temporary.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace novacron::migration;
using namespace novacron::spec;
namespace fs = std::filesystem;

namespace {

constexpr auto block = std::size_t{64} << 10;

std::string content(const fs::path& name) {
  auto file = std::ifstream{name, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

void put(const fs::path& name, std::size_t at, const std::string& bytes) {
  if (!fs::exists(name))
    std::ofstream{name};
  auto file = std::fstream{name, std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(static_cast<std::streamoff>(at));
  file << bytes;
}

std::string noise(std::size_t size, unsigned seed) {
  auto chance = std::mt19937{seed};
  auto text = std::string(size, '\0');
  for (auto& each : text)
    each = static_cast<char>(chance());
  return text;
}

/// One file here, "a", that is sent to be "b".
class lone_file {
public:
  explicit lone_file(const std::string& what) {
    put(ours(), 0, what);
    put(theirs(), 0, "");
    sink_ = std::async(std::launch::async, [this] {
      read_disk_hello(*way_.second);
      receive_disk(*way_.second, {theirs()});
    });
    sender.emplace(*way_.first, disk_hello{}, std::vector{ours()});
  }

  fs::path ours() const { return here_.path() / "a"; }
  fs::path theirs() const { return here_.path() / "b"; }
  void send_last() {
    sender->send_pass(true, {});
    sink_.get();
  }

  std::optional<disk_sender> sender;

private:
  temporary here_;
  std::pair<std::unique_ptr<channel>, std::unique_ptr<channel>> way_ = make_way({});
  std::future<void> sink_;
};

} // namespace

SCENARIO("a disk that is written while it moves is the same at the other end once it stands still") {
  const auto here = temporary{};
  const auto layer = here.path() / "layer";
  const auto base = here.path() / "base";
  put(layer, 0, noise(5 * block + 77, 1));
  put(base, 0, noise(block, 2));
  fs::resize_file(base, 40 * block);
  put(base, 30 * block + 5, "far behind a hole");
  const auto there = std::vector{here.path() / "layer-there", here.path() / "base-there"};
  // What is there already does not matter.
  put(there[0], 0, noise(9 * block, 3));
  put(there[1], 0, "x");
  auto [ours, theirs] = make_way({});
  auto sink = std::async(std::launch::async, [&] {
    const auto said = read_disk_hello(*theirs);
    CHECK(said.stream_count == 3);
    CHECK(said.file_count == 2);
    CHECK(said.token[4] == std::byte{9});
    receive_disk(*theirs, there);
  });
  auto hello = disk_hello{.stream_count = 3};
  hello.token[4] = std::byte{9};
  auto sender = disk_sender{*ours, hello, {layer, base}};
  sender.send_pass(false, {});
  CHECK(content(there[0]) == content(layer));
  CHECK(content(there[1]) == content(base));
  const auto first = sender.bytes();
  // Nothing has changed: next to nothing is sent.
  sender.send_pass(false, {});
  CHECK(sender.bytes() - first < 200);
  // It grows, changes in the middle, loses a part, and what was something is nothing.
  put(layer, 2 * block + 9, "changed");
  put(layer, 7 * block, "grown");
  put(base, 0, std::string(block, '\0'));
  const auto second = sender.bytes();
  sender.send_pass(true, {});
  CHECK(content(there[0]) == content(layer));
  CHECK(content(there[1]) == content(base));
  CHECK(sender.bytes() - second < 4 * block);
  sink.get();
}

SCENARIO("a disk that shrinks is as short there") {
  auto x = lone_file{noise(3 * block, 4)};
  x.sender->send_pass(false, {});
  fs::resize_file(x.ours(), block + 1);
  x.send_last();
  CHECK(content(x.theirs()) == content(x.ours()));
}

SCENARIO("what lay behind the end of a disk for a moment is nothing there either") {
  auto x = lone_file{noise(6 * block, 6)};
  x.sender->send_pass(false, {});
  // Between two passes it is cut off and grows again: what was there is a hole now, of which nothing is to be read.
  fs::resize_file(x.ours(), 4 * block);
  fs::resize_file(x.ours(), 9 * block);
  const auto before = x.sender->bytes();
  x.send_last();
  CHECK(content(x.theirs()) == content(x.ours()));
  CHECK(x.sender->bytes() - before < 200);
}

SCENARIO("a disk that nobody writes to is looked at once") {
  auto x = lone_file{noise(2 * block, 7)};
  x.sender->let_be(0);
  x.sender->send_pass(false, {});
  const auto sent = content(x.ours());
  fs::remove(x.ours());
  x.send_last();
  CHECK(content(x.theirs()) == sent);
}

SCENARIO("a target that cannot write says why, and a source that is cancelled sends no more") {
  const auto here = temporary{};
  put(here.path() / "a", 0, noise(3 * block, 5));
  {
    auto [ours, theirs] = make_way({});
    auto sink = std::async(std::launch::async, [&] {
      read_disk_hello(*theirs);
      CHECK_THROWS_AS(receive_disk(*theirs, {here.path() / "not" / "there"}), migration_error);
    });
    auto sender = disk_sender{*ours, {}, {here.path() / "a"}};
    CHECK_THROWS_AS(sender.send_pass(false, {}), refusal);
    sink.get();
  }
  {
    auto [ours, theirs] = make_way({});
    auto sender = disk_sender{*ours, {}, {here.path() / "a"}};
    auto stop = std::stop_source{};
    stop.request_stop();
    CHECK_THROWS_WITH_AS(sender.send_pass(false, stop.get_token()), "it was cancelled", migration_error);
  }
}

SCENARIO("what is no stream of a disk is refused") {
  const auto here = temporary{};
  put(here.path() / "a", 0, "");
  for (const auto seed : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u}) {
    auto [ours, theirs] = make_way({});
    const auto junk = noise(4096, seed);
    ours->send(std::as_bytes(std::span{junk}));
    CHECK_THROWS_AS(read_disk_hello(*theirs), migration_error);
    CHECK_THROWS_AS(receive_disk(*theirs, {here.path() / "a"}), migration_error);
  }
}
