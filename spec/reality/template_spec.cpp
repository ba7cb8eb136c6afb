#include "actors/host/files.hpp"
#include "actors/workload/qemu_monitor.hpp"
#include "actors/workload/template_actor.hpp"
#include "actors/workload/template_files.hpp"
#include "spec/reality/container_kit.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

using namespace novacron;
using namespace novacron::spec;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

wire::Instance machine(const std::string& name, wire::WorkloadKind kind = wire::WORKLOAD_KIND_SANDBOX,
                       std::uint64_t memory_mebi = 64) {
  auto x = instance(name, "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done");
  x.mutable_spec()->set_kind(kind);
  x.mutable_spec()->mutable_restart()->set_when(wire::RESTART_WHEN_NEVER);
  x.mutable_spec()->mutable_resources()->set_memory_bytes(memory_mebi << 20);
  x.mutable_spec()->set_stop_grace_ms(20'000);
  return x;
}

/// What is there of templates, by name; what is being made among it.
std::set<std::string> names_in(const fs::path& data) {
  auto names = std::set<std::string>{};
  auto error = std::error_code{};
  for (const auto& each : fs::directory_iterator{data / "machine-templates", error})
    names.insert(each.path().filename());
  return names;
}

fs::path only_one_in(const fs::path& data) {
  REQUIRE(names_in(data).size() == 1);
  return data / "machine-templates" / *names_in(data).begin();
}

bool is_clone(const fs::path& data, const std::string& name) {
  return host::read_file(data / "machines" / name / "machine").value_or("").find("-incoming") != std::string::npos;
}

double seconds_since_1970() {
  return std::chrono::duration<double>{std::chrono::system_clock::now().time_since_epoch()}.count();
}

/// The times that a sandbox says, and what else clones of one machine would have in common.
constexpr auto facts = "cat /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom | od -An -tx1; hostname; "
                       "cat /sys/class/net/eth0/address 2>/dev/null";

void add_tools(const site& here) {
  for (const auto* name : {"od", "date"})
    fs::create_symlink("busybox", here.place.root() / "bin" / name);
}

/// What follows from a template that is not as it was: the next start throws it away and makes it again.
void remade_after(site& here, const std::function<void(const fs::path&)>& damage) {
  here.assign({machine("first.0")});
  here.await("first.0", wire::PHASE_RUNNING);
  here.assign({});
  CHECK(eventually([&] { return here.report().instances().empty(); }, 120s));
  here.end();
  const auto place = only_one_in(here.place.data());
  damage(place);
  here.begin();
  here.assign({machine("next.0")});
  here.await("next.0", wire::PHASE_RUNNING);
  CHECK(here.exec("next.0", {"echo", "well"}).first == "well\n");
}

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("clones of one template are nobody's twins") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  add_tools(here);
  auto all = std::vector<wire::Instance>{};
  const auto bridged = here.driver->abilities().bridge;
  for (const auto* name : {"a.0", "b.0", "c.0"}) {
    all.push_back(machine(name));
    all.back().mutable_spec()->mutable_network()->set_mode(bridged ? "bridge" : "none");
  }
  here.assign(all);
  auto seen = std::set<std::string>{};
  auto addresses = std::set<std::string>{};
  for (const auto& each : all) {
    const auto up = here.await(each.name(), wire::PHASE_RUNNING);
    CHECK(is_clone(here.place.data(), each.name()));
    addresses.insert(up.address());
    auto lines = std::istringstream{here.exec(each.name(), {"sh", "-c", facts}).first};
    auto count = 0;
    for (auto line = std::string{}; std::getline(lines, line); ++count)
      CHECK_MESSAGE(seen.insert(line).second, "two have ", line);
    CHECK(count == (bridged ? 4 : 3));
    // Also right, however long ago the template was made; what the guest is told is never ahead.
    const auto before = seconds_since_1970();
    const auto said = std::stod(here.exec(each.name(), {"date", "+%s"}).first);
    CHECK(said >= before - 2);
    CHECK(said <= seconds_since_1970());
  }
  // All began at once, and it was made once.
  CHECK(names_in(here.place.data()).size() == 1);
  CHECK(addresses.size() == (bridged ? 3 : 1));
}

SCENARIO("a virtual machine begins as a clone with memory of its own") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  add_tools(here);
  const auto kind = wire::WORKLOAD_KIND_VM;
  here.assign({machine("a.0", kind, 128), machine("b.0", kind, 128)});
  auto seen = std::set<std::string>{};
  for (const auto* name : {"a.0", "b.0"}) {
    here.await(name, wire::PHASE_RUNNING);
    CHECK(is_clone(here.place.data(), name));
    CHECK(eventually([&] { return here.log(name).find("up") != std::string::npos; }, 120s));
    seen.insert(here.exec(name, {"/bin/cat", "/proc/sys/kernel/random/boot_id"}).first);
    CHECK(host::read_file(here.place.data() / "machines" / name / "machine")->find("share=on") != std::string::npos);
  }
  CHECK(seen.size() == 2);
}

SCENARIO("no two tenants share a template") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  auto ours = machine("ours.0");
  auto theirs = machine("theirs.0");
  theirs.mutable_spec()->set_tenant("acme");
  here.assign({ours, theirs});
  here.await("ours.0", wire::PHASE_RUNNING);
  here.await("theirs.0", wire::PHASE_RUNNING);
  auto tenants = std::set<std::string>{};
  for (const auto& each : here.templates->list())
    tenants.insert(each.tenant);
  CHECK(tenants == std::set<std::string>{"", "acme"});
}

SCENARIO("a node that is killed while it makes a template leaves nothing of it") {
  if (!can_run_machines())
    return;
  auto place = ground{};
  auto node = agent_process{place};
  const auto x = machine("life.0");
  node.start({x});
  const auto making = [&] {
    const auto names = names_in(place.data());
    return !names.empty() && names.begin()->ends_with(".part") &&
           fs::exists(place.data() / "machine-templates" / *names.begin() / "monitor.sock");
  };
  REQUIRE(eventually(making, 60s));
  node.kill();
  // Its machine went with it; the bridge and the groups of the node wait for its next life.
  const auto runs = [](const std::string& x) { return x.starts_with("process"); };
  CHECK(eventually([&] { return std::ranges::none_of(leftovers(place.data()), runs); }, 10s));
  node.start({x});
  CHECK(eventually([&] { return node.status("life.0").phase() == wire::PHASE_RUNNING; }, 240s));
  CHECK(is_clone(place.data(), "life.0"));
  CHECK_FALSE(only_one_in(place.data()).string().ends_with(".part"));
}

SCENARIO("a template with one wrong byte is made again") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  auto before = std::string{};
  remade_after(here, [&](const fs::path& place) {
    before = host::read_file(place / "template").value();
    const auto fd = ::open((place / "memory").c_str(), O_RDWR | O_CLOEXEC);
    const auto at = ::lseek(fd, 1 << 20, SEEK_DATA);
    REQUIRE(::pwrite(fd, "\x55\xaa\x55", 3, at + 100) == 3);
    ::close(fd);
  });
  CHECK(is_clone(here.place.data(), "next.0"));
  CHECK(host::read_file(only_one_in(here.place.data()) / "template").value() != before);
}

SCENARIO("a machine whose template brings up no clone boots") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  remade_after(here, [&](const fs::path& place) {
    // All of it whole, and nothing that a machine could make sense of.
    const auto known = workload::read_facts(place);
    const auto fd = ::open((place / "memory").c_str(), O_RDONLY | O_CLOEXEC);
    const auto memory = workload::descriptor{fd};
    auto other = here.place.top / "other";
    fs::create_directories(other);
    workload::write_template(other, *known, memory.get(), "no state at all");
    fs::remove_all(place);
    fs::rename(other, place);
  });
  CHECK_FALSE(is_clone(here.place.data(), "next.0"));
  CHECK(names_in(here.place.data()).empty());
}

SCENARIO("templates take no more than they may, and what goes for them is not missed by what began from it") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  here.end();
  // Room for one of them.
  here.template_bytes = std::uint64_t{100} << 20;
  here.begin();
  const auto small = machine("small.0");
  const auto large = machine("large.0", wire::WORKLOAD_KIND_SANDBOX, 80);
  here.assign({small});
  here.await("small.0", wire::PHASE_RUNNING);
  CHECK(only_one_in(here.place.data()).filename().string().starts_with("sandbox-128m"));
  here.assign({small, large});
  here.await("large.0", wire::PHASE_RUNNING);
  CHECK(only_one_in(here.place.data()).filename().string().starts_with("sandbox-144m"));
  // It goes on, also with pages that it had not touched before.
  CHECK(here.exec("small.0", {"sh", "-c", "dd if=/dev/zero of=/dev/null bs=20M count=1; hostname"})
            .first.find("small.0") != std::string::npos);
}

SCENARIO("where the disk has no room for a template, machines boot") {
  if (!can_run_machines())
    return;
  auto here = site{{}, "150m", true};
  here.assign({machine("tight.0")});
  here.await("tight.0", wire::PHASE_RUNNING);
  CHECK_FALSE(is_clone(here.place.data(), "tight.0"));
  CHECK(names_in(here.place.data()).empty());
}

TEST_SUITE_END();

SCENARIO("templates are made ahead of time, listed and deleted") {
  if (!can_run_machines())
    return;
  auto place = ground{};
  auto settings = caf::actor_system_config{};
  add_language(settings);
  auto system = caf::actor_system{settings};
  const auto templates = templates_in(place.data(), std::uint64_t{1} << 30);
  const auto driver = workload::make_machine_driver(
      {.data = place.data(), .monitor = workload::make_qemu_monitor(), .templates = templates});
  const auto actor = workload::spawn_template_actor(system, driver, templates, {.node = "n"});
  auto self = caf::scoped_actor{system};
  const auto list = [&] {
    auto found = wire::TemplateList{};
    self->request(actor, 60s, wire::TemplateListRequest{})
        .receive([&](const wire::TemplateList& x) { found = x; }, [](const caf::error& e) { FAIL(explain(e).text); });
    return found;
  };
  const auto make = [&](wire::WorkloadKind kind) {
    auto order = wire::TemplateCreate{};
    *order.mutable_spec() = machine("x.0", kind).spec();
    order.mutable_spec()->set_tenant("blue");
    auto made = std::pair<wire::Template, std::string>{};
    self->request(actor, 240s, order)
        .receive([&](const wire::Template& x) { made.first = x; },
                 [&](const caf::error& e) { made.second = explain(e).text; });
    return made;
  };
  const auto remove = [&](const std::string& name) {
    auto order = wire::TemplateDelete{};
    order.set_name(name);
    auto answer = std::string{"done"};
    self->request(actor, 60s, order)
        .receive([](const wire::Done&) {}, [&](const caf::error& e) { answer = explain(e).text; });
    return answer;
  };
  CHECK(list().templates().empty());
  CHECK(make(wire::WORKLOAD_KIND_CONTAINER).second.find("only sandboxes and virtual machines") != std::string::npos);
  const auto made = make(wire::WORKLOAD_KIND_SANDBOX).first;
  CHECK(made.node() == "n");
  CHECK(made.tenant() == "blue");
  CHECK(made.kind() == wire::WORKLOAD_KIND_SANDBOX);
  CHECK(made.size_bytes() > 1 << 20);
  // Whoever asks again gets the one that there is.
  CHECK(make(wire::WORKLOAD_KIND_SANDBOX).first.name() == made.name());
  REQUIRE(list().templates_size() == 1);
  CHECK(list().templates(0).name() == made.name());
  CHECK(remove("../" + made.name()).find("there is no template") != std::string::npos);
  CHECK(remove(made.name()) == "done");
  CHECK(list().templates().empty());
  CHECK(names_in(place.data()).empty());
  CHECK(remove(made.name()).find("there is no template") != std::string::npos);
}
