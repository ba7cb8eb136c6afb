#include "actors/workload/qemu_command.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

using words = std::vector<std::string>;

void add(words& all, std::initializer_list<std::string> more) {
  all.insert(all.end(), more);
}

/// A comma ends a value; two of them are one.
std::string value(const std::string& text) {
  auto safe = std::string{};
  for (const auto x : text)
    safe += x == ',' ? ",," : std::string(1, x);
  return safe;
}

std::string device(const machine_plan& x, const std::string& kind) {
  return kind + (x.small ? "-device" : "-pci");
}

/// Whether all of its memory comes to it.
bool has_come(machine_beginning x) {
  return x == machine_beginning::arrival || x == machine_beginning::restored;
}

/// Shared, so that the memory of a machine that runs can be read from outside. That of a clone is its template's, or
/// one of its own with the same content.
std::string memory(const machine_plan& x) {
  const auto size = x.memory_bytes >> 20;
  if (x.beginning == machine_beginning::boot || has_come(x.beginning))
    return fmt::format("memory-backend-memfd,id=memory,size={}M,share=on", size);
  return fmt::format("memory-backend-file,id=memory,size={}M,mem-path=/proc/self/fd/{},share={}", size,
                     machine_memory_descriptor, x.shares_memory ? "off" : "on");
}

void add_board(words& all, const machine_plan& x) {
  const auto* board = x.small ? "microvm,acpi=on,pit=off,pic=off,isa-serial=off,rtc=on" : "q35,vmport=off,smm=off";
  add(all, {"-M", fmt::format("{},memory-backend=memory", board)});
  // A larger buffer for translated code costs memory of the host, a smaller one 60 ms at the start.
  add(all, {"-accel", x.accelerated ? "kvm" : fmt::format("tcg,thread=multi,tb-size={}", x.small ? 64 : 128)});
  add(all, {"-cpu", x.accelerated ? "host" : "max", "-smp", std::to_string(x.cpus)});
  add(all, {"-m", fmt::format("{}M", x.memory_bytes >> 20), "-object", memory(x)});
  // Without a word about it some distributions' QEMU takes SeaBIOS for a small machine with ACPI: it lays the tables
  // where QEMU has the first files end, and what the last page of these does not leave free is overwritten.
  if (x.small)
    add(all, {"-bios", "qboot.rom", "-global", "virtio-mmio.force-legacy=false", "-no-reboot"});
}

void add_kernel(words& all, const machine_plan& x) {
  if (x.kernel.empty())
    return;
  add(all,
      {"-kernel", x.kernel, "-initrd", x.initial_files, "-append", fmt::format("{}", fmt::join(x.kernel_words, " "))});
}

void add_disks(words& all, const machine_plan& x) {
  for (auto i = std::size_t{0}; i < x.disks.size(); ++i) {
    const auto& each = x.disks[i];
    const auto layered = each.format == machine_disk::layout::layered;
    add(all, {"-blockdev", fmt::format("driver={},node-name=disk{},read-only={},{}file.driver=file,file.filename={}",
                                       layered ? "qcow2" : "raw", i, each.read_only ? "on" : "off",
                                       layered ? "" : "discard=unmap,", value(each.file))});
    const auto boots = x.kernel.empty() && i == 0 ? ",bootindex=0" : "";
    add(all, {"-device", fmt::format("{},drive=disk{},serial={}{}", device(x, "virtio-blk"), i, each.serial, boots)});
  }
}

void add_ports(words& all, const machine_plan& x) {
  if (x.ports.empty())
    return;
  add(all, {"-device", device(x, "virtio-serial")});
  for (auto i = std::size_t{0}; i < x.ports.size(); ++i) {
    const auto& each = x.ports[i];
    auto line = std::string{"log"};
    if (each.kind != machine_port::end::log) {
      line = fmt::format("port{}", i);
      const auto* more = each.kind == machine_port::end::socket ? ",server=on,wait=off" : "";
      const auto* kind = each.kind == machine_port::end::socket ? "socket" : "file";
      add(all, {"-chardev", fmt::format("{},id={},path={}{}", kind, line, value(each.file), more)});
    }
    add(all, {"-device", fmt::format("virtserialport,chardev={},name={}", line, each.name)});
  }
}

void add_network(words& all, const machine_plan& x) {
  if (x.network.how == machine_network::kind::none)
    return;
  if (x.network.how == machine_network::kind::unplugged)
    return add(all, {"-device", fmt::format("{},mac={}", device(x, "virtio-net"), x.network.hardware_address)});
  auto link = fmt::format("tap,id=link,fd={}", machine_link_descriptor);
  if (x.network.how == machine_network::kind::relayed) {
    link = "user,id=link";
    for (const auto& [host, inside] : x.network.ports)
      link += fmt::format(",hostfwd=tcp::{}-:{}", host, inside);
  }
  add(all, {"-netdev", link, "-device",
            fmt::format("{},netdev=link,mac={}", device(x, "virtio-net"), x.network.hardware_address)});
}

/// Orders that QEMU finds when it starts, so that a clone needs nobody to begin: its state is read from a descriptor.
/// It goes on by itself then, as what it was did.
void add_cloning(machine_command& made, const machine_plan& x) {
  if (x.beginning != machine_beginning::clone && x.beginning != machine_beginning::restored)
    return;
  add(made.words, {"-incoming", "defer", "-chardev", fmt::format("pipe,id=orders,path={}", qemu_orders), "-mon",
                   "chardev=orders,mode=control"});
  // The memory of a clone is there already, and not part of the state.
  const auto ignores = x.beginning == machine_beginning::clone ? "true" : "false";
  made.files.emplace_back(
      fmt::format("{}.in", qemu_orders),
      fmt::format("{{\"execute\":\"qmp_capabilities\"}}\n"
                  "{{\"execute\":\"migrate-set-capabilities\",\"arguments\":{{\"capabilities\":[{{\"capability\":"
                  "\"x-ignore-shared\",\"state\":{}}}]}}}}\n"
                  "{{\"execute\":\"migrate-incoming\",\"arguments\":{{\"uri\":\"fd:{}\"}}}}\n",
                  ignores, machine_state_descriptor));
  made.sinks.push_back(fmt::format("{}.out", qemu_orders));
}

/// What a whole computer has besides: places for devices that come later, chance, and memory that can be taken back.
void add_rest(words& all, const machine_plan& x) {
  if (x.small)
    return;
  for (const auto* place : {"1", "2"})
    add(all, {"-device", fmt::format("pcie-root-port,id=place{0},chassis={0}", place)});
  add(all, {"-object", "rng-random,id=chance,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=chance"});
  add(all, {"-device", "virtio-balloon-pci,id=balloon"});
}

} // namespace

machine_command qemu_command(const std::string& program, const machine_plan& x) {
  auto made = machine_command{};
  auto& all = made.words;
  add(all, {program, "-name", value(x.name), "-nodefaults", "-no-user-config", "-display", "none"});
  // It starts nothing, becomes nobody else, and changes no limit.
  add(all, {"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"});
  add_board(all, x);
  add_kernel(all, x);
  const auto logs = [](const machine_port& port) { return port.kind == machine_port::end::log; };
  if (x.console || std::ranges::any_of(x.ports, logs))
    add(all, {"-add-fd", fmt::format("fd={},set=1", machine_log_descriptor), "-chardev",
              "file,id=log,path=/dev/fdset/1,append=on"});
  if (x.console)
    add(all, {"-serial", "chardev:log"});
  add_disks(all, x);
  add_ports(all, x);
  add_network(all, x);
  add_rest(all, x);
  add_cloning(made, x);
  if (x.beginning == machine_beginning::arrival)
    add(all, {"-incoming", "defer"});
  // Whoever moves the guest speaks with it beside us.
  if (x.beginning != machine_beginning::template_boot)
    add(all, {"-qmp", fmt::format("unix:{},server=on,wait=off", qemu_move_socket)});
  add(all, {"-qmp", fmt::format("unix:{},server=on,wait=off", qemu_monitor_socket)});
  made.end_socket = qemu_end_socket;
  // Where the agent listens for the end, that is its port; else the second monitor stands in for the power button.
  const auto agent = std::ranges::find(x.ports, std::string{qemu_end_socket}, &machine_port::file);
  if (agent != x.ports.end()) {
    made.end_words = "stop\n";
    return made;
  }
  add(all, {"-qmp", fmt::format("unix:{},server=on,wait=off", qemu_end_socket)});
  made.end_words = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"system_powerdown\"}\n";
  return made;
}

} // namespace novacron::workload
