#include "actors/shell/workload_file.hpp"

#include "actors/host/files.hpp"

#include <doctest/doctest.h>

using namespace novacron::shell;
namespace wire = novacron::v1;

namespace {

wire::WorkloadSpec one(const std::string& text) {
  const auto found = parse_workloads(text, "web.toml");
  REQUIRE_MESSAGE(found.errors.empty(), found.errors.front());
  REQUIRE(found.workloads.size() == 1);
  return found.workloads.front();
}

std::string error(const std::string& text) {
  const auto found = parse_workloads(text, "web.toml");
  CHECK(found.workloads.empty());
  REQUIRE(!found.errors.empty());
  return found.errors.front();
}

const std::string minimal = "name = \"web\"\nimage = \"web:1\"\n";

} // namespace

SCENARIO("a small file is enough") {
  const auto x = one(minimal);
  CHECK(x.name() == "web");
  CHECK(x.kind() == wire::WORKLOAD_KIND_CONTAINER);
  CHECK(x.program().image() == "web:1");
  CHECK(x.replicas() == 1);
  CHECK(x.restart().when() == wire::RESTART_WHEN_ALWAYS);
  CHECK(x.restart().delay_ms() == 100);
  CHECK(x.restart().delay_max_ms() == 30'000);
  CHECK(x.on_disconnect().action() == wire::ON_DISCONNECT_KEEP);
  CHECK(x.network().mode() == "bridge");
  CHECK(x.stop_grace_ms() == 10'000);
}

SCENARIO("every key has its place") {
  const auto x = one(R"(
name = "web"
kind = "container"
image = "web:1"
command = ["serve", "--port=80"]
env = { MODE = "fast" }
workdir = "/srv"
user = "1000"
read_only_root = true
replicas = 3
priority = -5
labels = { team = "a" }
on_disconnect = "stop_after 30s"
stop_grace = "3s"
mounts = [{ source = "/data", target = "/srv/data", read_only = true }]
[resources]
cpu = 0.5
memory = "64MiB"
disk = "1GiB"
gpu = 0.5
gpu_model = "h100"
extra = { fpga = 2 }
[placement]
policy = "pack"
require = { zone = "a" }
prefer = { disk = "nvme" }
near = ["db", { who = "tier=cache", over = "zone", prefer = true }]
apart = ["web", { who = "noisy", over = "rack" }]
spread = [{ key = "zone" }, { key = "node", max_skew = 2 }, { key = "rack", prefer = true }]
gang = true
[restart]
when = "on_failure"
limit = 5
delay = "1s"
delay_max = "1m"
[health]
http = "/healthz"
port = 80
interval = "2s"
timeout = "500ms"
failures = 4
grace = "0"
[network]
mode = "bridge"
ports = [{ host = 8080, inside = 80 }, { inside = 81 }]
)");
  CHECK(x.program().command_size() == 2);
  CHECK(x.program().env().at("MODE") == "fast");
  CHECK(x.program().mounts(0).read_only());
  CHECK(x.program().read_only_root());
  CHECK(x.replicas() == 3);
  CHECK(x.priority() == -5);
  CHECK(x.on_disconnect().after_ms() == 30'000);
  CHECK(x.resources().cpu_milli() == 500);
  CHECK(x.resources().memory_bytes() == 64u << 20);
  CHECK(x.resources().gpu_milli() == 500);
  CHECK(x.resources().extra().at("fpga") == 2);
  CHECK(x.placement().spread(0).max_skew() == 1);
  CHECK(x.placement().spread(1).max_skew() == 2);
  CHECK(x.placement().spread(2).prefer());
  CHECK(x.placement().near(0) == "db");
  CHECK(x.placement().near_to(0).who() == "tier=cache");
  CHECK(x.placement().near_to(0).over() == "zone");
  CHECK(x.placement().near_to(0).prefer());
  CHECK(x.placement().apart_size() == 1);
  CHECK(x.placement().apart_from(0).over() == "rack");
  CHECK(x.placement().gang());
  CHECK(x.restart().limit() == 5);
  CHECK(x.health().http_path() == "/healthz");
  CHECK(x.health().grace_ms() == 0);
  CHECK(x.network().ports(1).inside() == 81);
}

SCENARIO("what the page on placement shows is taken") {
  const auto page = novacron::host::read_file(HOUSE_ROOT "/doc/placement.md").value_or("");
  const auto begin = page.find("```toml\n") + 8;
  const auto x = one(minimal + page.substr(begin, page.find("```", begin) - begin)).placement();
  CHECK(x.near_to(0).prefer());
  CHECK(x.apart_from(0).over() == "rack");
  CHECK(x.spread_size() == 2);
  CHECK(x.tolerate_size() == 1);
}

SCENARIO("a batch workload counts completions") {
  const auto x =
      one(minimal + "kind = \"batch\"\nbatch = { completions = 4, parallelism = 2, retries = 3, deadline = \"10m\" }");
  CHECK(x.replicas() == 0);
  CHECK(x.batch().completions() == 4);
  CHECK(x.batch().deadline_ms() == 600'000);
  CHECK(x.restart().when() == wire::RESTART_WHEN_NEVER);
  CHECK(one(minimal + "kind = \"batch\"").batch().completions() == 1);
  CHECK(error(minimal + "kind = \"batch\"\nreplicas = 2").find("batch.completions") != std::string::npos);
  CHECK(error(minimal + "batch = { completions = 4 }").find("kind = \"batch\"") != std::string::npos);
}

SCENARIO("several workloads fit in one file") {
  const auto found =
      parse_workloads("[[workload]]\nname = \"a\"\nimage = \"i\"\n[[workload]]\nname = \"b\"\nimage = \"i\"\n", "x");
  REQUIRE(found.workloads.size() == 2);
  CHECK(found.workloads[1].name() == "b");
  CHECK(error("[[workload]]\nname = \"a\"\nimage = \"i\"\n[[workload]]\nname = \"a\"\nimage = \"i\"\n") ==
        "web.toml: there are two workloads called 'a'");
}

SCENARIO("an error names file, line, key, value, and what is accepted") {
  CHECK(error(minimal + "[resources]\nmemory = \"64Mb\"") ==
        "web.toml:4: resources.memory is \"64Mb\", but must be a size such as \"64MiB\" or \"1.5GB\"");
  CHECK(error(minimal + "replica = 2") == "web.toml:3: replica is not a key; did you mean 'replicas'?; known are name, "
                                          "kind, image, command, env, workdir, user, "
                                          "read_only_root, mounts, replicas, priority, preempts, tenant, labels, resources, placement, "
                                          "restart, on_disconnect, health, network, batch, function, "
                                          "conversion, stop_grace");
  CHECK(error(minimal + "kind = \"contaner\"") ==
        "web.toml:3: kind is \"contaner\", but must be one of \"container\", \"sandbox\", \"vm\", \"function\", "
        "\"batch\"; did you mean 'container'?");
  CHECK(error(minimal + "replicas = \"two\"") ==
        "web.toml:3: replicas is \"two\", but must be a whole number from 0 to 100000");
  CHECK(error(minimal + "command = \"serve\"") == "web.toml:3: command is \"serve\", but must be a list of texts");
  CHECK(error(minimal + "command = [1]") == "web.toml:3: command[0] is 1, but must be a text in quotes");
  CHECK(error(minimal + "placement = { near = [1] }") ==
        "web.toml:3: placement.near[0] is 1, but must be a text in quotes or a table");
  CHECK(error(minimal + "placement = { apart = [{ over = \"zone\" }] }") ==
        "web.toml:3: placement.apart[0].who is missing: a workload's name, or a label of workloads such as "
        "\"app=web\"");
  CHECK(error(minimal + "env = { A = 1 }") == "web.toml:3: env.A is 1, but must be a text in quotes");
  CHECK(error(minimal + "network = { ports = [{ host = 8080 }] }")
            .find("network.ports[0].inside is missing: a port from 1 to 65535") != std::string::npos);
  CHECK(error(minimal + "stop_grace = 10") ==
        "web.toml:3: stop_grace is 10, but must be a duration such as \"500ms\", \"30s\" or \"1h30m\"");
  CHECK(error("image = \"i\"") == "web.toml:1: name is missing: the workload's name, such as \"web\"");
  CHECK(error("name = \"web\"") == "web.toml:1: image is missing: the name of an image, such as \"web:1\"");
  CHECK(error("name = ").find("web.toml:1: ") == 0);
  CHECK(error("") == "web.toml: there is nothing in it");
}

SCENARIO("both sides of every bound") {
  const auto ok = [](const std::string& more) { return parse_workloads(minimal + more, "x").errors.empty(); };
  CHECK(ok("replicas = 0"));
  CHECK(ok("replicas = 100000"));
  CHECK(!ok("replicas = 100001"));
  CHECK(!ok("replicas = -1"));
  CHECK(!ok("replicas = 9999999999999999999"));
  CHECK(ok("network = { ports = [{ host = 65535, inside = 1 }] }"));
  CHECK(!ok("network = { ports = [{ host = 65536, inside = 1 }] }"));
  CHECK(!ok("network = { ports = [{ host = 1, inside = 0 }] }"));
  CHECK(!ok("network = { ports = [{ host = 80, inside = 1 }, { host = 80, inside = 2 }] }"));
  CHECK(!ok("network = { mode = \"none\", ports = [{ host = 80, inside = 1 }] }"));
  CHECK(ok("resources = { cpu = 2, memory = 1024 }"));
  CHECK(!ok("resources = { cpu = 0.0001 }"));
  CHECK(!ok("resources = { cpu = -1 }"));
  CHECK(!ok("resources = { cpu = nan }"));
  CHECK(!ok("resources = { memory = \"99999PiB\" }"));
  CHECK(ok("health = { port = 80 }"));
  CHECK(ok("health = { command = [\"true\"] }"));
  CHECK(!ok("health = { http = \"/x\" }"));
  CHECK(!ok("health = { command = [\"true\"], port = 80 }"));
  CHECK(!ok("health = { port = 80, interval = \"0\" }"));
  CHECK(!ok("on_disconnect = \"stop_after\""));
  CHECK(!ok("on_disconnect = \"stop_after soon\""));
  CHECK(!ok("restart = { delay = \"1m\", delay_max = \"1s\" }"));
  CHECK(!ok("mounts = [{ source = \"data\", target = \"/x\" }]"));
  const auto named = [](const std::string& name) {
    return parse_workloads("image = \"i\"\nname = \"" + name + "\"", "x").errors.empty();
  };
  CHECK(named(std::string(57, 'a')));
  CHECK(!named(std::string(58, 'a')));
  for (const auto* x : {"", "-a", "a-", "A", "a b", "a/b", "a.b", "../a"})
    CHECK_MESSAGE(!named(x), x);
}

SCENARIO("JSON is understood as well") {
  CHECK(one(R"({"name": "web", "program": {"image": "i"}, "replicas": 2})").replicas() == 2);
  CHECK(one(R"({"record": {"spec": {"name": "web"}}, "phase": "PHASE_RUNNING"})").name() == "web");
  CHECK(parse_workloads(R"([{"name": "a"}, {"name": "b"}])", "x").workloads.size() == 2);
  CHECK(error(R"({"name": "web", "replica": 2})").find("replica") != std::string::npos);
  CHECK(error("{broken") == "web.toml: this is no JSON");
  CHECK(error("[1]").find("web.toml") == 0);
  CHECK(error(R"({"replicas": 2})").find("name is missing") != std::string::npos);
}

SCENARIO("no file is too deep or too long to be refused") {
  CHECK(error("a = " + std::string(100'000, '[')).find("deep") != std::string::npos);
  CHECK(error(std::string(100'000, '{')).find("deep") != std::string::npos);
  CHECK(error(std::string(workload_file_bytes_max + 1, '#')).find("larger than 1MiB") != std::string::npos);
}

SCENARIO("a function says how it is called, and its calls how many there are") {
  const auto x = one(minimal + R"(
kind = "function"
function = { handler = "stream", concurrency = 4, instances_min = 1, instances_max = 20, waiting_max = 7, timeout = "5s", keep_alive = "2m" }
)");
  CHECK(x.kind() == wire::WORKLOAD_KIND_FUNCTION);
  CHECK(x.function().handler() == "stream");
  CHECK(x.function().concurrency() == 4);
  CHECK(x.function().instances_min() == 1);
  CHECK(x.function().instances_max() == 20);
  CHECK(x.function().waiting_max() == 7);
  CHECK(x.function().timeout_ms() == 5000);
  CHECK(x.function().keep_alive_ms() == 120'000);
  CHECK(x.replicas() == 0);
  CHECK(x.on_disconnect().action() == wire::ON_DISCONNECT_UNSPECIFIED);
  CHECK(one(minimal + "kind = \"function\"\non_disconnect = \"keep\"\n").on_disconnect().action() ==
        wire::ON_DISCONNECT_KEEP);
}

SCENARIO("what does not go with a function is refused") {
  const auto function = minimal + "kind = \"function\"\n";
  CHECK(error(function + "replicas = 2\n").find("function.instances_min") != std::string::npos);
  CHECK(error(function + "health = { port = 80 }\n").find("health") != std::string::npos);
  CHECK(error(minimal + "function = {}\n").find("kind = \"function\"") != std::string::npos);
  for (const auto* rule :
       {"handler = \"http\"", "concurrency = 0", "concurrency = 33", "instances_max = 0", "waiting_max = 1001",
        "timeout = \"0s\"", "keep_alive = 5", "instances_min = 3, instances_max = 2", "colour = 1"}) {
    CAPTURE(rule);
    CHECK_FALSE(error(function + "function = { " + rule + " }\n").empty());
  }
}
