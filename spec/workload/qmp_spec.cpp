#include "actors/workload/qmp.hpp"

#include <doctest/doctest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

using namespace novacron;
using namespace novacron::workload;
using namespace std::chrono_literals;

namespace {

bool is_noise(std::string_view line) {
  return std::holds_alternative<qmp_noise>(read_qmp(line));
}

} // namespace

SCENARIO("a monitor's sentences are told apart") {
  CHECK(std::holds_alternative<qmp_greeting>(read_qmp(R"({"QMP": {"version": {}, "capabilities": ["oob"]}})")));
  const auto answer = std::get<qmp_answer>(read_qmp(R"({"return": {"status": "running"}, "id": 7})"));
  CHECK(answer.number == 7);
  CHECK_FALSE(answer.failed);
  CHECK(answer.text == R"({"status":"running"})");
  const auto error =
      std::get<qmp_answer>(read_qmp(R"({"id": 8, "error": {"class": "GenericError", "desc": "no such disk"}})"));
  CHECK(error.failed);
  CHECK(error.text == "no such disk");
  const auto event =
      std::get<qmp_event>(read_qmp(R"({"event": "SHUTDOWN", "data": {"guest": true}, "timestamp": {}})"));
  CHECK(event.name == "SHUTDOWN");
  CHECK(event.data == R"({"guest":true})");
  CHECK(std::get<qmp_event>(read_qmp(R"({"event": "STOP"})")).data == "{}");
}

SCENARIO("what is no sentence is noise and nothing worse") {
  for (const auto* line : {"", "{", "[]", "7", "null", "{}", R"({"return": {}})", R"({"return": {}, "id": "x"})",
                           R"({"return": {}, "id": -1})", R"({"id": 3})", R"({"event": 7})", "\xff\xfe"})
    CHECK_MESSAGE(is_noise(line), line);
  CHECK(is_noise(std::string(100'000, '[')));
  CHECK(is_noise(std::string(qmp_line_bytes_max + 1, ' ')));
  CHECK(std::get<qmp_answer>(read_qmp(R"({"id": 1, "error": 5})")).text == "5");
}

SCENARIO("lines are the same however their bytes arrive") {
  const auto text = std::string{"one\ntwo\n\nfour"};
  for (auto size = std::size_t{1}; size <= text.size(); ++size) {
    auto gatherer = line_gatherer{100};
    auto lines = std::vector<std::string>{};
    for (auto at = std::size_t{0}; at < text.size(); at += size)
      for (auto& each : gatherer.take(std::string_view{text}.substr(at, size)))
        lines.push_back(std::move(each));
    CHECK(lines == std::vector<std::string>{"one", "two", ""});
  }
}

SCENARIO("a line that is too long costs that line only") {
  auto gatherer = line_gatherer{4};
  CHECK(gatherer.take("1234\n") == std::vector<std::string>{"1234"});
  CHECK(gatherer.take("12345\nnext\n") == std::vector<std::string>{"", "next"});
  CHECK(gatherer.take("123").empty());
  CHECK(gatherer.take("45") == std::vector<std::string>{""});
  CHECK(gatherer.take("6789").empty());
  CHECK(gatherer.take("\nok\n") == std::vector<std::string>{"ok"});
}

SCENARIO("a conversation waits for the greeting, matches answers, and has deadlines") {
  auto loop = host::loop{};
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  auto heard = std::promise<std::string>{};
  auto client = qmp_client::open(loop, ends[0], [&](const qmp_event& x) { heard.set_value(x.name); });
  auto first = std::promise<outcome<std::string>>{};
  auto never = std::promise<outcome<std::string>>{};
  auto cut = std::promise<outcome<std::string>>{};
  client->ask("query-status", "", 10s, [&](auto x) { first.set_value(x); });
  const auto say = [&](const std::string& text) { REQUIRE(::write(ends[1], text.data(), text.size()) > 0); };
  const auto hear = [&] {
    auto line = std::string{};
    for (auto byte = char{}; ::read(ends[1], &byte, 1) == 1 && byte != '\n';)
      line += byte;
    return line;
  };
  say("{\"QMP\": {}}\n");
  CHECK(hear() == R"({"execute":"qmp_capabilities","arguments":{},"id":0})");
  CHECK(hear() == R"({"execute":"query-status","arguments":{},"id":1})");
  say("garbage\n{\"return\": {}, \"id\": 0}\n{\"event\": \"RESUME\"}\n{\"return\": {\"a\": 1}, \"id\": 1}\n");
  CHECK(heard.get_future().get() == "RESUME");
  CHECK(*first.get_future().get() == R"({"a":1})");
  client->ask("stop", "", 20ms, [&](auto x) { never.set_value(x); });
  CHECK(never.get_future().get().why().kind == fault::timeout);
  client->ask("cont", "", 10s, [&](auto x) { cut.set_value(x); });
  hear();
  hear();
  ::close(ends[1]);
  CHECK(cut.get_future().get().why().kind == fault::unreachable);
  auto late = std::promise<outcome<std::string>>{};
  client->ask("cont", "", 10s, [&](auto x) { late.set_value(x); });
  CHECK(late.get_future().get().why().kind == fault::unreachable);
}
