#include "actors/workload/qemu_command.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include <fmt/format.h>

using namespace novacron::workload;

namespace {

/// The words behind each `option`.
std::vector<std::string> values(const machine_command& x, const std::string& option) {
  auto found = std::vector<std::string>{};
  for (auto i = std::size_t{1}; i < x.words.size(); ++i)
    if (x.words[i - 1] == option)
      found.push_back(x.words[i]);
  return found;
}

bool has(const machine_command& x, const std::string& option, const std::string& part) {
  return std::ranges::any_of(values(x, option), [&](const std::string& v) { return v.find(part) != v.npos; });
}

machine_plan sandbox() {
  auto x =
      machine_plan{.name = "web.0", .small = true, .memory_bytes = 192u << 20, .kernel = "/k", .initial_files = "/i"};
  x.kernel_words = {"quiet", "panic=-1"};
  x.disks = {{"root.disk", "nv-root", machine_disk::layout::layered, false},
             {"box", "nv-box", machine_disk::layout::raw, true}};
  x.ports = {{"nv.control", machine_port::end::socket, "control.sock"},
             {"nv.end", machine_port::end::socket, "end.sock"},
             {"nv.how", machine_port::end::file, "how"},
             {"nv.out", machine_port::end::log, {}}};
  return x;
}

} // namespace

SCENARIO("a sandbox is a small machine with nothing that it does not need") {
  const auto x = qemu_command("qemu", sandbox());
  CHECK(x.words.front() == "qemu");
  CHECK(has(x, "-M", "microvm,acpi=on,pit=off"));
  // Its default overwrites its own tables with the first files, by their size.
  CHECK(values(x, "-bios") == std::vector<std::string>{"qboot.rom"});
  CHECK(values(x, "-m") == std::vector<std::string>{"192M"});
  CHECK(has(x, "-object", "memory-backend-memfd,id=memory,size=192M,share=on"));
  CHECK(values(x, "-append") == std::vector<std::string>{"quiet panic=-1"});
  CHECK(has(x, "-device", "virtio-blk-device,drive=disk0,serial=nv-root"));
  CHECK(has(x, "-blockdev", "driver=raw,node-name=disk1,read-only=on"));
  CHECK(has(x, "-device", "virtserialport,chardev=log,name=nv.out"));
  CHECK(has(x, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny"));
  CHECK(std::ranges::find(x.words, "-no-reboot") != x.words.end());
  CHECK(values(x, "-netdev").empty());
  CHECK(values(x, "-serial").empty());
  CHECK_FALSE(has(x, "-device", "pci"));
}

SCENARIO("a sandbox is asked to end through its agent, a disk that boots by itself through its power button") {
  CHECK(qemu_command("q", sandbox()).end_words == "stop\n");
  CHECK(values(qemu_command("q", sandbox()), "-qmp").size() == 2);
  auto disk = machine_plan{.name = "db.0", .console = true};
  disk.disks = {{"root.disk", "nv-root", machine_disk::layout::layered, false}};
  const auto x = qemu_command("q", disk);
  CHECK(x.end_words.find("system_powerdown") != std::string::npos);
  CHECK(values(x, "-qmp").size() == 3);
  CHECK(values(x, "-qmp").back().find(x.end_socket) != std::string::npos);
  CHECK(has(x, "-device", "virtio-blk-pci,drive=disk0,serial=nv-root,bootindex=0"));
  CHECK(values(x, "-kernel").empty());
  CHECK(values(x, "-bios").empty());
  CHECK(values(x, "-serial") == std::vector<std::string>{"chardev:log"});
  CHECK(has(x, "-device", "virtio-balloon-pci"));
}

SCENARIO("the processor itself is used where it was seen to work, and translation elsewhere") {
  auto plan = sandbox();
  CHECK(has(qemu_command("q", plan), "-accel", "tcg,thread=multi"));
  plan.accelerated = true;
  CHECK(values(qemu_command("q", plan), "-accel") == std::vector<std::string>{"kvm"});
  CHECK(values(qemu_command("q", plan), "-cpu") == std::vector<std::string>{"host"});
}

SCENARIO("a network is a device of the host, or relayed") {
  auto plan = sandbox();
  plan.network = {machine_network::kind::bridged, "52:54:0a:40:00:02", {}};
  const auto bridged = qemu_command("q", plan);
  CHECK(has(bridged, "-netdev", fmt::format("tap,id=link,fd={}", machine_link_descriptor)));
  CHECK(has(bridged, "-device", "virtio-net-device,netdev=link,mac=52:54:0a:40:00:02"));
  plan.network = {machine_network::kind::relayed, "52:54:0a:00:02:0f", {{8080, 80}, {8443, 443}}};
  CHECK(has(qemu_command("q", plan), "-netdev", "user,id=link,hostfwd=tcp::8080-:80,hostfwd=tcp::8443-:443"));
}

SCENARIO("a comma in a name cannot become an option") {
  auto plan = sandbox();
  plan.name = "a,process=evil";
  plan.disks.front().file = "/data,readonly=off/x";
  const auto x = qemu_command("q", plan);
  CHECK(values(x, "-name") == std::vector<std::string>{"a,,process=evil"});
  CHECK(has(x, "-blockdev", "file.filename=/data,,readonly=off/x"));
}

SCENARIO(
    "a clone reads its state from a descriptor, by orders that lie there, and maps its template's memory as its own") {
  auto plan = sandbox();
  plan.beginning = machine_beginning::clone;
  plan.shares_memory = true;
  const auto x = qemu_command("q", plan);
  CHECK(has(x, "-object", "memory-backend-file,id=memory,size=192M,mem-path=/proc/self/fd/6,share=off"));
  CHECK(values(x, "-incoming") == std::vector<std::string>{"defer"});
  CHECK(has(x, "-chardev", "pipe,id=orders,path=orders"));
  REQUIRE(x.files.size() == 1);
  CHECK(x.files[0].first == "orders.in");
  // Three orders, the last of which starts it.
  CHECK(std::ranges::count(x.files[0].second, '\n') == 3);
  CHECK(x.files[0].second.ends_with("{\"execute\":\"migrate-incoming\",\"arguments\":{\"uri\":\"fd:5\"}}\n"));
  CHECK(x.sinks == std::vector<std::string>{"orders.out"});
  // A reset boots it as any other.
  CHECK(values(x, "-append") == std::vector<std::string>{"quiet panic=-1"});
  plan.shares_memory = false;
  CHECK(has(qemu_command("q", plan), "-object", "mem-path=/proc/self/fd/6,share=on"));
}

SCENARIO("what was written down whole is read with its memory") {
  auto plan = sandbox();
  plan.beginning = machine_beginning::restored;
  const auto x = qemu_command("q", plan);
  CHECK(has(x, "-object", "memory-backend-memfd,id=memory,size=192M,share=on"));
  CHECK(values(x, "-incoming") == std::vector<std::string>{"defer"});
  REQUIRE(x.files.size() == 1);
  CHECK(x.files[0].second.find("\"x-ignore-shared\",\"state\":false") != std::string::npos);
  CHECK(x.files[0].second.ends_with("{\"uri\":\"fd:5\"}}\n"));
  CHECK(x.sinks == std::vector<std::string>{"orders.out"});
}

SCENARIO("a template boots with memory that it is given, and with a network device that leads nowhere") {
  auto plan = sandbox();
  plan.beginning = machine_beginning::template_boot;
  plan.network = {machine_network::kind::unplugged, "52:54:00:00:00:01", {}};
  const auto x = qemu_command("q", plan);
  CHECK(has(x, "-object", "mem-path=/proc/self/fd/6,share=on"));
  CHECK(has(x, "-device", "virtio-net-device,mac=52:54:00:00:00:01"));
  CHECK(values(x, "-netdev").empty());
  CHECK(values(x, "-incoming").empty());
  CHECK(x.files.empty());
}
