#include "actors/workload/call_frames.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace novacron::workload;
using namespace std::chrono_literals;
using enum lane_word::kind;

namespace {

std::vector<lane_word> read(std::string_view text) {
  auto reader = lane_reader{};
  reader.take(text);
  auto words = std::vector<lane_word>{};
  while (words.size() < 10)
    if (auto one = reader.next())
      words.push_back(std::move(*one));
    else
      break;
  return words;
}

} // namespace

SCENARIO("a call says how long its body is and how long it may take") {
  CHECK(call_frame("ab\n", 1500ms) == "call 3 1500\nab\n");
  CHECK(call_frame("", 1ms) == "call 0 1\n");
}

SCENARIO("what an usher says is read word by word") {
  CHECK(read("ready 1\nanswer 3\na\nbfailed exit code 2\nlate\nanswer 0\n") ==
        std::vector<lane_word>{{ready}, {answered, "a\nb"}, {failed, "exit code 2"}, {late}, {answered, ""}});
  CHECK(read("answer 3\nab").empty());
  CHECK(read("rea").empty());
}

SCENARIO("what an usher says may come in any pieces") {
  auto chance = std::mt19937{5};
  auto body = std::string(1000, 'x');
  body += "\nlate\n";
  auto text = "ready 1\nanswer " + std::to_string(body.size());
  text += "\n" + body;
  text += "late\n";
  for (auto round = 0; round < 50; ++round) {
    auto reader = lane_reader{};
    auto words = std::vector<lane_word>{};
    for (auto at = std::size_t{0}; at < text.size();) {
      const auto size = 1 + chance() % 300;
      reader.take(std::string_view{text}.substr(at, size));
      at += size;
      while (auto one = reader.next())
        words.push_back(std::move(*one));
    }
    CHECK(words == std::vector<lane_word>{{ready}, {answered, body}, {late}});
  }
}

SCENARIO("what does not speak as an usher is not listened to any more") {
  for (const auto* text : {"ready 2\n", "hello\n", "answer\n", "answer -1\n", "answer 99999999999999999999\nx",
                           "answer 524289\n", "\n", "answer 1 2\nx"}) {
    CAPTURE(text);
    const auto words = read(text);
    REQUIRE(words.size() == 10);
    CHECK(words.front() == lane_word{foreign});
  }
  CHECK(read(std::string(300, 'x')).front() == lane_word{foreign});
  auto reader = lane_reader{};
  reader.take("nonsense\nready 1\n");
  CHECK(reader.next() == lane_word{foreign});
  CHECK(reader.next() == lane_word{foreign});
}

SCENARIO("an answer may be as long as a call, and no longer") {
  const auto most = std::string(novacron::call_bytes_max, 'y');
  const auto words = read("answer " + std::to_string(most.size()) + "\n" + most);
  REQUIRE(words.size() == 1);
  CHECK(words.front() == lane_word{answered, most});
}
