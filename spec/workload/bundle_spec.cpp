#include "actors/workload/bundle.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

using namespace novacron;
using workload::bundle_config;
namespace wire = novacron::v1;

namespace {

wire::Instance web() {
  auto x = wire::Instance{};
  x.set_name("web.3");
  x.set_workload("web");
  x.set_ordinal(3);
  x.set_epoch(7);
  x.mutable_spec()->set_kind(wire::WORKLOAD_KIND_CONTAINER);
  x.mutable_spec()->mutable_program()->add_command("/bin/serve");
  return x;
}

nlohmann::json config_of(const wire::Instance& x, const workload::bundle_options& options) {
  return nlohmann::json::parse(bundle_config(x.spec(), workload::arguments_for(x, {}, "n"), options));
}

} // namespace

SCENARIO("a container is shut in") {
  const auto config = config_of(web(), {.root = "/r", .hostname = "web.3", .cgroup_path = "/novacron/x/web.3"});
  CHECK(config["process"]["noNewPrivileges"] == true);
  CHECK(config["process"]["terminal"] == false);
  for (const auto* kind : {"bounding", "effective", "permitted"}) {
    const auto& kept = config["process"]["capabilities"][kind];
    CHECK(kept.size() == 14);
    CHECK(std::ranges::find(kept, "CAP_SYS_ADMIN") == kept.end());
  }
  auto namespaces = std::vector<std::string>{};
  for (const auto& each : config["linux"]["namespaces"])
    namespaces.push_back(each["type"]);
  CHECK(namespaces == std::vector<std::string>{"pid", "ipc", "uts", "mount", "cgroup"});
  CHECK(config["linux"]["maskedPaths"].size() > 5);
  CHECK(config["linux"]["resources"]["devices"][0]["allow"] == false);
  CHECK(config["linux"]["seccomp"]["syscalls"][0]["action"] == "SCMP_ACT_ERRNO");
}

SCENARIO("a container's names are its own, and the host's only on the host's network") {
  auto x = web();
  const auto source_of = [&](const char* target, const workload::bundle_options& options) {
    auto source = std::string{};
    const auto config = config_of(x, options);
    for (const auto& each : config["mounts"])
      if (each["destination"] == target)
        source = each["source"];
    return source;
  };
  CHECK(source_of("/etc/hosts", {.network_files = "/i/etc"}) == "/i/etc/hosts");
  CHECK(source_of("/etc/resolv.conf", {.network_files = "/i/etc"}) == "/i/etc/resolv.conf");
  CHECK(source_of("/etc/resolv.conf", {.host_network = true}) == "/etc/resolv.conf");
  x.mutable_spec()->mutable_network()->set_mode("none");
  CHECK(source_of("/etc/hosts", {.network_files = "/i/etc"}) == "/i/etc/hosts");
  CHECK(source_of("/etc/resolv.conf", {.network_files = "/i/etc"}).empty());
  CHECK(workload::hosts_file("web.3", "10.64.0.7").ends_with("\n10.64.0.7\tweb.3\n"));
}

SCENARIO("limits become what the kernel counts in") {
  auto x = web();
  CHECK_FALSE(config_of(x, {})["linux"]["resources"].contains("cpu"));
  CHECK_FALSE(config_of(x, {})["linux"]["resources"].contains("memory"));
  x.mutable_spec()->mutable_resources()->set_cpu_milli(250);
  x.mutable_spec()->mutable_resources()->set_memory_bytes(64 << 20);
  const auto limits = config_of(x, {.pids_max = 99})["linux"]["resources"];
  CHECK(limits["cpu"]["quota"] == 25'000);
  CHECK(limits["cpu"]["period"] == 100'000);
  CHECK(limits["memory"]["limit"] == 64 << 20);
  CHECK(limits["memory"]["swap"] == 64 << 20);
  CHECK(limits["pids"]["limit"] == 99);
}

SCENARIO("a resize changes the limits and nothing else") {
  auto x = web();
  x.mutable_spec()->mutable_resources()->set_cpu_milli(250);
  x.mutable_spec()->mutable_resources()->set_memory_bytes(64 << 20);
  const auto before = bundle_config(x.spec(), workload::arguments_for(x, {}, "n"), {});
  auto to = wire::Resources{};
  to.set_cpu_milli(500);
  x.mutable_spec()->mutable_resources()->set_cpu_milli(500);
  const auto after = bundle_config(x.spec(), workload::arguments_for(x, {}, "n"), {});
  CHECK(nlohmann::json::parse(workload::resize_config(before, to)) == nlohmann::json::parse(after));
}

SCENARIO("an instance knows who it is, and the workload has the last word") {
  auto x = web();
  (*x.mutable_spec()->mutable_program()->mutable_env())["NOVACRON_NODE"] = "mine";
  const auto process = workload::arguments_for(x, {.env = {"A=b", "PATH=/image"}}, "n");
  const auto has = [&](const char* pair) { return std::ranges::find(process.env, pair) != process.env.end(); };
  CHECK(has("NOVACRON_INSTANCE=web.3"));
  CHECK(has("NOVACRON_ORDINAL=3"));
  CHECK(has("NOVACRON_EPOCH=7"));
  CHECK(has("NOVACRON_NODE=mine"));
  CHECK(has("A=b"));
  CHECK(has("PATH=/image"));
}

SCENARIO("what cannot run as a container is refused in words") {
  const auto refusal = [](const wire::Instance& x) {
    return workload::refuse_container(x.spec(), workload::arguments_for(x, {}, "n"), {"/srv/shared"});
  };
  CHECK(refusal(web()).empty());
  auto x = web();
  x.mutable_spec()->mutable_program()->clear_command();
  CHECK(refusal(x).find("no command") != std::string::npos);
  x = web();
  x.mutable_spec()->mutable_network()->set_mode("magic");
  CHECK(refusal(x).find("magic") != std::string::npos);
  x = web();
  x.mutable_spec()->mutable_network()->add_ports()->set_inside(70'000);
  CHECK_FALSE(refusal(x).empty());
  x = web();
  auto& mount = *x.mutable_spec()->mutable_program()->add_mounts();
  mount.set_target("/data");
  mount.set_source("/srv/shared/a");
  CHECK(refusal(x).empty());
  for (const auto* source : {"/etc", "/srv/shared/../../etc", "/srv/sharedness", "relative"}) {
    mount.set_source(source);
    CHECK_FALSE(refusal(x).empty());
  }
}

SCENARIO("the signal that ends a container is kept with it") {
  auto x = web();
  const auto process = workload::arguments_for(x, {}, "n");
  CHECK(workload::stop_signal_in(bundle_config(x.spec(), process, {.stop_signal = 3})) == 3);
  CHECK(workload::stop_signal_in(bundle_config(x.spec(), process, {})) == 15);
  CHECK(workload::stop_signal_in("no json") == 15);
}

SCENARIO("what is started inside later has the container's environment, and more") {
  auto x = web();
  const auto config = bundle_config(x.spec(), workload::arguments_for(x, {.env = {"A=b=c"}}, "n"), {});
  auto env = std::map<std::string, std::string>{{"A", "mine"}};
  env.merge(workload::environment_in(config));
  CHECK(env["A"] == "mine");
  CHECK(env["PATH"].starts_with("/usr/local/sbin:"));
  CHECK(workload::environment_in(config)["A"] == "b=c");
  CHECK(workload::environment_in("no json").empty());
  CHECK(workload::environment_in(R"({"process":{}})").empty());
}

SCENARIO("who works inside a container is who its first process is") {
  const auto x = web();
  const auto process = workload::arguments_for(x, {}, "n");
  CHECK(workload::owner_in(bundle_config(x.spec(), process, {.user = {.uid = 1000, .gid = 50}})) == "1000:50");
  CHECK(workload::owner_in(bundle_config(x.spec(), process, {})) == "0:0");
  CHECK(workload::owner_in("no json") == "0:0");
  CHECK(workload::owner_in(R"({"process":{}})") == "0:0");
}

SCENARIO("a function's first process is the usher, which is mounted where nothing inside can change it") {
  auto x = web();
  x.mutable_spec()->set_kind(wire::WORKLOAD_KIND_FUNCTION);
  const auto options = workload::bundle_options{.usher = "/data/agent/usher"};
  const auto process = workload::ushered(workload::arguments_for(x, {}, "n"), x.spec().function());
  const auto text = bundle_config(x.spec(), process, options);
  const auto config = nlohmann::json::parse(text);
  CHECK(config["process"]["args"] == std::vector<std::string>{"/.novacron/usher", "wait", "each", "/bin/serve"});
  const auto mount = config["mounts"].back();
  CHECK(mount["source"] == "/data/agent/usher");
  CHECK(mount["destination"] == "/.novacron/usher");
  CHECK(mount["options"] == std::vector<std::string>{"bind", "ro", "nosuid", "nodev"});
  auto lane = nlohmann::json::parse(workload::lane_process(text));
  CHECK(lane["args"] == std::vector<std::string>{"/.novacron/usher", "take", "each", "/bin/serve"});
  // All else is as it is for the first process: who it is, and what it may.
  lane["args"] = config["process"]["args"];
  CHECK(lane == config["process"]);
  x.mutable_spec()->mutable_function()->set_handler("stream");
  CHECK(workload::ushered({}, x.spec().function()).argv[2] == "stream");
}

SCENARIO("what is no function has no lane") {
  CHECK(workload::lane_process(bundle_config(web().spec(), workload::arguments_for(web(), {}, "n"), {})).empty());
  for (const auto* text :
       {"", "{", "[]", "{}", R"({"process":{}})", R"({"process":{"args":[]}})", R"({"process":{"args":[1,2,3,4]}})",
        R"({"process":{"args":["/.novacron/usher","wait","each"]}})"})
    CHECK(workload::lane_process(text).empty());
}
