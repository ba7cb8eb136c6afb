#include "actors/workload/conversion.hpp"
#include "actors/workload/format_change.hpp"
#include "spec/workload/idle_driver.hpp"
#include "spec/workload/temporary.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace novacron;
using namespace novacron::workload;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

/// Notes what it is told, and says no where it is told to.
struct noting_driver : idle_driver {
  std::string name;
  std::vector<std::string>& notes;
  fs::path top;
  std::string fails_at;
  /// How often it fails there; without end unless said.
  int failures = 1'000'000;
  /// Its run ends as soon as it has begun.
  bool short_lived = false;
  over ended_then;

  noting_driver(std::string called, std::vector<std::string>& into, const fs::path& below)
      : name{std::move(called)}, notes{into}, top{below / name} {}

  outcome<> note(const std::string& what) {
    notes.push_back(name + " " + what);
    if (what == fails_at && failures-- > 0)
      return trouble{fault::storage, what + " fails"};
    return nothing{};
  }

  fs::path place(const std::string& x) const override { return top / x; }
  fs::path logs(const std::string& x) const override { return place(x) / "log"; }
  outcome<> examine(const wire::Instance&, const image_root&) override { return note("examine"); }
  void get_ready(const wire::Instance&, then<> done) override { done(note("get_ready")); }
  void hold(const std::string&, bool held, then<> done) override { done(note(held ? "hold" : "let_go")); }
  outcome<> copy_files(const std::string&, const fs::path& into) override {
    std::ofstream{into / "file"} << "content";
    return note("copy_files");
  }
  void prepare(const wire::Instance& x, const image_root& image, then<> done) override {
    CHECK(image.root == files_place(x.name()));
    std::ofstream{place(x.name()) / "instance.pb"} << "x";
    done(note("prepare"));
  }
  void start(const std::string&, then<running> done, over end) override {
    ended_then = std::move(end);
    const auto well = note("start");
    if (!well)
      return done(well.why());
    done(running{.pid = 7, .address = "10.0.0.7"});
    if (short_lived)
      ended_then({.code = 3, .reason = "ended with exit code 3"});
  }
  void remember(const std::string&, const wire::InstanceStatus& x) override {
    CHECK(x.kind() == wire::WORKLOAD_KIND_SANDBOX);
    CHECK(x.address() == "10.0.0.7");
    note("remember");
  }
  void signal(const std::string&, int number, then<> done) override {
    CHECK(number == SIGKILL);
    done(note("kill"));
  }
  void destroy(const std::string& x, then<> done) override {
    const auto well = note("destroy");
    if (well)
      fs::remove_all(place(x));
    done(well);
  }
};

struct both {
  spec::temporary here;
  std::vector<std::string> notes;
  noting_driver source{"source", notes, here.path()};
  noting_driver target{"target", notes, here.path()};
  conversion what;
  std::vector<ended> ends;

  both() {
    what.to.set_name("x.0");
    what.to.mutable_spec()->set_kind(wire::WORKLOAD_KIND_SANDBOX);
    fs::create_directories(source.logs("x.0"));
    std::ofstream{source.logs("x.0") / "0"} << "said before\n";
    std::ofstream{source.place("x.0") / "instance.pb"} << "x";
  }
  outcome<converted> run() {
    return change_format(
        source, target, what, [this](const ended& x) { ends.push_back(x); }, [this] { notes.emplace_back("counts"); },
        {.start = 1s, .step = 1s, .look = 1ms});
  }
  bool noted(const std::string& x) const { return std::ranges::find(notes, x) != notes.end(); }
  /// Whatever a sweep would find.
  bool counts(const noting_driver& x) const { return fs::exists(x.place("x.0") / "instance.pb"); }
};

} // namespace

SCENARIO("the old format ends only when the new one runs and counts") {
  auto x = both{};
  const auto became = x.run();
  REQUIRE(became);
  CHECK(became->now.address == "10.0.0.7");
  CHECK(x.notes == std::vector<std::string>{"target examine", "target get_ready", "source hold", "source copy_files",
                                            "target prepare", "target start", "target remember", "counts",
                                            "source kill", "source destroy"});
  CHECK(fs::exists(x.target.logs("x.0") / "0"));
  CHECK_FALSE(fs::exists(x.target.place("x.0") / "draft"));
  CHECK_FALSE(fs::exists(x.target.place("x.0") / "replaces"));
  // From now on its end is an end.
  x.target.ended_then({.code = 1, .reason = "ended with exit code 1"});
  CHECK(x.ends.size() == 1);
}

SCENARIO("whatever fails, the old format runs on and nothing of the new one is left") {
  auto x = both{};
  SUBCASE("its files are not to be had") {
    x.source.fails_at = "copy_files";
  }
  SUBCASE("it does not stand still") {
    x.source.fails_at = "hold";
  }
  SUBCASE("the new one cannot be prepared") {
    x.target.fails_at = "prepare";
  }
  SUBCASE("the new one cannot be started") {
    x.target.fails_at = "start";
  }
  SUBCASE("the new one ends at once") {
    x.target.short_lived = true;
  }
  const auto became = x.run();
  REQUIRE_FALSE(became);
  CHECK(x.notes.back() == "source let_go");
  CHECK_FALSE(x.noted("counts"));
  CHECK_FALSE(x.noted("source kill"));
  CHECK(x.counts(x.source));
  CHECK_FALSE(x.counts(x.target));
  CHECK(x.ends.empty());
}

SCENARIO("what could not be is refused before anything stands still") {
  auto x = both{};
  x.target.fails_at = "examine";
  const auto became = x.run();
  REQUIRE_FALSE(became);
  CHECK(became.why().text == "examine fails");
  CHECK(x.notes == std::vector<std::string>{"target examine"});
}

SCENARIO("an old format that cannot be removed does not count any more") {
  auto x = both{};
  x.source.fails_at = "destroy";
  REQUIRE(x.run());
  settle_conversions(x.source.top, x.target.top);
  CHECK_FALSE(x.counts(x.source));
  CHECK(x.counts(x.target));
}

SCENARIO("an old format that is written to while it is removed is removed once more") {
  auto x = both{};
  x.source.fails_at = "destroy";
  x.source.failures = 3;
  REQUIRE(x.run());
  CHECK_FALSE(fs::exists(x.source.place("x.0")));
  CHECK_FALSE(fs::exists(x.target.place("x.0") / "replaces"));
}

SCENARIO("what a former attempt left is removed first") {
  auto x = both{};
  fs::create_directories(x.target.place("x.0") / "log");
  std::ofstream{x.target.place("x.0") / "old"} << "old";
  REQUIRE(x.run());
  CHECK_FALSE(fs::exists(x.target.place("x.0") / "old"));
}
