#include "actors/node/doctor.hpp"

#include "actors/node/doctor_probe.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>

using namespace novacron;
using namespace std::chrono_literals;
using node::grade;

namespace {

/// A host on which everything is as it should be.
node::symptoms healthy() {
  auto x = node::symptoms{};
  x.architecture = "x86_64";
  x.kernel = "6.1.0-18-amd64";
  x.root = true;
  x.capabilities = ~0ull;
  x.cgroups = node::cgroup_mode::v2;
  x.controllers = {"cpu", "io", "memory", "pids"};
  x.cgroups_writable = true;
  x.overlay_known = true;
  x.overlay_mounts = true;
  x.crun = "crun version 1.14";
  x.crun_has_criu = true;
  x.criu = "Version: 4.2";
  x.criu_check = true;
  x.qemu = "QEMU emulator version 7.2";
  x.qemu_img = true;
  x.guest_kernel = "linux-image-6.1.0-56-cloud-amd64";
  x.kvm = {true, true, true, 300us, true, ""};
  x.vsock = true;
  x.network_namespace = true;
  x.veth = true;
  x.ip_tool = true;
  x.tun = true;
  x.nft = "nftables v1.0.6";
  x.masquerades = true;
  x.name_servers = {"192.0.2.53"};
  x.data_dir = "/data";
  x.disk_free_bytes = 50ull << 30;
  x.disk_total_bytes = 100ull << 30;
  x.sync_took = 400us;
  x.clock_synchronized = true;
  x.year = 2026;
  x.files_soft = 1024;
  x.files_hard = 1'048'576;
  x.processes_soft = 100'000;
  x.has_certificate = true;
  x.certificate_left = 20h;
  return x;
}

node::diagnosis of(const node::symptoms& x, const std::string& check) {
  const auto all = node::diagnose(x);
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& d) { return d.check == check; });
  REQUIRE(found != all.end());
  return *found;
}

} // namespace

SCENARIO("a good host gets a clean bill") {
  for (const auto& one : node::diagnose(healthy())) {
    INFO(one.check << ": " << one.finding);
    CHECK(one.how == grade::good);
    CHECK(one.remedy.empty());
  }
}

SCENARIO("what is missing is named with what it means and what helps") {
  auto x = healthy();
  WHEN("KVM is only pretended") {
    x.kvm.took = 200ms;
    x.kvm.sse3 = false;
    CHECK(of(x, "kvm").how == grade::limited);
    CHECK(of(x, "kvm").finding.find("200.00 ms and there is no SSE3") != std::string::npos);
    x.kvm.took = 20ms;
    x.kvm.sse3 = true;
    CHECK(of(x, "kvm").how == grade::good);
    x.kvm.took = 20ms + 1us;
    CHECK(of(x, "kvm").how == grade::limited);
    x.kvm = {true, true, false, 0us, false, "KVM_RUN: Input/output error"};
    CHECK(of(x, "kvm").finding.find("KVM_RUN") != std::string::npos);
    x.kvm = {};
    CHECK(of(x, "kvm").finding.find("no /dev/kvm") != std::string::npos);
  }
  WHEN("cgroups are hybrid") {
    x.cgroups = node::cgroup_mode::hybrid;
    x.controllers = {"cpu", "memory", "pids", "hugetlb"};
    CHECK(of(x, "cgroups").how == grade::good);
    x.controllers = {"memory"};
    CHECK(of(x, "cgroups").finding.find("without cpu, pids") != std::string::npos);
    x.cgroups_writable = false;
    CHECK(of(x, "cgroups").finding.find("read-only") != std::string::npos);
    x.cgroups = node::cgroup_mode::none;
    CHECK(of(x, "cgroups").how == grade::missing);
  }
  WHEN("there is no container runtime") {
    x.crun.clear();
    CHECK(of(x, "crun").how == grade::missing);
    CHECK(of(x, "crun").remedy == "apt-get install crun");
    CHECK(node::worst(node::diagnose(x)) == grade::missing);
  }
  WHEN("CRIU is old, or fails its own check") {
    x.criu = "Version: 3.17.1";
    CHECK(of(x, "criu").finding.find("older than 4") != std::string::npos);
    x.criu = "Version: 4.2";
    x.criu_check = false;
    CHECK(of(x, "criu").how == grade::limited);
  }
  WHEN("capabilities are missing") {
    x.capabilities &= ~(1ull << 24);
    CHECK(of(x, "capabilities").finding == "without CAP_SYS_RESOURCE");
    x.capabilities = 0;
    x.root = false;
    x.overlay_mounts.reset();
    x.network_namespace.reset();
    CHECK(of(x, "capabilities").how == grade::missing);
    CHECK(of(x, "capabilities").remedy == "run novacron as root");
    CHECK(of(x, "network").finding.find("not tried") != std::string::npos);
    CHECK(of(x, "overlay").finding.find("not tried") != std::string::npos);
  }
  WHEN("the disk is full, slow or not ours") {
    x.disk_free_bytes = (2ull << 30) - 1;
    CHECK(of(x, "disk").how == grade::limited);
    x.sync_took = 10ms + 1us;
    CHECK(of(x, "sync").how == grade::limited);
    x.disk_trouble = "Permission denied";
    CHECK(of(x, "disk").how == grade::missing);
  }
  WHEN("the clock is wrong") {
    x.clock_synchronized = false;
    CHECK(of(x, "clock").how == grade::limited);
    x.year = 1970;
    CHECK(of(x, "clock").how == grade::missing);
  }
  WHEN("a port is taken") {
    x.ports = {{"listen", "127.0.0.1:7100", EADDRINUSE}, {"api", "127.0.0.1:7180", 0}};
    CHECK(of(x, "port listen").finding == "127.0.0.1:7100 is in use");
    CHECK(of(x, "port api").how == grade::good);
  }
  WHEN("there is no way out of the bridge") {
    x.name_servers.clear();
    CHECK(of(x, "way out").finding.find("no name server") != std::string::npos);
    x.masquerades = false;
    CHECK(of(x, "way out").finding.find("refuses to masquerade") != std::string::npos);
    x.masquerades.reset();
    CHECK(of(x, "way out").finding.find("not tried") != std::string::npos);
    x.nft.clear();
    CHECK(of(x, "way out").how == grade::limited);
    CHECK(of(x, "way out").remedy == "apt-get install nftables");
  }
  WHEN("redis is away") {
    x.redis = "127.0.0.1:6379";
    CHECK(of(x, "cache").how == grade::good);
    x.redis_trouble = "cannot be reached";
    CHECK(of(x, "cache").how == grade::limited);
  }
  WHEN("the certificate ends") {
    x.certificate_left = 5h;
    CHECK(of(x, "certificate").how == grade::limited);
    x.certificate_trouble = "cert.pem: certificate has expired";
    CHECK(of(x, "certificate").how == grade::missing);
    x.has_certificate = false;
    CHECK(of(x, "certificate").how == grade::limited);
  }
}

SCENARIO("the doctor writes for people and for machines") {
  const auto all = std::vector<node::diagnosis>{{"crun", grade::missing, "not \"there\"", "apt-get install crun"},
                                                {"tun", grade::good, "opens", ""}};
  CHECK(node::to_table(all, false) ==
        "crun   missing  not \"there\"\n                -> apt-get install crun\ntun    good     opens\n");
  CHECK(node::to_json(all) ==
        R"({"verdict":"missing","checks":[{"check":"crun","verdict":"missing","finding":"not \"there\"",)"
        R"("remedy":"apt-get install crun"},{"check":"tun","verdict":"good","finding":"opens","remedy":""}]})");
  CHECK(node::worst({}) == grade::good);
}

SCENARIO("the doctor can look at this very host") {
  const auto seen = node::probe({}, nullptr, false);
  CHECK_FALSE(seen.kernel.empty());
  CHECK(seen.cpus > 0);
  CHECK(seen.memory_bytes > 0);
  CHECK(seen.year >= 2024);
  CHECK(node::diagnose(seen).size() >= 17);
  MESSAGE(node::to_table(node::diagnose(seen), false));
}
