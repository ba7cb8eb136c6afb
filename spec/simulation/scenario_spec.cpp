#include "actors/simulation/scenario.hpp"
#include "actors/simulation/simulate.hpp"
#include "spec/full_disk.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

using namespace novacron;
using namespace novacron::simulation;

namespace {

std::optional<std::string> no_files(const std::string&) {
  return {};
}

const auto world_text = std::string{R"(
world {
  [[hosts]]
  name = "cloud"
  count = 1
  role = "cloud"
  [[hosts]]
  name = "edge"
  count = 3
  zone = "plant-a"
}
)"};

std::vector<std::string> errors_of(const std::string& text) {
  return read_scenario(text, "test.nova", no_files).errors;
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

double value_of(const std::string& text, const std::map<std::string, value>& facts) {
  auto names = std::vector<std::string>{};
  for (const auto& [name, unused] : facts)
    names.push_back(name);
  auto errors = std::vector<script_error>{};
  const auto what = expression::parse(text, {"x", 1, 1}, names, errors);
  REQUIRE(errors.empty());
  auto error = std::string{};
  const auto found = what.evaluate(
      [&](const std::string& name) -> std::optional<value> {
        const auto at = facts.find(name);
        return at == facts.end() ? std::nullopt : std::optional{at->second};
      },
      error);
  REQUIRE_MESSAGE(found, error);
  return std::get<double>(*found);
}

} // namespace

SCENARIO("a scenario with three mistakes gives three errors that point at them") {
  const auto errors = errors_of(world_text + "advnce 5s\ncrash egde-1\nexpect workloads.runing == 3\n");
  REQUIRE(errors.size() == 3);
  CHECK(errors[0] == "test.nova:12:1: there is no statement 'advnce'; did you mean 'advance'?");
  CHECK(errors[1] == "test.nova:13:7: no host is meant by 'egde-1'; did you mean 'edge-1'?");
  CHECK(errors[2] == "test.nova:14:8: there is no fact 'workloads.runing'; did you mean 'workloads.running'?");
}

SCENARIO("a command with such a scenario says all of them, plays nothing, and exits with 2") {
  auto pattern = (std::filesystem::temp_directory_path() / "novacron-mistakes-XXXXXX").string();
  const auto home = std::filesystem::path{::mkdtemp(pattern.data())};
  const auto file = (home / "bad.nova").string();
  std::ofstream{file} << world_text << "advnce 5s\ncrash egde-1\nexpect workloads.runing == 3\n";
  const auto told = home / "told";
  CHECK(spec::in_child([&] {
          auto out = std::ostringstream{};
          auto err = std::ostringstream{};
          std::cout.rdbuf(out.rdbuf());
          std::cerr.rdbuf(err.rdbuf());
          auto asked = shell::invocation{};
          asked.arguments = {file};
          const auto code = run_simulate(asked);
          std::ofstream{told} << out.str() << err.str();
          return code;
        }) == 2);
  CHECK(read_from_disk(told.string()).value_or("") ==
        "novacron: " + file + ":12:1: there is no statement 'advnce'; did you mean 'advance'?\n" + "novacron: " + file +
            ":13:7: no host is meant by 'egde-1'; did you mean 'edge-1'?\n" + "novacron: " + file +
            ":14:8: there is no fact 'workloads.runing'; did you mean 'workloads.running'?\n");
  std::filesystem::remove_all(home);
}

SCENARIO("whatever is wrong with a statement, it is said before anything is played") {
  const auto one = [](const std::string& line) {
    const auto errors = errors_of(world_text + line + "\n");
    REQUIRE(errors.size() == 1);
    return errors.front();
  };
  CHECK(mentions(one("advance soon"), "12:9: 'soon' is not a duration"));
  CHECK(mentions(one("advance"), "usage: advance TIME"));
  CHECK(mentions(one("advance 5s 6s"), "12:12: usage: advance TIME"));
  CHECK(mentions(one("until converged 5m"), "usage: until CONDITION within TIME"));
  CHECK(mentions(one("expect converged = 1"), "did you mean '=='"));
  CHECK(mentions(one("expect max(host.cpu"), "')' of max is missing"));
  CHECK(mentions(one("expect biggest(host.cpu) < 1"), "there is no function biggest"));
  CHECK(mentions(one("expect 5 parsecs < 1"), "one word too many"));
  CHECK(mentions(one("expect 5parsecs < 1"), "is no number"));
  CHECK(mentions(one("cut zone=plant-b"), "no host is meant by 'zone=plant-b'; did you mean 'zone=plant-a'?"));
  CHECK(mentions(one("weather strom for 5m"), "did you mean 'storm'?"));
  CHECK(mentions(one("heal north"), "no cut is called 'north'"));
  CHECK(mentions(one("stop web"), "no workload 'web' was run before"));
  CHECK(mentions(one("slow edge-1 fast"), "no whole number"));
  CHECK(mentions(one("advance $pause"), "there is no variable $pause"));
  CHECK(mentions(one("report 'no end"), "this ' has no end"));
  CHECK(mentions(one("every 10s {"), "the block of 'every' has no end"));
  CHECK(mentions(one("include other.nova"), "other.nova cannot be read"));
  CHECK(mentions(one("run {\n  name = \"web\"\n  image = \"web:1\"\n  replica = 3\n}"),
                 "test.nova:15: replica is not a key; did you mean 'replicas'?"));
  CHECK(mentions(errors_of("advance 5s\n").front(), "needs a world"));
  CHECK(mentions(errors_of("").front(), "a scenario needs a world"));
  CHECK(mentions(errors_of("world {\n  [[hosts]]\n  name = \"edge\"\n  zoen = \"a\"\n}\n").front(),
                 "test.nova:4: hosts[0].zoen is not a key"));
  CHECK(mentions(errors_of("world {\n  [[hosts]]\n  name = \"edge\"\n}\n").front(), "a world needs a controller"));
}

SCENARIO("what is given from outside goes before the scenario's own values, and sums of numbers are worked out") {
  const auto text =
      std::string{"let hosts = 4\nlet half = $hosts / 2\nlet data = ../2 / 3\nlet when = '4 - 1'\nworld {\n"
                  "[[hosts]]\nname = \"cloud\"\nrole = \"cloud\"\n[[hosts]]\nname = \"edge\"\n"
                  "count = $half\n}\nreport $data $when\n"};
  CHECK(read_scenario(text, "x.nova", no_files).what.plan.hosts.size() == 3);
  const auto given = read_scenario(text, "x.nova", no_files, {{"hosts", "10"}});
  CHECK(given.errors.empty());
  CHECK(given.what.plan.hosts.size() == 6);
  auto said = player{given.what, {}};
  CHECK(said.play().reports == std::vector<std::string>{"../2 / 3 4 - 1"});
  const auto unknown = read_scenario(text, "x.nova", no_files, {{"host", "10"}}).errors;
  REQUIRE(unknown.size() == 1);
  CHECK(unknown[0] == "--let host=10: x.nova has no 'let host = ...'; did you mean 'hosts'?");
}

SCENARIO("what is wrong with a trace is said where it is asked for") {
  const auto files = [](const std::string& name) -> std::optional<std::string> {
    if (name == "pods.csv")
      return "h\np,1000,64,0,0,,LS,Running,0,60,0\n";
    if (name == "timeless.csv")
      return "h\np,1000,64,0,0\n";
    if (name == "bent.csv")
      return "h\np,many,64,0,0\n";
    if (name == "nodes.csv")
      return "h\na,4000,8192,0,\nb,8000,8192,2,T4\nc,4000,8192,0,\n";
    return {};
  };
  const auto one = [&](const std::string& line) {
    const auto errors = read_scenario(world_text + line + "\n", "test.nova", files).errors;
    REQUIRE(errors.size() == 1);
    return errors.front();
  };
  CHECK(one("replay gone.csv.gz") == "test.nova:12:8: gone.csv.gz cannot be read");
  CHECK(one("replay bent.csv") ==
        "test.nova:12:8: bent.csv: line 2: column 2 is \"many\"; a number from 0 to 1099511627776 is wanted");
  CHECK(one("replay timeless.csv") ==
        "test.nova:12:8: timeless.csv has no pods of which it says when they came and went");
  CHECK(mentions(one("replay pods.csv sped=3"), "12:17: usage: replay PODS.csv"));
  CHECK(mentions(one("replay pods.csv speed=fast"), "12:17: 'speed=fast' is no whole number"));
  CHECK(mentions(one("replay pods.csv from=soon"), "12:17: 'soon' is not a duration"));
  const auto world = [&](const std::string& hosts) {
    return read_scenario("world {\n[[hosts]]\nname = \"cloud\"\nrole = \"cloud\"\n[[hosts]]\n" + hosts + "}\n",
                         "test.nova", files);
  };
  const auto listed = world("trace = \"nodes.csv\"\none_in = 2\nzone = \"a\"\n");
  REQUIRE(listed.errors.empty());
  REQUIRE(listed.what.plan.hosts.size() == 3);
  CHECK(listed.what.plan.hosts[2].name == "c");
  CHECK(listed.what.plan.hosts[2].zone == "a");
  const auto all = world("trace = \"nodes.csv\"\n").what.plan.hosts;
  REQUIRE(all.size() == 4);
  CHECK(all[2].capacity.cpu_milli() == 8000);
  CHECK(all[2].capacity.memory_bytes() == 8ull << 30);
  CHECK(all[2].capacity.gpu_milli() == 2000);
  CHECK(all[2].capacity.gpu_model() == "T4");
  const auto missing = world("trace = \"gone.csv\"\n").errors;
  REQUIRE(missing.size() == 1);
  CHECK(mentions(missing[0],
                 "test.nova:6: hosts[1].trace is \"gone.csv\", but must be a list of hosts; gone.csv cannot"));
}

SCENARIO("variables, includes, comments and blocks are read as they are meant") {
  const auto files = [](const std::string& name) -> std::optional<std::string> {
    if (name == "wait.nova")
      return "advance $pause\n";
    return {};
  };
  const auto read = read_scenario(
      world_text + "let pause = 5s  # a while\ninclude wait.nova; advance 1s\nevery $pause {\n  report 'a word'\n}\n",
      "x.nova", files);
  CHECK(read.errors.empty());
  CHECK(read.what.steps.size() == 3);
  CHECK(read.what.plan.hosts.size() == 4);
  CHECK(read.what.plan.hosts[3].joins == std::vector<std::string>{"cloud-1"});
}

SCENARIO("conditions are worked out as people read them") {
  const auto facts = std::map<std::string, value>{{"a.b", 3.0},
                                                  {"list", std::vector<double>{1, 5, 3}},
                                                  {"none", std::vector<double>{}},
                                                  {"who", std::string{"edge-1"}}};
  CHECK(value_of("1 + 2 * 3 == 7", facts) == 1);
  CHECK(value_of("(1 + 2) * 3", facts) == 9);
  CHECK(value_of("a.b - 1", facts) == 2);
  CHECK(value_of("a.b == 3 and not a.b > 3", facts) == 1);
  CHECK(value_of("a.b == 4 or a.b == 3", facts) == 1);
  CHECK(value_of("max(list)", facts) == 5);
  CHECK(value_of("min(list) + count(list) + sum(list)", facts) == 13);
  CHECK(value_of("mean(list)", facts) == 3);
  CHECK(value_of("max(none)", facts) == 0);
  CHECK(value_of("who == \"edge-1\"", facts) == 1);
  CHECK(value_of("95%", facts) == doctest::Approx(0.95));
  CHECK(value_of("10m", facts) == 600);
  CHECK(value_of("64MiB", facts) == 67108864);
  CHECK(value_of("-2 < -1", facts) == 1);
}
