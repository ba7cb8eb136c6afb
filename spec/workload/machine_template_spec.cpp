#include "actors/workload/machine_template.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <set>
#include <utility>
#include <vector>

using namespace novacron;
using namespace novacron::workload;
using namespace std::chrono_literals;

namespace {

using advice = template_shelf::advice;

machine_plan sandbox() {
  auto x =
      machine_plan{.name = "web.0", .small = true, .memory_bytes = 128u << 20, .kernel = "/k", .initial_files = "/i"};
  x.kernel_words = {"quiet", "tsc_early_khz=2100000"};
  x.disks = {{"root.disk", "nv-root", machine_disk::layout::layered, false},
             {"box", "nv-box", machine_disk::layout::raw, true}};
  x.ports = {{"nv.control", machine_port::end::socket, "control.sock"}, {"nv.out", machine_port::end::log, {}}};
  x.network = {machine_network::kind::bridged, "52:54:0a:40:00:07", {{8080, 80}}};
  return x;
}

template_ground ground() {
  return {"acme", "qemu 7.2", "xeon", "kernel 6.1"};
}

std::string key_of(const machine_plan& x, const template_ground& on = ground()) {
  return template_key(plan_template(x).value(), on);
}

constexpr auto dawn = instant{} + 1h;
constexpr auto mebi = std::uint64_t{1} << 20;

} // namespace

SCENARIO("a template has the parts of its clones, and nothing that is theirs alone") {
  const auto x = plan_template(sandbox()).value();
  CHECK(x.beginning == machine_beginning::template_boot);
  CHECK(x.kernel_words.back() == "nv.template");
  CHECK(x.network.how == machine_network::kind::unplugged);
  CHECK(x.network.ports.empty());
  CHECK(x.network.hardware_address != sandbox().network.hardware_address);
  CHECK(x.disks.size() == 2);
  CHECK(stand_ins(x).size() == 2);
  CHECK(x.disks[0].format == machine_disk::layout::raw);
  // A disk with a boot loader has no agent that would stop where clones begin.
  auto whole = sandbox();
  whole.kernel.clear();
  CHECK_FALSE(plan_template(whole));
}

SCENARIO("what clones do not have in common does not make another template") {
  const auto same = std::vector<std::function<void(machine_plan&)>>{
      [](auto& x) { x.name = "db.7"; },
      [](auto& x) { x.network.hardware_address = "52:54:0a:40:00:08"; },
      [](auto& x) { x.network.how = machine_network::kind::relayed; },
      [](auto& x) { x.network.ports.clear(); },
      // It is measured, and differs a little each time.
      [](auto& x) { x.kernel_words[1] = "tsc_early_khz=2099999"; },
      [](auto& x) { x.disks[0].format = machine_disk::layout::raw; },
  };
  for (const auto& change : same) {
    auto x = sandbox();
    change(x);
    CHECK(key_of(x) == key_of(sandbox()));
  }
  CHECK(key_of(sandbox()).starts_with("sandbox-128m-"));
}

SCENARIO("whatever is in the state of a machine, or may not be shared, makes another template") {
  auto keys = std::set<std::string>{key_of(sandbox())};
  const auto other = std::vector<std::function<void(machine_plan&)>>{
      [](auto& x) { x.small = false; },
      [](auto& x) { x.accelerated = true; },
      [](auto& x) { x.cpus = 2; },
      [](auto& x) { x.memory_bytes = 129u << 20; },
      [](auto& x) { x.kernel_words.push_back("mitigations=off"); },
      [](auto& x) { x.network = {}; },
      [](auto& x) { x.disks.pop_back(); },
      [](auto& x) { x.ports.pop_back(); },
  };
  for (const auto& change : other) {
    auto x = sandbox();
    change(x);
    CHECK(keys.insert(key_of(x)).second);
  }
  for (const auto& on : std::vector<template_ground>{{"evil", "qemu 7.2", "xeon", "kernel 6.1"},
                                                     {"", "qemu 7.2", "xeon", "kernel 6.1"},
                                                     {"acme", "qemu 8.0", "xeon", "kernel 6.1"},
                                                     {"acme", "qemu 7.2", "epyc", "kernel 6.1"},
                                                     {"acme", "qemu 7.2", "xeon", "kernel 6.2"}})
    CHECK(keys.insert(key_of(sandbox(), on)).second);
}

SCENARIO("only what gives no memory back shares its template's") {
  CHECK(plan_clone(sandbox()).shares_memory);
  CHECK(plan_clone(sandbox()).beginning == machine_beginning::clone);
  auto whole = sandbox();
  whole.small = false;
  CHECK_FALSE(plan_clone(whole).shares_memory);
}

SCENARIO("the first start makes the template, others wait for it") {
  auto shelf = template_shelf{{}};
  CHECK(shelf.ask("a", dawn) == advice::make);
  CHECK(shelf.ask("a", dawn) == advice::wait);
  CHECK(shelf.ask("b", dawn) == advice::make);
  CHECK(shelf.made("a", 90 * mebi, dawn).empty());
  CHECK(shelf.ask("a", dawn) == advice::clone);
  CHECK(shelf.ask("b", dawn) == advice::wait);
}

SCENARIO("after one could not be made machines boot for a while, then it is tried again") {
  auto shelf = template_shelf{{.pause = 60s}};
  CHECK(shelf.ask("a", dawn) == advice::make);
  shelf.failed("a", dawn);
  CHECK(shelf.ask("a", dawn + 60s - 1ns) == advice::boot);
  CHECK(shelf.ask("b", dawn) == advice::make);
  CHECK(shelf.ask("a", dawn + 60s) == advice::make);
  CHECK(shelf.made("a", mebi, dawn).empty());
  shelf.gone("a");
  CHECK(shelf.ask("a", dawn + 61s) == advice::make);
}

SCENARIO("when there is no room for all, those go that were not used for longest") {
  auto shelf = template_shelf{{.bytes_max = 300 * mebi}};
  for (const auto* key : {"a", "b", "c"}) {
    CHECK(shelf.ask(key, dawn) == advice::make);
    CHECK(shelf.made(key, 100 * mebi, dawn).empty());
  }
  CHECK(shelf.ask("b", dawn + 1s) == advice::clone);
  CHECK(shelf.ask("c", dawn + 2s) == advice::clone);
  CHECK(shelf.ask("a", dawn + 3s) == advice::clone);
  CHECK(shelf.ask("d", dawn + 4s) == advice::make);
  CHECK(shelf.made("d", 101 * mebi, dawn + 4s) == std::vector<std::string>{"b", "c"});
  CHECK(shelf.bytes() == 201 * mebi);
  CHECK(shelf.ask("a", dawn + 5s) == advice::clone);
  CHECK(shelf.ask("b", dawn + 5s) == advice::make);
}

SCENARIO("one that is larger than all may be goes at once, and is not made again and again") {
  auto shelf = template_shelf{{.bytes_max = 100 * mebi}};
  CHECK(shelf.ask("a", dawn) == advice::make);
  CHECK(shelf.made("a", 100 * mebi, dawn).empty());
  CHECK(shelf.ask("b", dawn + 1s) == advice::make);
  CHECK(shelf.made("b", 100 * mebi + 1, dawn + 1s) == std::vector<std::string>{"b"});
  CHECK(shelf.ask("b", dawn + 24h) == advice::boot);
  // It has taken nobody's place.
  CHECK(shelf.has("a"));
}

SCENARIO("a limit of zero means no templates") {
  auto shelf = template_shelf{{.bytes_max = 0}};
  CHECK(shelf.ask("a", dawn) == advice::boot);
}

SCENARIO("what an earlier life has left counts by when it was used") {
  auto shelf = template_shelf{{.bytes_max = 250 * mebi}};
  shelf.found("old", 100 * mebi, dawn - 2h);
  shelf.found("new", 100 * mebi, dawn - 1h);
  shelf.found("mid", 100 * mebi, dawn - 90min);
  CHECK(shelf.surplus() == std::vector<std::string>{"old"});
  CHECK(shelf.ask("mid", dawn) == advice::clone);
}
