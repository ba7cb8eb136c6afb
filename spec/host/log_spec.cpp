#include "actors/host/log.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

/// Collects lines and puts the log back as it was.
struct ear {
  std::vector<std::string> lines;
  ear() {
    host::set_log_format(host::log_format::json);
    host::set_log_sink([this](std::string_view line) { lines.emplace_back(line); });
    host::clear_log_levels();
    host::set_log_level(host::level::info);
    host::set_log_node("edge-1");
  }
  ~ear() {
    host::set_log_sink({});
    host::clear_log_levels();
    host::set_log_level(host::level::info);
    host::set_log_format(host::log_format::automatic);
    host::set_log_node({});
  }
};

const auto some_time = std::chrono::system_clock::time_point{} + 1'700'000'000'123ms;

} // namespace

SCENARIO("a log line is readable by people and by machines") {
  const auto line =
      host::log_line{some_time, host::level::warn, "scheduler", "cloud-1", "no room", {{"workload", "web"}}};
  CHECK(host::json_line(line) == "{\"ts\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warn\",\"msg\":\"no room\","
                                 "\"actor\":\"scheduler\",\"node\":\"cloud-1\",\"workload\":\"web\"}\n");
  CHECK(host::human_line(line, false) == "22:13:20.123 warn  cloud-1/scheduler: no room workload=web\n");
  THEN("hostile text can neither break the JSON nor the terminal") {
    const auto nasty = host::log_line{some_time, host::level::info, "a", "", "q\"\\\n\x1b[2J\xff\xed\xa0\x80", {}};
    CHECK(host::json_line(nasty).find("\"q\\\"\\\\\\n\\u001b[2J\xef\xbf\xbd") != std::string::npos);
    CHECK(host::human_line(nasty, false).find('\x1b') == std::string::npos);
    CHECK(host::json_line(nasty).find('\n') == host::json_line(nasty).size() - 1);
  }
}

SCENARIO("the log level changes live, for all and per actor") {
  auto heard = ear{};
  host::log_debug("link", "dropped");
  host::log_info("link", "met {} in {} ms", "cloud-1", 3);
  REQUIRE(heard.lines.size() == 1);
  CHECK(heard.lines[0].find("\"msg\":\"met cloud-1 in 3 ms\"") != std::string::npos);
  CHECK(heard.lines[0].find("\"node\":\"edge-1\"") != std::string::npos);
  WHEN("one actor is looked at closely") {
    host::set_log_level("link", host::level::debug);
    host::set_log_level("link/cloud", host::level::error);
    host::log_debug("link/edge-2", "seen");
    host::log_debug("agent", "not seen");
    host::log_info("link/cloud-1", "not seen either: the longest prefix wins");
    CHECK(heard.lines.size() == 2);
    CHECK(host::log_levels().size() == 3);
    host::clear_log_levels();
    host::log_debug("link/edge-2", "no more");
    CHECK(heard.lines.size() == 2);
  }
  WHEN("all is switched off") {
    host::set_log_level(host::level::off);
    host::log_error("link", "not seen");
    CHECK(heard.lines.size() == 1);
  }
  CHECK(host::parse_level("warn") == host::level::warn);
  CHECK_FALSE(host::parse_level("loud"));
}

SCENARIO("what repeats is written rarely, with a count") {
  const auto dawn = std::chrono::steady_clock::time_point{};
  auto limit = host::rate_limit{10s, 2};
  CHECK(limit.admit("a", dawn) == 0u);
  CHECK_FALSE(limit.admit("a", dawn + 1s));
  CHECK_FALSE(limit.admit("a", dawn + 10s - 1ns));
  CHECK(limit.admit("b", dawn + 1s) == 0u);
  CHECK(limit.admit("a", dawn + 10s) == 2u);
  THEN("the number of keys is bounded") {
    for (auto i = 0; i < 100; ++i)
      CHECK(limit.admit(std::to_string(i), dawn + 11s) == 0u);
  }
  auto heard = ear{};
  for (auto i = 0; i < 100; ++i)
    host::log_rarely(host::level::warn, "link", "only once from this spec {}", i);
  CHECK(heard.lines.size() == 1);
}
