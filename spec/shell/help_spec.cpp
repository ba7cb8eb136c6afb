#include "actors/shell/completion.hpp"
#include "actors/shell/editor.hpp"
#include "actors/shell/help.hpp"
#include "actors/shell/parse.hpp"

#include "actors/host/process.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <system_error>

using namespace novacron;
using namespace novacron::shell;

namespace {

const auto commands = command_table{{"dev", "doctor"}};

std::vector<std::string> names(kind is, const std::string& context) {
  switch (is) {
    case kind::node: return {"cloud-1", "edge-1", "edge-2"};
    case kind::actor: return {"cloud-1/scheduler"};
    case kind::message:
      return context == "cloud-1/scheduler" ? std::vector<std::string>{"Submit", "DrainNode"}
                                            : std::vector<std::string>{};
    case kind::file: return {"web.toml", "work/"};
    default: return {};
  }
}

std::vector<std::string> offered(const std::vector<std::string>& words, const std::string& fragment) {
  auto found = std::vector<std::string>{};
  for (const auto& x : complete(commands, words, fragment, names))
    found.push_back(x.text);
  return found;
}

using texts = std::vector<std::string>;

bool has(const texts& all, const std::string& x) {
  return std::ranges::find(all, x) != all.end();
}

/// Runs a checker of scripts if this host has it.
void check_script(const std::string& shell) {
  try {
    const auto done = host::run({.argv = {shell, "-n"}}, std::chrono::seconds{30}, completion_script(shell));
    CHECK_MESSAGE(done.how.code == 0, done.err);
  } catch (const std::system_error&) {
    MESSAGE("skipped: there is no " << shell << " here to check its completion script");
  }
}

} // namespace

SCENARIO("help begins with examples at every level") {
  for (const auto* topic : {"", "node", "logs", "node list", "shell"}) {
    const auto text = help_text(commands, topic);
    CAPTURE(text);
    const auto examples = text.find("\nEXAMPLES\n");
    REQUIRE(examples != text.npos);
    CHECK(examples < text.find("\nFLAGS\n"));
    CHECK(examples < text.find("\nCOMMANDS\n"));
    CHECK(text.find("\nSEE ALSO\n") != text.npos);
  }
  CHECK(help_text(commands, "logs").find("  -f, --follow ") != std::string::npos);
  CHECK(help_text(commands, "").find("simulate") == std::string::npos);
  CHECK(help_text(commands, "").find("dev ") != std::string::npos);
}

SCENARIO("manual and documentation hold every command") {
  const auto man = man_page(commands, "1.0");
  const auto page = markdown_page(commands);
  for (const auto& x : commands.all()) {
    CHECK(page.find("`novacron " + x.path.substr(0, x.path.find('='))) != std::string::npos);
    CHECK(man.find(".SS novacron ") != std::string::npos);
  }
  try {
    const auto done = host::run({.argv = {"groff", "-man", "-Tutf8", "-ww"}}, std::chrono::seconds{30}, man);
    CHECK(done.how.code == 0);
    CHECK_MESSAGE(done.err.empty(), done.err);
    CHECK(done.out.find("novacron") != std::string::npos);
  } catch (const std::system_error&) {
    MESSAGE("skipped: there is no groff here to read the manual page");
  }
}

SCENARIO("completion scripts are valid") {
  check_script("bash");
  check_script("zsh");
  check_script("fish");
}

SCENARIO("commands, flags and names are completed") {
  CHECK(offered({}, "no") == texts{"node"});
  CHECK(has(offered({}, ""), "ps"));
  CHECK(has(offered({"node"}, ""), "list"));
  CHECK(offered({"node"}, "und") == texts{"undrain"});
  CHECK(offered({"node", "show"}, "edge") == texts{"edge-1", "edge-2"});
  CHECK(offered({"drain"}, "c") == texts{"cloud-1"});
  CHECK(offered({"drain", "edge-1"}, "").empty());
  CHECK(offered({"logs"}, "--fo") == texts{"--follow"});
  CHECK(offered({"ps"}, "--no") == texts{"--node=", "--no-headers"});
  CHECK(offered({"ps"}, "--node=edge") == texts{"--node=edge-1", "--node=edge-2"});
  CHECK(offered({"ps", "--node"}, "edge") == texts{"edge-1", "edge-2"});
  CHECK(offered({"ps", "-o"}, "j") == texts{"json"});
  CHECK(offered({"-o", "json", "node"}, "sh") == texts{"show"});
  CHECK(offered({"--connect", "x.sock", "node", "show"}, "c") == texts{"cloud-1"});
  CHECK(offered({"-o"}, "y") == texts{"yaml"});
  CHECK(offered({"run"}, "w") == texts{"web.toml", "work/"});
  CHECK(offered({"log-level"}, "d") == texts{"debug"});
  CHECK(offered({"watch", "2"}, "no") == texts{"node"});
  CHECK(offered({"watch", "2", "node", "show"}, "c") == texts{"cloud-1"});
  CHECK(offered({"help"}, "no") == texts{"node"});
  CHECK(offered({"explain"}, "") == texts{"placement"});
  CHECK(offered({"xyzzy"}, "").empty());
}

SCENARIO("actors, messages and the fields of a message are completed") {
  CHECK(offered({"ask"}, "cl") == texts{"cloud-1/scheduler"});
  CHECK(offered({"ask", "cloud-1/scheduler"}, "Dr") == texts{"DrainNode"});
  const auto drain = [](const std::string& json) { return offered({"ask", "cloud-1/scheduler", "DrainNode"}, json); };
  CHECK(drain("") == texts{"{"});
  CHECK(drain("{") == texts{"{\"order\": {", "{\"node\": \"", "{\"drained\": "});
  CHECK(drain("{\"no") == texts{"{\"node\": \""});
  CHECK(drain("{\"node\": \"edge-1\", ") ==
        texts{"{\"node\": \"edge-1\", \"order\": {", "{\"node\": \"edge-1\", \"drained\": "});
  CHECK(drain("{\"drained\": t") == texts{"{\"drained\": true"});
  CHECK(drain("{\"order\": {\"cl") == texts{"{\"order\": {\"client\": \""});
  const auto submit = [](const std::string& json) { return offered({"ask", "cloud-1/scheduler", "Submit"}, json); };
  CHECK(submit("{\"spec\": {\"kind\": \"WORKLOAD_KIND_B") == texts{"{\"spec\": {\"kind\": \"WORKLOAD_KIND_BATCH\""});
  CHECK(submit("{\"spec\": {\"placement\": {\"spread\": [{\"k") ==
        texts{"{\"spec\": {\"placement\": {\"spread\": [{\"key\": \""});
  CHECK(submit("{\"spec\": {\"labels\": {\"x").empty());
  CHECK(submit("{\"nothing\": {\"x").empty());
  CHECK(submit("]]}}{{::,,\"\\").empty());
  CHECK(offered({"ask", "cloud-1/agent", "ReportRequest"}, "") == texts{"{}"});
  CHECK(offered({"ask", "cloud-1/agent", "NoSuchMessage"}, "{").empty());
}

SCENARIO("Tab adds what all candidates have in common") {
  CHECK(completed("ed", {{"edge-1"}, {"edge-2"}}) == "ge-");
  CHECK(completed("edge-1", {{"edge-1"}}) == " ");
  CHECK(completed("--no", {{"--node=", "", false}}) == "de=");
  CHECK(completed("x", {{"a"}, {"b"}}) == "");
}
