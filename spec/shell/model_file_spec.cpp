#include "actors/shell/model_file.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace novacron::shell;

namespace {

const auto digest = std::string(64, 'a');

std::string model(const std::string& weights = "room = -0.5\nwhole = 1\n", const std::string& score = "96.5") {
  return "format = 1\nhistory = \"" + digest + "\"\nagainst = \"balance\"\nscore = " + score +
         "\nscore_against = 93\ndeviation = 0.1\nruns = 20\n[weights]\n" + weights;
}

std::string wrong_with(const std::string& text) {
  const auto found = parse_model(text, "m.toml");
  return found.errors.empty() ? "" : found.errors.front();
}

} // namespace

SCENARIO("a model is weights and what they were judged by") {
  const auto found = parse_model(model(), "m.toml");
  REQUIRE(found.errors.empty());
  CHECK(found.order.weights().at("room") == -0.5);
  CHECK(found.order.weights().at("whole") == 1);
  CHECK(found.order.training().history() == digest);
  CHECK(found.order.training().against() == "balance");
  CHECK(found.order.training().score() == 96.5);
  CHECK(found.order.training().score_against() == 93);
  CHECK(found.order.training().deviation() == 0.1);
  CHECK(found.order.training().runs() == 20);
}

SCENARIO("a model that makes no sense is refused with the line and what is accepted") {
  CHECK(wrong_with(model("room = nan\n")) == "m.toml:9: weights.room is nan, but must be a number from -1000 to 1000");
  CHECK(wrong_with(model("room = -inf\n")) != "");
  CHECK(wrong_with(model("room = 1001\n")) != "");
  CHECK(wrong_with(model("room = \"1\"\n")) != "");
  CHECK(wrong_with(model("room = [1]\n")) != "");
  CHECK(wrong_with(model("")) == "m.toml:1: weights.room is missing: take a file that `policy train` wrote");
  CHECK(wrong_with(model("room = 1\n", "nan")) == "m.toml:4: score is nan, but must be a number from 0 to 100");
  CHECK(wrong_with(model("room = 1\n", "101")) != "");
  CHECK(wrong_with("") != "");
  CHECK(wrong_with("\x7f"
                   "ELF\x01\x02") != "");
  CHECK(wrong_with(model() + "more = 1\n[extra]\n") != "");
  auto other = model();
  other.replace(other.find("format = 1"), 10, "format = 2");
  CHECK(wrong_with(other) == "m.toml:1: format is 2, but must be a whole number from 1 to 1");
  auto short_digest = model();
  short_digest.replace(short_digest.find(digest), 64, "abc");
  CHECK(wrong_with(short_digest) == "m.toml:2: history is \"abc\", but must be 64 hexadecimal digits");
}

SCENARIO("a model that is far too long is not even read") {
  CHECK(wrong_with(model() + "#" + std::string(1 << 16, ' ')) ==
        "m.toml has " + std::to_string(model().size() + 1 + (1 << 16)) + " bytes; a model has at most 65536");
}
