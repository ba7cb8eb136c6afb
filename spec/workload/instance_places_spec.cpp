#include "actors/workload/instance_places.hpp"

#include "actors/host/files.hpp"
#include "actors/host/process.hpp"
#include "spec/workload/barred.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

using namespace novacron;
using namespace novacron::workload;
namespace fs = std::filesystem;

namespace {

/// Where instances are, with a hierarchy of groups that is made of plain files.
struct ground {
  fs::path top;
  ground() {
    auto pattern = (fs::temp_directory_path() / "novacron-spec-XXXXXX").string();
    top = ::mkdtemp(pattern.data());
    fs::create_directories(top / "instances");
    fs::create_directories(top / "freezer");
  }
  ~ground() { fs::remove_all(top); }
  ground(const ground&) = delete;
  ground& operator=(const ground&) = delete;

  [[nodiscard]] instance_places places() const {
    return {top / "instances", 7, {.mode = host::cgroup_mode::legacy, .hierarchies = {top / "freezer"}}};
  }
  [[nodiscard]] instance_directory make(const std::string& name, wire::Phase phase) const {
    auto what = wire::Instance{};
    what.set_name(name);
    what.set_epoch(3);
    what.set_generation(1);
    what.mutable_spec()->set_name("web");
    auto status = wire::InstanceStatus{};
    status.set_name(name);
    status.set_epoch(3);
    status.set_generation(1);
    status.set_phase(phase);
    auto place = instance_directory{top / "instances" / name};
    place.lay_out();
    place.write(what);
    place.write(status);
    return place;
  }
};

/// Holds an instance as its shim does; ends with the spec, if it has not been killed.
struct shim {
  host::child process = host::start({.argv = {"sleep", "60"}});
  std::optional<int> lock;
  explicit shim(const instance_directory& place) : lock{place.lock()} {
    std::ofstream{place.path() / "lock"} << process.pid << " " << host::start_ticks(process.pid).value();
  }
  ~shim() {
    ::kill(process.pid, SIGKILL);
    ::waitpid(process.pid, nullptr, 0);
    ::close(process.pidfd);
    ::close(lock.value_or(-1));
  }
  shim(const shim&) = delete;
  shim& operator=(const shim&) = delete;
};

std::vector<leftover> swept(const ground& here) {
  return here.places().sweep([](const leftover&) {});
}

} // namespace

SCENARIO("what stands still though nobody knows that it was paused runs on with the next start of the node") {
  const auto here = ground{};
  const auto group = here.top / "freezer/novacron/00000007/web.0";
  fs::create_directories(group);
  std::ofstream{group / "freezer.state"} << "FROZEN";
  const auto state_with = [&](wire::Phase phase) {
    const auto holder = shim{here.make("web.0", phase)};
    const auto found = swept(here);
    REQUIRE(found.size() == 1);
    CHECK(found.front().alive);
    return host::read_file(group / "freezer.state").value_or("");
  };
  CHECK(state_with(wire::PHASE_PAUSED) == "FROZEN");
  CHECK(state_with(wire::PHASE_RUNNING) == "THAWED");
}

SCENARIO("what an instance is cannot be read, and nothing of it is lost") {
  const auto here = ground{};
  const auto place = here.make("web.0", wire::PHASE_RUNNING);
  std::ofstream{place.path() / "instance.pb"} << "torn";
  auto holder = std::optional<shim>{};
  auto alive = false;
  SUBCASE("it runs") {
    holder.emplace(place);
    alive = true;
  }
  SUBCASE("it has ended") {
    std::ofstream{place.path() / "exit"} << "3 0 42 0\nended with exit code 3\n";
  }
  const auto found = swept(here);
  REQUIRE(found.size() == 1);
  CHECK(found.front().instance.name() == "web.0");
  CHECK(found.front().instance.epoch() == 3);
  CHECK_FALSE(found.front().instance.has_spec());
  CHECK(found.front().alive == alive);
  CHECK(found.front().how.has_value() == !alive);
  CHECK(host::read_file(place.path() / "instance.pb") == "torn");
}

SCENARIO("half an instance directory is no instance") {
  const auto here = ground{};
  const auto place = here.make("web.0", wire::PHASE_RUNNING);
  // Removing it fails half-way, and a directory gives its names in any order.
  fs::permissions(here.top, fs::perms{0755});
  fs::permissions(place.path(), fs::perms{0777});
  for (auto i = 0; i < 20; ++i)
    fs::create_directories(place.path() / ("kept" + std::to_string(i)) / "inside");
  for (auto i = 1; i < 20; ++i)
    fs::permissions(place.path() / ("kept" + std::to_string(i)), fs::perms{0555});
  {
    const auto no_rights = barred{place.path() / "kept0"};
    CHECK_THROWS_AS(place.remove(), std::system_error);
  }
  REQUIRE(fs::exists(place.path()));
  CHECK_FALSE(fs::exists(place.path() / "instance.pb"));
  for (auto i = 1; i < 20; ++i)
    fs::permissions(place.path() / ("kept" + std::to_string(i)), fs::perms{0755});
  CHECK(swept(here).empty());
  CHECK_FALSE(fs::exists(place.path()));
}

SCENARIO("a copy of an image that ends half-way is not taken for one") {
  const auto here = ground{};
  const auto place = here.make("web.0", wire::PHASE_STARTING);
  const auto image = here.top / "image";
  fs::create_directories(image);
  std::ofstream{image / "small"} << "small";
  std::ofstream{image / "large"} << std::string(256 << 10, 'x');
  // Half of another attempt.
  fs::create_directories(place.root().string() + ".new/half");
  auto before = rlimit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  auto less = before;
  less.rlim_cur = 64 << 10;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &less) == 0);
  const auto failed = place.copy_image(image);
  ::setrlimit(RLIMIT_FSIZE, &before);
  REQUIRE_FALSE(failed);
  CHECK(failed.why().kind == fault::storage);
  CHECK(fs::is_empty(place.root()));
  REQUIRE(place.copy_image(image));
  CHECK(fs::file_size(place.root() / "large") == 256 << 10);
  CHECK(fs::exists(place.root() / "small"));
  CHECK_FALSE(fs::exists(place.root() / "half"));
  // What the instance makes of it stays.
  fs::remove(place.root() / "small");
  REQUIRE(place.copy_image(image));
  CHECK_FALSE(fs::exists(place.root() / "small"));
}
