#include "actors/node/configuration.hpp"

#include "actors/shell/commands.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

constexpr auto whole = R"(
[fabric]
name = "demo"
[cache]
redis = "unix:/run/redis.sock"
[log]
level = "debug"
format = "json"
[scheduler]
patience = "3s"
policy = "pack"
[trust]
life = "1h"
[[node]]
name = "cloud-1"
role = "cloud"
listen = "0.0.0.0:7100"
address = "cloud.example:7100"
api = "127.0.0.1:7180"
ledger = "10.0.0.1:7190"
[[node]]
name = "edge-1"
role = "edge"
join = ["cloud-1", "[::1]:7200"]
zone = "plant-a"
region = "north"
labels = { ssd = "true", "line/no" = "7" }
resources = { cpu = 0.5, memory = "2GiB", disk = 1024, gpu = 1, gpu_model = "a100", extra = { fpga = 2 } }
data_dir = "/var/tmp/edge-1"
mounts = ["/srv/media"]
masquerade = false
templates = "256MiB"
checkpoints = "2GiB"
)";

node::resolved read(std::string_view text, const std::map<std::string, std::string>& flags = {},
                    const std::map<std::string, std::string>& environment = {}) {
  return node::resolve({node::layer_from_flags(flags), node::layer_from_environment(environment),
                        node::layer_from_toml("nodes.toml", text)},
                       "/data");
}

std::string complaints(const node::resolved& x) {
  auto all = std::string{};
  for (const auto& one : x.problems)
    all += node::to_string(one) + '\n';
  return all;
}

std::string from(const node::resolved& x, const std::string& key) {
  const auto found = std::find_if(x.shown.begin(), x.shown.end(), [&](const auto& s) { return s.key == key; });
  return found == x.shown.end() ? "(not shown)" : found->value + " from " + found->from;
}

/// A node that is right, with one more line.
std::string edge_with(const std::string& line) {
  return "[[node]]\nname = \"cloud-1\"\nrole = \"cloud\"\n[[node]]\nname = \"edge-1\"\nrole = \"edge\"\njoin = "
         "\"cloud-1\"\n" +
         line;
}

} // namespace

SCENARIO("a fabric is described in one file") {
  const auto read_all = read(whole);
  REQUIRE(complaints(read_all) == "");
  const auto& x = read_all.settings;
  CHECK(x.fabric.name == "demo");
  CHECK(x.cache.redis == "unix:/run/redis.sock");
  CHECK(x.log.level == host::level::debug);
  CHECK(x.log.format == host::log_format::json);
  CHECK(x.scheduler.patience == 3s);
  CHECK(x.scheduler.policy == "pack");
  CHECK(x.trust.life == 1h);
  REQUIRE(x.nodes.size() == 2);
  const auto& cloud = *x.find("cloud-1");
  CHECK(cloud.is_controller());
  CHECK_FALSE(cloud.workloads);
  CHECK(cloud.api == node::endpoint{"127.0.0.1", 7180});
  CHECK(cloud.data_dir == "/data/cloud-1");
  const auto& edge = *x.find("edge-1");
  CHECK(edge.workloads);
  CHECK_FALSE(edge.listen);
  REQUIRE(edge.join.size() == 2);
  CHECK(edge.join[0] == node::join_target{"cloud-1", {"cloud.example", 7100}});
  CHECK(edge.join[1] == node::join_target{"", {"::1", 7200}});
  CHECK(edge.labels.at("line/no") == "7");
  CHECK(edge.resources.cpu_milli == 500);
  CHECK(edge.resources.memory_bytes == 2ull << 30);
  CHECK(edge.resources.disk_bytes == 1024);
  CHECK(edge.resources.gpu_milli == 1000);
  CHECK(edge.resources.extra.at("fpga") == 2);
  CHECK(edge.data_dir == "/var/tmp/edge-1");
  CHECK(edge.mounts.size() == 1);
  CHECK_FALSE(edge.masquerade);
  CHECK(edge.templates == std::uint64_t{256} << 20);
  CHECK(edge.checkpoints == std::uint64_t{2} << 30);
  CHECK_FALSE(x.self);
}

SCENARIO("without a file this host is a fabric of one") {
  const auto alone = read("");
  REQUIRE(alone.problems.empty());
  REQUIRE(alone.settings.nodes.size() == 1);
  CHECK(alone.settings.self == 0u);
  const auto& self = alone.settings.nodes[0];
  CHECK(self.role == "hybrid");
  CHECK(self.workloads);
  CHECK(self.listen == node::endpoint{"127.0.0.1", 7100});
  CHECK(self.resources.cpu_milli == std::nullopt);
}

SCENARIO("flags beat the environment, which beats files, which beat defaults, and one can see it") {
  const auto x = read(whole, {{"log.level", "error"}, {"name", "edge-1"}, {"zone", "plant-b"}, {"mounts", "/a,/b"}},
                      {{"NOVACRON_LOG_LEVEL", "warn"},
                       {"NOVACRON_TRUST_LIFE", "2h"},
                       {"NOVACRON_WHATEVER", "x"},
                       {"NOVACRON_WORKLOADS", "false"}});
  REQUIRE(complaints(x) == "");
  CHECK(x.settings.log.level == host::level::error);
  CHECK(x.settings.self == 1u);
  CHECK(x.settings.nodes[1].zone == "plant-b");
  CHECK(x.settings.nodes[1].mounts.size() == 2);
  CHECK_FALSE(x.settings.nodes[1].workloads);
  CHECK(from(x, "log.level") == "error from --log-level");
  CHECK(from(x, "trust.life") == "2h from NOVACRON_TRUST_LIFE");
  CHECK(from(x, "scheduler.policy") == "pack from nodes.toml:11");
  CHECK(from(x, "node.edge-1.zone") == "plant-b from --zone");
  CHECK(from(x, "node.edge-1.api") == "(none) from default");
  THEN("a user's file fills what the directory's leaves open") {
    const auto both = node::resolve({node::layer_from_toml("nodes.toml", "[log]\nlevel = \"warn\"\n"),
                                     node::layer_from_toml("user.toml", "[log]\nlevel = \"off\"\nformat = \"json\"\n")},
                                    "/data");
    CHECK(both.settings.log.level == host::level::warn);
    CHECK(from(both, "log.format") == "json from user.toml:3");
  }
}

SCENARIO("a process knows which node it is") {
  CHECK(read(whole, {{"role", "edge"}}).settings.self == 1u);
  CHECK(read(whole, {{"name", "cloud-1"}, {"role", "cloud"}}).settings.self == 0u);
  const auto fresh = read(whole, {{"role", "gpu"}, {"name", "gpu-7"}, {"join", "cloud-1"}});
  REQUIRE(complaints(fresh) == "");
  CHECK(fresh.settings.self == 2u);
  CHECK(fresh.settings.nodes[2].name == "gpu-7");
  CHECK(read("", {{"role", "edge"}, {"join", "10.0.0.1:7100"}}).settings.nodes[0].name == "edge-1");
  CHECK(complaints(read(whole, {{"name", "edge-1"}, {"role", "cloud"}})).find("the file says \"edge\"") !=
        std::string::npos);
  CHECK(complaints(read(whole, {{"name", "edge-9"}})).find("--name: name = \"edge-9\": no such node") !=
        std::string::npos);
  CHECK(complaints(read("", {{"role", "edge"}})).find("must join") != std::string::npos);
}

SCENARIO("a mistake names file, line, key, value and what is accepted") {
  auto says = [](const std::string& text, const std::string& complaint) {
    const auto all = complaints(read(text));
    INFO(all);
    CHECK(all.find(complaint) != std::string::npos);
  };
  says("[log]\nlevel = \"loud\"",
       "nodes.toml:2: log.level = \"loud\": must be one of trace, debug, info, warn, error, off");
  says("[logg]\nlevel = \"info\"", "nodes.toml:1: logg = { level = \"info\" }: unknown key; did you mean \"log\"?");
  says("[log]\nlevle = \"info\"", "log.levle = \"info\": unknown key; did you mean \"level\"?");
  says("[log]\nlevel = 3", "log.level = 3: must be one of");
  says("[log", "nodes.toml:1: column ");
  says("[log]\nlevel=\"info\"\nlevel=\"info\"", "nodes.toml:3: column ");
  says("[scheduler]\npatience = \"99ms\"", "must be a time from \"100ms\" to \"1h\"");
  says("[scheduler]\npatience = 5", "scheduler.patience = 5: must be a time");
  says("[trust]\nlife = \"91d\"", "must be a time from \"1m\" to \"2160h\"");
  says("[trust]\nhandshake = \"99ms\"", "must be a time from \"100ms\" to \"1m\"");
  says("[cache]\nredis = \"nowhere\"", "must be \"HOST:PORT\", \"unix:/PATH\"");
  says(edge_with("listen = \"127.0.0.1:70000\""),
       "node.edge-1.listen = \"127.0.0.1:70000\": must be \"HOST:PORT\" with a port from 1 to 65535");
  says(edge_with("listen = \"127.0.0.1:0\""), "node.edge-1.listen");
  says(edge_with("listen = \"0.0.0.0:7200\""), "listens beyond loopback on every address");
  says(edge_with("listen = \"127.0.0.1:7200\"\naddress = \"10.0.0.1:7200\""), "only this host can reach loopback");
  says(edge_with("listen = \"127.0.0.1:7100\""), "is taken by node.cloud-1.listen");
  says(edge_with("ledger = \"127.0.0.1:7300\""), "only cloud and hybrid nodes keep a ledger");
  says(edge_with("data_dir = \"/data/cloud-1/\""), "is taken by node.cloud-1.data_dir");
  says(edge_with("data_dir = \"here\""), "must be an absolute path");
  says(edge_with("resources = { cpu = 0 }"), "node.edge-1.resources.cpu = 0: must be a number from 0.001 to 65536");
  says(edge_with("resources = { cpus = 1 }"), "did you mean \"cpu\"?");
  says(edge_with("resources = { memory = \"2 apples\" }"), "must be a size such as \"512MiB\"");
  says(edge_with("resources = { cpu = nan }"), "must be a number");
  says(edge_with("labels = { zone = \"a\" }"), "must be a label name other than zone");
  says(edge_with("zone = 1979-05-27"), "zone = a date or time");
  says("[[node]]\nname = \"edge-1\"\nrole = \"edge\"\njoin = \"cloud-9\"",
       "nodes.toml:4: node.edge-1.join = \"cloud-9\": there is no node \"cloud-9\"");
  says("[[node]]\nname = \"Edge_1\"\nrole = \"edge\"\njoin = \"a:1\"", "must be 1 to 63 of a-z, 0-9 and '-'");
  says("[[node]]\nrole = \"cloud\"", "must have a name");
  says("node = 3", "must be written as [[node]]");
  says("[self]\nname=\"x\"", "self: unknown section");
  THEN("all mistakes are told at once, in the order of the file") {
    const auto all = read("[log]\nlevel = \"loud\"\nformat = \"red\"\n[[node]]\nname = \"a\"\nrole = "
                          "\"king\"\n[[node]]\nname = \"a\"\nrole = \"cloud\"\n");
    REQUIRE(all.problems.size() == 4);
    CHECK(all.problems[0].where.line == 2);
    CHECK(all.problems[3].text.find("is the name of the node at nodes.toml:4 already") != std::string::npos);
  }
}

SCENARIO("an address has a host and a port") {
  CHECK(node::parse_endpoint("[::1]:1") == node::endpoint{"::1", 1});
  CHECK(node::parse_endpoint("a.example:65535") == node::endpoint{"a.example", 65535});
  for (const auto* wrong : {"", ":1", "a", "a:", "a:0", "a:65536", "a:1x", "a b:1", "::1:1", "a:-1", "[]:1"})
    CHECK_FALSE(node::parse_endpoint(wrong));
  CHECK(node::to_string(node::endpoint{"::1", 7}) == "[::1]:7");
}

SCENARIO("every setting of a node is a flag that is listed, and the other way round") {
  const auto table = shell::command_table{{"--role"}};
  auto listed = std::vector<std::string>{};
  for (const auto& x : table.find("--role")->flags)
    if (x.name != "config")
      listed.push_back(x.name);
  auto known = std::vector<std::string>{};
  for (const auto& [key, variable] : node::single_settings()) {
    auto flag = key;
    std::ranges::replace_if(
        flag, [](char c) { return c == '.' || c == '_'; }, '-');
    known.push_back(flag);
  }
  std::ranges::sort(listed);
  std::ranges::sort(known);
  CHECK(listed == known);
}
