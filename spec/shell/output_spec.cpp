#include "actors/shell/output.hpp"
#include "actors/shell/views.hpp"

#include <doctest/doctest.h>

#include <sstream>

using namespace novacron::shell;
namespace wire = novacron::v1;

namespace {

const auto sample = table{.columns = {{"NAME"}, {"STATE"}, {"COUNT", false, true}, {"NOTE", true}},
                          .rows = {{"edge-1", "ready", "2", "x"}, {"a", "", "10", "y"}},
                          .noun = "node"};

std::string printed(const table& x, const output_options& options) {
  auto out = std::ostringstream{};
  print(out, x, options);
  return out.str();
}

} // namespace

SCENARIO("tables stand in columns") {
  CHECK(printed(sample, {}) == "NAME     STATE   COUNT\n"
                               "edge-1   ready       2\n"
                               "a        -          10\n");
  CHECK(printed(sample, {.as = format::wide}) == "NAME     STATE   COUNT   NOTE\n"
                                                 "edge-1   ready       2   x\n"
                                                 "a        -          10   y\n");
  CHECK(printed(sample, {.headers = false}) == "edge-1   ready    2\n"
                                               "a        -       10\n");
  CHECK(printed(sample, {.as = format::name}) == "node/edge-1\nnode/a\n");
  CHECK(printed(sample, {.quiet = true}) == "edge-1\na\n");
  CHECK(printed(sample, {.color = true}).find("\x1b[32mready\x1b[0m") != std::string::npos);
  CHECK(printed({.columns = {{"NAME"}}, .rows = {}, .noun = {}}, {}) == "NAME\n");
}

SCENARIO("tables fit the terminal") {
  const auto wide = table{.columns = {{"NAME"}, {"REASON"}}, .rows = {{"web.0", std::string(100, 'r')}}, .noun = {}};
  CHECK(printed(wide, {.columns = 30}) == "NAME    REASON\nweb.0   rrrrrrrrrrrrrrrrrrrrr…\n");
  CHECK(printed(wide, {}).find(std::string(100, 'r')) != std::string::npos);
  CHECK(width("Zürich…") == 7);
}

SCENARIO("no name can drive the terminal") {
  CHECK(harmless("a\x1b[31mb\n\tc\x7f") == "a [31mb  c ");
  CHECK(harmless("Zürich \xC2\x9B ok") == "Zürich   ok");
  CHECK(printed({.columns = {{"N"}}, .rows = {{"\x1b]0;owned\x07"}}, .noun = {}}, {}).find('\x1b') ==
        std::string::npos);
}

SCENARIO("YAML says what JSON says") {
  CHECK(to_yaml(R"({"nodes":[{"name":"edge-1","m":1,"on":true,"l":{}},{"name":"b"}],"index":"7","e":[]})") ==
        "nodes:\n  - name: edge-1\n    m: 1\n    \"on\": true\n    l: {}\n  - name: b\nindex: \"7\"\ne: []\n");
  THEN("whatever could be taken for something else is quoted") {
    for (const auto* x : {"yes", "no", "null", "1.0", "-", "a: b", "a #b", "", "~", "0x1f", "2026-01-01", "*a", "&a",
                          "!x", "a\nb", "true"})
      CHECK_MESSAGE(
          to_yaml("\"" + (std::string{x} == "a\nb" ? std::string{"a\\nb"} : std::string{x}) + "\"").front() == '"', x);
    CHECK(to_yaml("\"web.0\"") == "web.0\n");
  }
  CHECK(to_yaml("[[1,2],[{\"a\":null}]]") == "-\n  - 1\n  - 2\n-\n  - a: null\n");
  CHECK(to_yaml("{broken") == "");
}

SCENARIO("nodes are shown with what is reserved of what they have") {
  auto all = wire::NodeList{};
  auto& n = *all.add_nodes();
  n.mutable_record()->mutable_facts()->set_name("edge-1");
  n.mutable_record()->mutable_facts()->set_role("edge");
  n.mutable_record()->mutable_facts()->set_zone("plant-a");
  n.mutable_record()->mutable_facts()->mutable_capacity()->set_cpu_milli(4000);
  n.mutable_record()->mutable_facts()->mutable_capacity()->set_memory_bytes(2ull << 30);
  n.mutable_reserved()->set_cpu_milli(1500);
  n.mutable_reserved()->set_memory_bytes(64u << 20);
  n.set_state("ready");
  n.set_instances(3);
  CHECK(printed(node_table(all, 0), {}) ==
        "NAME     ROLE   STATE   ZONE      INSTANCES     CPU       MEMORY   GPU   REASON\n"
        "edge-1   edge   ready   plant-a           3   1.5/4   64MiB/2GiB     -   -\n");
}

SCENARIO("actors are a tree") {
  auto all = wire::ActorList{};
  const auto add = [&](const char* name, const char* parent) {
    auto& x = *all.add_actors();
    x.set_name(name);
    x.set_parent(parent);
    x.set_state("running");
  };
  add("n/agent", "n");
  add("n", "");
  add("n/agent/web.0", "n/agent");
  add("loop-a", "loop-b");
  add("loop-b", "loop-a");
  const auto rows = actor_table(all, true).rows;
  REQUIRE(rows.size() >= 3);
  CHECK(rows[0][0] == "n");
  CHECK(rows[1][0] == "  n/agent");
  CHECK(rows[2][0] == "    n/agent/web.0");
  THEN("what stands above actors without being one is shown, but is no name") {
    auto links = wire::ActorList{};
    for (const auto* name : {"n/link/a", "n/link/b"}) {
      auto& x = *links.add_actors();
      x.set_name(name);
      x.set_parent("n/link");
      x.set_state("running");
    }
    const auto tree = actor_table(links, true).rows;
    REQUIRE(tree.size() == 4);
    CHECK(tree[0] == std::vector<std::string>{"n"});
    CHECK(tree[1][0] == "  n/link");
    CHECK(tree[2][0] == "    n/link/a");
    const auto names = actor_table(links, false).rows;
    REQUIRE(names.size() == 2);
    CHECK(names[0][0] == "n/link/a");
  }
}

SCENARIO("an answer from a newer fabric is read as far as it is known") {
  CHECK(read<wire::Done>(R"({"index":"5","brand_new":{"x":1}})").index() == 5);
  CHECK_THROWS(read<wire::Done>("<html>"));
  CHECK_THROWS(read<wire::Done>(R"({"index":"five"})"));
  CHECK(word(wire::PHASE_RUNNING) == "running");
  CHECK(word(wire::PHASE_UNSPECIFIED) == "");
}
