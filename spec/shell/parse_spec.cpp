#include "actors/shell/parse.hpp"
#include "actors/shell/session.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

using namespace novacron::shell;

namespace {

const auto commands = command_table{{"dev", "--role", "bench", "doctor"}};

invocation good(const std::vector<std::string>& words) {
  auto x = parse(commands, words);
  const auto* wrong = std::get_if<usage_error>(&x);
  REQUIRE_MESSAGE(std::holds_alternative<invocation>(x), (wrong ? wrong->text : "help"));
  return std::get<invocation>(x);
}

std::string bad(const std::vector<std::string>& words) {
  const auto x = parse(commands, words);
  REQUIRE(std::holds_alternative<usage_error>(x));
  return std::get<usage_error>(x).text;
}

std::string topic(const std::vector<std::string>& words) {
  const auto x = parse(commands, words);
  REQUIRE(std::holds_alternative<help_wanted>(x));
  return std::get<help_wanted>(x).topic;
}

} // namespace

SCENARIO("nouns, verbs and shortcuts are found") {
  CHECK(good({"node", "list"}).what.path == "node list");
  CHECK(good({"ps"}).what.path == "ps");
  CHECK(good({"-o", "json", "node", "list"}).get("output") == "json");
  CHECK(good({"node", "-o", "json", "list"}).get("output") == "json");
  CHECK(good({"explain", "placement", "web"}).argument(0) == "web");
  CHECK(good({"actor", "trace", "cloud-1/scheduler", "-f"}).has("follow"));
}

SCENARIO("flags stand anywhere, in all spellings") {
  CHECK(good({"logs", "-f", "--tail=20", "web.0"}).number("tail", 0) == 20);
  CHECK(good({"logs", "web.0", "--tail", "20"}).number("tail", 0) == 20);
  CHECK(good({"ps", "-ojson"}).get("output") == "json");
  CHECK(good({"ps", "-o=json"}).get("output") == "json");
  CHECK(good({"ps", "-o", "json", "-o", "yaml"}).get("output") == "yaml");
  CHECK(good({"run", "-"}).argument(0) == "-");
  CHECK(good({"ps", "--timeout=30s"}).milliseconds("timeout", 0) == 30'000);
  CHECK(good({"stop", "web", "db", "--wait"}).arguments == std::vector<std::string>{"web", "db"});
  CHECK(good({"stop", "web", "db", "--wait"}).has("wait"));
  CHECK(!good({"run", "--wait=false", "x"}).has("wait"));
}

SCENARIO("what belongs to another command is left to it") {
  const auto x = good({"exec", "-it", "web.0", "ls", "-l", "--help"});
  CHECK(x.has("interactive"));
  CHECK(x.has("tty"));
  CHECK(x.arguments == std::vector<std::string>{"web.0", "ls", "-l", "--help"});
  CHECK(good({"exec", "web.0", "-it", "sh"}).arguments == std::vector<std::string>{"web.0", "sh"});
  CHECK(good({"exec", "web.0", "--", "-x"}).arguments == std::vector<std::string>{"web.0", "-x"});
  CHECK(good({"exec", "-e", "A=1", "-e", "B=2", "web.0", "env"}).all("env") == std::vector<std::string>{"A=1", "B=2"});
  CHECK(good({"watch", "2", "ps", "-o", "wide"}).arguments == std::vector<std::string>{"2", "ps", "-o", "wide"});
}

SCENARIO("a process takes its role from a flag") {
  const auto x = good({"--role=edge", "--name=edge-1", "--data-dir=/tmp/x"});
  CHECK(x.what.path == "--role");
  CHECK(x.get("role") == "edge");
  CHECK(x.get("name") == "edge-1");
  CHECK(good({"--role", "edge"}).get("role") == "edge");
  CHECK(good({"--name=edge-1"}).what.path == "--role");
  CHECK(bad({"--nmae=edge-1"}).find("unknown flag --nmae") == 0);
  CHECK(bad({"--role=egde"}).find("did you mean 'edge'?") != std::string::npos);
  CHECK(good({"bench", "workload", "--kind=container", "-o", "json"}).get("kind") == "container");
}

SCENARIO("help is asked for in many ways") {
  CHECK(topic({}) == "");
  CHECK(topic({"--help"}) == "");
  CHECK(topic({"-h"}) == "");
  CHECK(topic({"help"}) == "");
  CHECK(topic({"help", "node", "list"}) == "node list");
  CHECK(topic({"node"}) == "node");
  CHECK(topic({"node", "--help"}) == "node");
  CHECK(topic({"node", "list", "--help"}) == "node list");
  CHECK(topic({"logs", "-h"}) == "logs");
  CHECK(topic({"--help", "logs"}) == "logs");
  CHECK(std::holds_alternative<version_wanted>(parse(commands, {"--version"})));
}

SCENARIO("a slip of the finger is answered with what was meant") {
  CHECK(bad({"nod", "list"}) == "unknown command 'nod'; did you mean 'node'?; see novacron --help");
  CHECK(bad({"lgos", "web.0"}).find("did you mean 'logs'?") != std::string::npos);
  CHECK(bad({"node", "lst"}).find("did you mean 'list'?") != std::string::npos);
  CHECK(bad({"logs", "--folow", "web.0"}) ==
        "unknown flag --folow for logs; did you mean '--follow'?; see novacron logs --help");
  CHECK(bad({"ps", "-o", "jsno"}).find("must be one of table, wide, json, yaml, name; did you mean 'json'?") !=
        std::string::npos);
  CHECK(bad({"help", "node", "lst"}).find("did you mean 'node list'?") != std::string::npos);
  THEN("so is the word of another tool") {
    CHECK(bad({"apply", "web.toml"}) == "unknown command 'apply'; did you mean 'run'?; see novacron --help");
    CHECK(bad({"inspect", "web"}).find("did you mean 'workload show'?") != std::string::npos);
    CHECK(bad({"node", "ls"}).find("did you mean 'list'?") != std::string::npos);
    CHECK(bad({"node", "pull"}).find("did you mean") == std::string::npos);
  }
  THEN("a flag that nobody knows is never passed over in silence") {
    CHECK(bad({"dev", "--confg=x"}).find("did you mean '--config'?") != std::string::npos);
    CHECK(bad({"--role=edge", "--lisen=x"}).find("did you mean '--listen'?") != std::string::npos);
  }
  THEN("what resembles nothing gets no suggestion") {
    CHECK(bad({"xyzzy"}) == "unknown command 'xyzzy'; see novacron --help");
    CHECK(bad({std::string(5000, 'a')}).find("did you mean") == std::string::npos);
  }
}

SCENARIO("what is missing, too much or of the wrong kind is named") {
  CHECK(bad({"logs"}) == "logs needs INSTANCE; usage: novacron logs [-f] [--tail=LINES] INSTANCE");
  CHECK(bad({"node", "show", "a", "b"}).find("'b' is one word too many") == 0);
  CHECK(bad({"logs", "web.0", "--tail=many"}) == "--tail is 'many', but must be a whole number");
  CHECK(bad({"ps", "--timeout=5"}).find("must be a duration such as") != std::string::npos);
  CHECK(bad({"ps", "--output"}) == "--output needs a value: --output=FORMAT");
  CHECK(bad({"ps", "-o"}).find("-o needs a value") == 0);
  CHECK(bad({"logs", "--follow=maybe", "x"}).find("takes no value") != std::string::npos);
  CHECK(bad({"log-level", "loud"}).find("must be one of trace, debug, info, warn, error") != std::string::npos);
  CHECK(bad({"logs", "-z", "x"}).find("unknown flag -z for logs") == 0);
  CHECK(bad({"logs", ""}).find("must be something") != std::string::npos);
  CHECK(bad({"exec", "web.0"}).find("exec needs COMMAND") == 0);
}

SCENARIO("the table lists what works and nothing else") {
  THEN("a command without hook does not exist") {
    CHECK(!commands.find("simulate"));
    CHECK(commands.find("dev"));
    CHECK(!command_table{}.find("dev"));
    CHECK(bad({"simulate", "x"}).find("unknown command") == 0);
  }
  THEN("each command of the fabric is carried out, and nothing is carried out that has no entry") {
    auto listed = std::set<std::string>{};
    for (const auto& x : commands.all())
      if (x.by == performer::fabric)
        listed.insert(x.path);
    const auto done = performed();
    CHECK(listed == std::set<std::string>(done.begin(), done.end()));
  }
  THEN("each has a summary, an example that parses, and points only to commands that exist") {
    for (const auto& x : commands.all()) {
      CAPTURE(x.path);
      CHECK(!x.summary.empty());
      CHECK(!x.examples.empty());
      for (const auto& path : x.see_also)
        CHECK(commands.find(path));
      auto letters = std::set<char>{'o', 'q', 'h'};
      for (const auto& f : x.flags)
        if (f.letter)
          CHECK(letters.insert(f.letter).second);
    }
  }
}
