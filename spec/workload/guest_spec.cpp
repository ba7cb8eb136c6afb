#include "actors/workload/guest/box.hpp"
#include "actors/workload/guest/ground.hpp"
#include "actors/workload/guest_channel.hpp"
#include "actors/workload/machine_plan.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <random>

#include <nlohmann/json.hpp>

using namespace novacron;
using namespace novacron::workload;

namespace {

wire::Instance instance(wire::WorkloadKind kind) {
  auto x = wire::Instance{};
  x.set_name("web.0");
  x.set_epoch(3);
  x.mutable_spec()->set_kind(kind);
  return x;
}

process_arguments process() {
  return {{"/bin/sh", "-c", "echo a\tb\nc %41 \x01"}, {"PATH=/bin", "X=%"}, "/srv", ""};
}

struct read_result {
  std::string text;
  std::unique_ptr<guest::box> content = std::make_unique<guest::box>();
  bool whole = false;
};

read_result read(std::string text) {
  auto x = read_result{std::move(text)};
  x.whole = guest::read_box(x.text.data(), x.text.size(), *x.content);
  return x;
}

} // namespace

SCENARIO("any words survive a line") {
  auto chance = std::mt19937{7};
  for (auto round = 0; round < 300; ++round) {
    auto words = std::vector<std::string>(1 + chance() % 5);
    for (auto& each : words)
      for (auto size = chance() % 40; size > 0; --size)
        each += static_cast<char>(chance() % 256);
    const auto line = guest_line({words.begin(), words.end()});
    CHECK(line.find('\n') == line.size() - 1);
    CHECK(guest_words(std::string_view{line}.substr(0, line.size() - 1)) == words);
  }
}

SCENARIO("what is no escape stays as it is") {
  CHECK(guest_words("%zz\t%4\t%\t%41") == std::vector<std::string>{"%zz", "%4", "%", "A"});
  CHECK(guest_words("") == std::vector<std::string>{""});
}

SCENARIO("the guest reads what novacron wrote for it") {
  const auto host = machine_host{.processes_max = 99};
  auto what = instance(wire::WORKLOAD_KIND_SANDBOX);
  what.mutable_spec()->mutable_program()->set_read_only_root(true);
  what.mutable_spec()->mutable_resources()->set_memory_bytes(1 << 20);
  const auto link = machine_link{machine_network::kind::bridged,
                                 host::parse_ipv4("10.64.0.7", 22).value(),
                                 host::parse_ipv4("10.64.0.1").value(),
                                 {.servers = {"192.0.2.53"}, .lines = {}}};
  const auto text = box_content(what, process(), {1000, 1001, {5, 6}, "/root"}, host, link,
                                {std::string{"\x01\xfe\x7a", 3}, 1'700'000'000'123'456'789}, 2, 1024);
  CHECK(text.size() % 512 == 0);
  const auto seen = read(text);
  REQUIRE(seen.whole);
  const auto& x = *seen.content;
  REQUIRE(x.argument_count == 3);
  CHECK(std::string{x.arguments[2]} == process().argv[2]);
  REQUIRE(x.environment_count == 3);
  CHECK(std::string{x.environment[1]} == "X=%");
  CHECK(std::string{x.environment[2]} == "HOME=/root");
  CHECK(std::string{x.directory} == "/srv");
  CHECK(std::string{x.host} == "web.0");
  CHECK(x.user == 1000);
  CHECK(x.group == 1001);
  CHECK(x.group_count == 2);
  CHECK(std::string{x.address} == "10.64.0.7");
  CHECK(x.prefix == 22);
  CHECK(std::string{x.gateway} == "10.64.0.1");
  CHECK(std::string{x.hardware_address} == "52:54:0a:40:00:07");
  CHECK(std::string{x.chance} == "01fe7a");
  CHECK(x.time == 1'700'000'000'123'456'789);
  REQUIRE(x.file_count == 2);
  CHECK(std::string{x.files[0].name} == "/etc/hosts");
  CHECK(std::string{x.files[0].text}.ends_with("10.64.0.7\tweb.0\n"));
  CHECK(std::string{x.files[1].name} == "/etc/resolv.conf");
  CHECK(std::string{x.files[1].text} == "nameserver 192.0.2.53\n");
  CHECK(x.read_only);
  CHECK_FALSE(x.machine);
  CHECK(x.stop_signal == 2);
  CHECK(x.files_max == 1024);
  CHECK(x.processes_max == 99);
  CHECK(x.memory_max == 1 << 20);
}

SCENARIO("a guest that was restored is told only what may be another's") {
  const auto link = machine_link{machine_network::kind::bridged,
                                 host::parse_ipv4("10.64.0.9", 22).value(),
                                 host::parse_ipv4("10.64.0.1").value(),
                                 {.servers = {"192.0.2.53"}, .lines = {}}};
  auto what = instance(wire::WORKLOAD_KIND_SANDBOX);
  what.set_name("copy.0");
  const auto birth = guest_birth{std::string{"\x01\xfe\x7a", 3}, 1'700'000'000'000'000'000};
  const auto seen = read(renewal_content(what, link, birth, true));
  REQUIRE(seen.whole);
  const auto& x = *seen.content;
  CHECK(std::string{x.host} == "copy.0");
  CHECK(std::string{x.address} == "10.64.0.9");
  CHECK(std::string{x.hardware_address} == "52:54:0a:40:00:09");
  CHECK(std::string{x.chance} == "01fe7a");
  CHECK(x.time == 1'700'000'000'000'000'000);
  CHECK(x.file_count == 2);
  CHECK(x.argument_count == 0);
  // It fits into one line of the control port, whatever is in it.
  CHECK(guest_line({"renew", "1", renewal_content(what, link, birth, true)}).size() < guest::line_bytes_max / 4);
  // A whole computer has a machine id, and another's when it is not who it was.
  what = instance(wire::WORKLOAD_KIND_VM);
  const auto other = read(renewal_content(what, link, birth, true));
  REQUIRE(other.content->file_count == 2);
  CHECK(std::string{other.content->files[0].name} == "/etc/machine-id");
  const auto id = std::string{other.content->files[0].text};
  CHECK(id.size() == 33);
  CHECK(id.find_first_not_of("0123456789abcdef") == 32);
  CHECK(read(renewal_content(what, link, birth, false)).content->file_count == 1);
}

SCENARIO("what a box brings of chance is wiped, and a guest that got none of it knows") {
  auto digits = std::string{"01fe7a"};
  guest::mix_chance(digits.data());
  CHECK(digits == std::string(6, '\0'));
  auto none = std::string{};
  CHECK_FALSE(guest::mix_chance(none.data()));
}

SCENARIO("a box that is cut off or bent is refused, and never read beyond its end") {
  const auto text = box_content(instance(wire::WORKLOAD_KIND_SANDBOX), process(), {}, {}, {}, {}, 15, 0);
  const auto end = text.find("end\n") + 4;
  for (auto size = std::size_t{0}; size < end; ++size)
    CHECK_FALSE(read(text.substr(0, size)).whole);
  CHECK(read(text.substr(0, end)).whole);
  CHECK(read("end\n").content->argument_count == 0);
  auto chance = std::mt19937{11};
  for (auto round = 0; round < 500; ++round) {
    auto bent = text;
    for (auto i = 0; i < 8; ++i)
      bent[chance() % bent.size()] = static_cast<char>(chance() % 256);
    read(bent);
  }
  auto many = std::string{};
  for (auto i = 0; i < 3000; ++i)
    many += "argument\tx\nenvironment\ty\nuser\t1\t2" + std::string(200, '\t') + "\n";
  const auto seen = read(many + "end\n");
  CHECK(seen.whole);
  CHECK(seen.content->argument_count == guest::box_words_max);
  CHECK(seen.content->group_count == guest::groups_max);
}

SCENARIO("memory is what was asked for and what a kernel needs") {
  auto spec = wire::WorkloadSpec{};
  constexpr auto mebi = std::uint64_t{1} << 20;
  spec.set_kind(wire::WORKLOAD_KIND_SANDBOX);
  CHECK(machine_memory(spec) == 128 * mebi);
  spec.mutable_resources()->set_memory_bytes(64 * mebi);
  CHECK(machine_memory(spec) == 128 * mebi);
  spec.mutable_resources()->set_memory_bytes(64 * mebi + 1);
  CHECK(machine_memory(spec) == 129 * mebi);
  spec.set_kind(wire::WORKLOAD_KIND_VM);
  spec.mutable_resources()->set_memory_bytes(1024 * mebi);
  CHECK(machine_memory(spec) == 1024 * mebi);
  spec.mutable_resources()->set_memory_bytes(1);
  CHECK(machine_memory(spec) == 128 * mebi);
  spec.mutable_resources()->clear_memory_bytes();
  CHECK(machine_memory(spec) == 512 * mebi);
}

SCENARIO("what a machine cannot do is said before it starts") {
  auto spec = instance(wire::WORKLOAD_KIND_SANDBOX).spec();
  const auto refusal = [&](const machine_image& image = {}) { return refuse_machine(spec, process(), image, {}); };
  CHECK(refusal().empty());
  CHECK(refusal({.whole_disk = true}).find("kind = \"vm\"") != std::string::npos);
  spec.mutable_network()->set_mode("host");
  CHECK(refusal().find("a network of its own") != std::string::npos);
  spec.mutable_network()->set_mode("bridge");
  spec.mutable_program()->add_mounts()->set_source("/srv");
  CHECK(refusal().find("cannot mount") != std::string::npos);
  spec.mutable_program()->clear_mounts();
  CHECK(refuse_machine(spec, {{}, {}, "/", ""}, {}, {}).find("there is no command") != std::string::npos);
  spec.set_kind(wire::WORKLOAD_KIND_VM);
  CHECK(refuse_machine(spec, {{}, {}, "/", ""}, {}, {}).empty());
  CHECK(refusal({.whole_disk = true}).empty());
}

SCENARIO("a machine is planned by its kind") {
  const auto host =
      machine_host{.cpus = 2, .stamp_khz = 2'000'000, .kernel = "/k", .small_files = "/s", .whole_files = "/w"};
  auto what = instance(wire::WORKLOAD_KIND_SANDBOX);
  what.mutable_spec()->mutable_resources()->set_cpu_milli(1500);
  const auto small = plan_machine(what, host, {}, {});
  CHECK(small.small);
  CHECK(small.cpus == 2);
  CHECK(small.initial_files == "/s");
  CHECK(small.disks.size() == 2);
  CHECK(small.ports.size() == 4);
  CHECK(small.network.how == machine_network::kind::none);
  const auto has = [](const machine_plan& x, const std::string& word) {
    return std::ranges::find(x.kernel_words, word) != x.kernel_words.end();
  };
  CHECK(has(small, "tsc_early_khz=2000000"));
  CHECK(has(small, "panic=-1"));
  what.mutable_spec()->mutable_resources()->set_cpu_milli(64'000);
  CHECK(plan_machine(what, host, {}, {}).cpus == 2);
  what = instance(wire::WORKLOAD_KIND_VM);
  const auto whole = plan_machine(what, host, {.whole_disk = true}, relayed_link());
  CHECK(whole.kernel.empty());
  CHECK(whole.ports.empty());
  CHECK(whole.disks.back().serial == "nv-seed");
  CHECK(whole.network.hardware_address == "52:54:0a:00:02:0f");
  const auto init = plan_machine(what, host, {}, {});
  CHECK(init.initial_files == "/w");
  CHECK(init.console);
  CHECK(init.disks.size() == 2);
}

SCENARIO("cloud-init is told who the machine is") {
  const auto what = instance(wire::WORKLOAD_KIND_VM);
  const auto files = seed_files(what, relayed_link());
  REQUIRE(files.size() == 3);
  CHECK(files[0].second.find("\"instance-id\": \"web.0-3\"") != std::string::npos);
  CHECK(files[1].second.starts_with("#cloud-config\n"));
  CHECK(files[2].second.find("10.0.2.15/24") != std::string::npos);
  CHECK(nlohmann::json::parse(files[2].second)["ethernets"]["link"]["nameservers"]["addresses"][0] == "10.0.2.3");
  CHECK(seed_files(what, {})[2].second.find("match") == std::string::npos);
}

SCENARIO("an agent's last word is believed only if it is whole") {
  const auto how = parse_outcome("137 1\nran out of memory\n");
  REQUIRE(how);
  CHECK(how->code == 137);
  CHECK(how->out_of_memory);
  CHECK(how->reason == "ran out of memory");
  for (const auto* wrong : {"", "7", "7 0", "7 0\n", "7 0\nended", "x 0\nwords\n"})
    CHECK_FALSE(parse_outcome(wrong));
}
