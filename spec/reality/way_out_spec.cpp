#include "actors/host/files.hpp"
#include "actors/host/netlink.hpp"
#include "actors/host/resolver.hpp"
#include "actors/host/way_out.hpp"
#include "spec/reality/beyond.hpp"
#include "spec/reality/container_kit.hpp"
#include "spec/skip.hpp"

#include <doctest/doctest.h>

#include <sched.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

using namespace novacron;
using namespace novacron::spec;

namespace {

std::string forwarding() {
  return host::read_file("/proc/sys/net/ipv4/ip_forward", 1).value_or("");
}

wire::Instance on_bridge(const std::string& script) {
  auto x = instance("web.0", script);
  x.mutable_spec()->mutable_network()->set_mode("bridge");
  return x;
}

constexpr auto fetch_far = "timeout 3 wget -q -O - http://198.51.100.2/index.html";

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("a container on the bridge reaches beyond this host, and nobody beyond reaches it") {
  if (!can_run())
    return;
  const auto before = forwarding();
  {
    auto here = site{};
    if (const auto missing = here.driver->abilities().missing; !missing.empty()) {
      skip("a container on the bridge reaches beyond this host", missing.front());
      return;
    }
    const auto far = beyond{here.place.root() / "www"};
    here.assign({on_bridge("httpd -f -p 80 -h /www")});
    const auto up = here.await("web.0", wire::PHASE_RUNNING);
    CHECK(here.exec("web.0", {"/bin/sh", "-c", fetch_far}) == std::pair{std::string{"hello\n"}, 0});
    const auto uninvited = "http://" + up.address() + "/index.html";
    CHECK(far.run({"ip", "route", "add", "10.64.0.0/10", "via", "198.51.100.1"}).how.code == 0);
    CHECK(far.run({"busybox", "timeout", "3", "busybox", "wget", "-q", "-O", "-", uninvited}).how.code != 0);
    CHECK(host::run({.argv = {"busybox", "timeout", "3", "busybox", "wget", "-q", "-O", "-", uninvited}}).out ==
          "hello\n");
  }
  // Another node on this machine may have come to need it.
  const auto devices = host::netlink{}.names();
  if (std::ranges::none_of(devices, [](const std::string& x) { return x.starts_with("nova"); }))
    CHECK(forwarding() == before);
}

SCENARIO("a node that does not masquerade keeps its containers to itself") {
  if (!can_run())
    return;
  auto here = site{{.masquerade = false}};
  if (!here.driver->abilities().bridge) {
    skip("a node that does not masquerade", "no bridge here");
    return;
  }
  const auto far = beyond{here.place.root() / "www"};
  here.assign({on_bridge("sleep 1000")});
  here.await("web.0", wire::PHASE_RUNNING);
  CHECK(here.exec("web.0", {"/bin/sh", "-c", fetch_far}).second != 0);
}

SCENARIO("a node that is told to masquerade no more takes away what its former life opened") {
  if (!can_run())
    return;
  auto here = site{};
  if (const auto missing = here.driver->abilities().missing; !missing.empty()) {
    skip("a node that is told to masquerade no more", missing.front());
    return;
  }
  const auto far = beyond{here.place.root() / "www"};
  here.assign({on_bridge("sleep 1000")});
  here.await("web.0", wire::PHASE_RUNNING);
  CHECK(here.exec("web.0", {"/bin/sh", "-c", fetch_far}).second == 0);
  here.end();
  here.driven.masquerade = false;
  here.begin();
  here.assign({on_bridge("sleep 1000")});
  here.await("web.0", wire::PHASE_RUNNING);
  CHECK(here.exec("web.0", {"/bin/sh", "-c", fetch_far}).second != 0);
}

SCENARIO("a bridge passes Docker's rules where they are, and leaves none behind") {
  // In a network namespace of its own: this thread's, and that of what it starts.
  std::thread{[&] {
    const auto iptables = [](std::vector<std::string> arguments) {
      arguments.insert(arguments.begin(), "iptables");
      return host::run({.argv = std::move(arguments)});
    };
    const auto chain = [&] { return iptables({"-S", "DOCKER-USER"}).out; };
    if (::unshare(CLONE_NEWNET) != 0 || iptables({"-N", "DOCKER-USER"}).how.code != 0) {
      skip("a bridge passes Docker's rules", "no namespace of its own or no iptables");
      return;
    }
    CHECK(iptables({"-A", "DOCKER-USER", "-j", "RETURN"}).how.code == 0);
    const auto before = chain();
    const auto range = host::parse_ipv4("10.64.4.0", 22).value();
    host::open_way_out("nova0000002a", range);
    const auto open = chain();
    CHECK(open == "-N DOCKER-USER\n-A DOCKER-USER -i nova0000002a -j ACCEPT\n"
                  "-A DOCKER-USER -o nova0000002a -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
                  "-A DOCKER-USER -j RETURN\n");
    host::open_way_out("nova0000002a", range);
    CHECK(chain() == open);
    host::close_way_out("nova0000002a");
    CHECK(chain() == before);
  }}.join();
}

SCENARIO("a container knows its own name, localhost and the host's name servers") {
  if (!can_run())
    return;
  auto here = site{};
  if (!here.driver->abilities().bridge) {
    skip("a container knows its own name", "no bridge here");
    return;
  }
  auto named = on_bridge("httpd -f -p 8080 -h /www");
  named.mutable_spec()->mutable_program()->set_user("1000");
  named.mutable_spec()->mutable_program()->set_read_only_root(true);
  auto alone = instance("alone.0", "sleep 1000");
  here.assign({named, alone});
  here.await("web.0", wire::PHASE_RUNNING);
  here.await("alone.0", wire::PHASE_RUNNING);
  for (const auto* name : {"127.0.0.1", "web.0"})
    CHECK(here.exec("web.0", {"/bin/sh", "-c", std::string{"timeout 3 wget -q -O - http://"} + name + ":8080"}).first ==
          "hello\n");
  CHECK(here.exec("web.0", {"/bin/cat", "/etc/resolv.conf"}) == std::pair{to_text(host::find_resolver()), 0});
  CHECK(here.exec("alone.0", {"/bin/cat", "/etc/hosts"}).first.find("127.0.1.1\talone.0\n") != std::string::npos);
  CHECK(here.exec("alone.0", {"/bin/cat", "/etc/resolv.conf"}).second != 0);
}

TEST_SUITE_END();
