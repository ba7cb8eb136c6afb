#include "actors/state/history.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <sstream>

using namespace novacron::ledger;
using kind = operation::kind;
using result = operation::result;

namespace {

operation op(kind what, const std::string& value, std::int64_t begin, std::int64_t end, result how = result::ok,
             const std::string& expect = "") {
  auto x = operation{.what = what, .how = how, .process = "p", .key = "k", .begin = begin, .end = end};
  if (!value.empty())
    x.value = {true, value};
  if (!expect.empty())
    x.expect = {true, expect};
  return x;
}

bool explained(const std::vector<operation>& history) { return check(history).what == verdict::kind::linearizable; }

/// A history that is linearizable because it was made by a real register: each operation takes effect at one moment
/// between its begin and its end.
std::vector<operation> make_history(std::uint64_t seed, std::size_t count, std::size_t processes) {
  auto chance = std::mt19937_64{seed};
  struct moment {
    std::int64_t begin, point, end;
    std::size_t process;
  };
  auto moments = std::vector<moment>{};
  auto free = std::vector<std::int64_t>(processes, 0);
  for (auto i = std::size_t{0}; i < count; ++i) {
    const auto p = chance() % processes;
    const auto begin = free[p] + static_cast<std::int64_t>(1 + chance() % 10);
    const auto point = begin + static_cast<std::int64_t>(chance() % 20);
    const auto end = point + static_cast<std::int64_t>(chance() % 20);
    free[p] = end;
    moments.push_back({begin, point, end, p});
  }
  std::stable_sort(moments.begin(), moments.end(), [](const auto& a, const auto& b) { return a.point < b.point; });
  auto now = operation::content{};
  auto history = std::vector<operation>{};
  auto number = 0;
  for (const auto& m : moments) {
    auto x = operation{.process = std::to_string(m.process), .key = "k", .begin = m.begin, .end = m.end};
    const auto fresh = operation::content{true, std::to_string(++number)};
    switch (chance() % 4) {
      case 0: x.what = kind::write, x.value = now = fresh; break;
      case 1: x.what = kind::cas, x.expect = now, x.value = now = fresh; break;
      case 2: x.what = kind::cas, x.how = result::fail, x.expect = {true, "never"}, x.value = fresh; break;
      default: x.what = kind::read, x.value = now; break;
    }
    if (x.what == kind::write && chance() % 10 == 0)
      x.how = result::unknown;
    history.push_back(x);
  }
  return history;
}

} // namespace

SCENARIO("histories that can be explained") {
  CHECK(explained({}));
  CHECK(explained({op(kind::write, "1", 0, 1), op(kind::read, "1", 2, 3)}));
  CHECK(explained({op(kind::read, "", 0, 1), op(kind::write, "1", 2, 3), op(kind::remove, "", 4, 5), op(kind::read, "", 6, 7)}));
  THEN("what overlaps may be in either order") {
    CHECK(explained({op(kind::write, "1", 0, 10), op(kind::write, "2", 0, 10), op(kind::read, "1", 11, 12)}));
    CHECK(explained({op(kind::write, "1", 0, 10), op(kind::write, "2", 0, 10), op(kind::read, "2", 11, 12)}));
    CHECK(explained({op(kind::write, "1", 0, 10), op(kind::read, "", 1, 2), op(kind::read, "1", 3, 4)}));
  }
  THEN("what is not known may have happened, not happened, or happen late") {
    CHECK(explained({op(kind::write, "1", 0, 1, result::unknown), op(kind::read, "", 2, 3)}));
    CHECK(explained({op(kind::write, "1", 0, 1, result::unknown), op(kind::read, "1", 2, 3)}));
    CHECK(explained({op(kind::write, "1", 0, 1, result::unknown), op(kind::read, "", 2, 3), op(kind::read, "1", 4, 5)}));
    CHECK(explained({op(kind::write, "1", 0, 1, result::fail), op(kind::read, "", 2, 3)}));
  }
  THEN("keys do not touch each other") {
    auto other = op(kind::read, "", 2, 3);
    other.key = "other";
    CHECK(explained({op(kind::write, "1", 0, 1), other}));
  }
}

SCENARIO("planted violations are found") {
  THEN("a read of what was overwritten before it began") {
    CHECK_FALSE(explained({op(kind::write, "1", 0, 1), op(kind::write, "2", 2, 3), op(kind::read, "1", 4, 5)}));
  }
  THEN("a lost write") { CHECK_FALSE(explained({op(kind::write, "1", 0, 1), op(kind::read, "", 2, 3)})); }
  THEN("a value from nowhere") { CHECK_FALSE(explained({op(kind::read, "7", 0, 1)})); }
  THEN("two who both compared the same value and won") {
    CHECK_FALSE(explained({op(kind::write, "1", 0, 1), op(kind::cas, "2", 2, 9, result::ok, "1"), op(kind::cas, "3", 2, 9, result::ok, "1")}));
  }
  THEN("a compare that failed though nothing else was there") {
    CHECK_FALSE(explained({op(kind::write, "1", 0, 1), op(kind::cas, "2", 2, 3, result::fail, "1")}));
  }
  THEN("a read that went back in time") {
    CHECK_FALSE(explained({op(kind::write, "1", 0, 9), op(kind::read, "1", 1, 2), op(kind::read, "", 3, 4)}));
  }
  THEN("a write that certainly failed and was read") {
    CHECK_FALSE(explained({op(kind::write, "1", 0, 1, result::fail), op(kind::read, "1", 2, 3)}));
  }
}

SCENARIO("random histories of a real register pass, and fail with one stale read") {
  auto missed = 0;
  for (auto seed = std::uint64_t{1}; seed <= 200; ++seed) {
    auto history = make_history(seed, 60, 5);
    CAPTURE(seed);
    CHECK(explained(history));
    // Long after all else ended somebody reads what was overwritten, and once more what is there.
    const auto value_of = [&](std::size_t skip) {
      for (auto i = history.rbegin(); i != history.rend(); ++i)
        if (i->what != kind::read && i->how == result::ok && skip-- == 0)
          return i->value.text;
      return std::string{};
    };
    auto stale = history;
    stale.push_back(op(kind::read, value_of(0), 100'000, 100'001));
    stale.push_back(op(kind::read, "never written", 100'002, 100'003));
    missed += explained(stale);
  }
  CHECK(missed == 0);
}

SCENARIO("a long history is decided in bounded time") {
  const auto history = make_history(7, 5'000, 6);
  const auto found = check(history);
  CHECK(found.what == verdict::kind::linearizable);
  CHECK(found.steps < 2'000'000);
  THEN("and given up when it would take too long") { CHECK(check(history, 100).what == verdict::kind::undecided); }
}

SCENARIO("a history is read from JSON lines") {
  auto words = std::ostringstream{};
  auto good = std::istringstream{
      "{\"process\":\"1\",\"op\":\"write\",\"key\":\"k\",\"value\":\"a\",\"result\":\"ok\",\"begin_ns\":1,\"end_ns\":2}\n\n"
      "{\"process\":\"2\",\"op\":\"read\",\"key\":\"k\",\"value\":\"a\",\"result\":\"ok\",\"begin_ns\":\"3\",\"end_ns\":\"4\"}\n"};
  CHECK(check_history(good, words) == 0);
  auto stale = std::istringstream{
      "{\"process\":\"1\",\"op\":\"write\",\"key\":\"k\",\"value\":\"a\",\"result\":\"ok\",\"begin_ns\":1,\"end_ns\":2}\n"
      "{\"process\":\"2\",\"op\":\"read\",\"key\":\"k\",\"result\":\"ok\",\"begin_ns\":3,\"end_ns\":4}\n"};
  CHECK(check_history(stale, words) == 1);
  CHECK(words.str().find("not linearizable: key k") != std::string::npos);
  for (const auto* bad : {"{", "{\"op\":\"write\"}", "{\"op\":\"jump\",\"result\":\"ok\"}", "[]",
                          "{\"op\":\"read\",\"result\":\"ok\",\"begin_ns\":3,\"end_ns\":1}", "{\"unheard\":1}"}) {
    auto lines = std::istringstream{bad};
    CHECK(check_history(lines, words) == 2);
  }
  THEN("and written so that it reads back") {
    for (const auto& x : make_history(3, 50, 3)) {
      auto back = operation{};
      REQUIRE(from_line(to_line(x), back).empty());
      CHECK(to_line(back) == to_line(x));
    }
  }
}
