#include "actors/scheduler/run_times.hpp"
#include "spec/scheduler/play.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>

using namespace novacron;
using scheduler::run_times;
using spec::play;

namespace {

wire::WorkloadSpec job(const std::string& name, const std::string& image = "job:1", const std::string& tenant = "") {
  auto x = wire::WorkloadSpec{};
  x.set_name(name);
  x.set_tenant(tenant);
  x.mutable_program()->set_image(image);
  return x;
}

} // namespace

SCENARIO("what is left of a job is what others like it had left that ran as long") {
  auto known = run_times{};
  CHECK_FALSE(known.left(job("nightly-1"), 0));
  known.note(job("nightly-1"), 100);
  known.note(job("nightly-2"), 200);
  CHECK_FALSE(known.left(job("nightly-3"), 0));
  known.note(job("nightly-3"), 900);
  CHECK(known.left(job("nightly-4"), 0) == 200);
  CHECK(known.left(job("nightly-4"), 150) == 750);
  CHECK(known.left(job("nightly-4"), 899) == 1);
  // It has outlasted them all.
  CHECK(known.left(job("nightly-4"), 5000) == 5000);
  CHECK(known.left(job("nightly-4"), -7) == 200);
}

SCENARIO("a name says more than an image, an image more than nothing, and tenants are told apart") {
  auto known = run_times{};
  for (auto i = 0; i < 3; ++i) {
    known.note(job("short-" + std::to_string(i), "a:1", "red"), 10);
    known.note(job("long-" + std::to_string(i), "a:1", "red"), 1000);
    known.note(job("other-" + std::to_string(i), "b:1", "blue"), 50'000);
  }
  CHECK(known.left(job("short-7", "b:1", "red"), 0) == 10);
  CHECK(known.left(job("long", "a:1", "red"), 0) == 1000);
  CHECK(known.left(job("unheard-of", "b:1", "blue"), 0) == 50'000);
  CHECK(known.left(job("short-7", "c:1", "blue"), 0) == 1000);
}

SCENARIO("only the latest of a kind count, and what is garbage does not") {
  auto known = run_times{};
  for (auto i = 0; i < 100; ++i)
    known.note(job("web"), 1'000'000);
  for (auto i = 0; i < 32; ++i)
    known.note(job("web"), 5);
  known.note(job("web"), -1);
  known.note(job("web"), std::numeric_limits<std::int64_t>::min());
  CHECK(known.left(job("web"), 0) == 5);
  // The kinds that were added to the longest ago go first.
  for (auto i = 0; i < 10'000; ++i)
    known.note(job("name" + std::to_string(i) + "x", "image" + std::to_string(i)), 7);
  CHECK(known.left(job("web"), 0) == 7);
}

SCENARIO("room for who waited too long is kept where what runs is expected to end first") {
  auto x = play{};
  x.add_node("n1");
  x.add_node("n2");
  const auto run = [&](const std::string& name, const std::string& node, std::uint64_t cpu) {
    auto spec = play::batch(name, 1);
    spec.mutable_resources()->set_cpu_milli(cpu);
    (*spec.mutable_placement()->mutable_require())["node"] = node;
    REQUIRE(x.submit(spec));
    x.pass(2);
    REQUIRE(x.running(name) == 1);
  };
  const auto end = [&](const std::string& name) {
    x.ending.insert(name);
    x.pass(4);
    REQUIRE(x.running(name) == 0);
  };
  for (auto i = 0; i < 3; ++i) {
    const auto number = std::to_string(i);
    run("long-" + number, "n1", 1000);
    run("short-" + number, "n2", 1000);
    x.pass(400);
    end("short-" + number);
    x.pass(4000);
    end("long-" + number);
  }
  // Less would have to become free on the one, but the other is free sooner.
  run("long-9", "n1", 3000);
  run("short-9", "n2", 3500);
  auto great = play::service("great");
  great.mutable_resources()->set_cpu_milli(4000);
  REQUIRE(x.submit(great));
  x.pass(330);
  REQUIRE(x.running("great") == 0);
  auto small = play::service("small");
  (*small.mutable_placement()->mutable_require())["node"] = "n1";
  REQUIRE(x.submit(small));
  x.pass(3);
  CHECK(x.running("small") == 1);
  end("short-9");
  x.pass(4);
  CHECK(x.where("great.0") == std::vector<std::string>{"n2"});
}
