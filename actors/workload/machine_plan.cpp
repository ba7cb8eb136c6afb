#include "actors/workload/machine_plan.hpp"

#include "actors/workload/bundle.hpp"
#include "actors/workload/guest/box.hpp"
#include "actors/workload/guest_channel.hpp"
#include "actors/workload/image_digest.hpp"

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <sstream>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace novacron::workload {
namespace {

using json = nlohmann::json;

constexpr auto mebi = std::uint64_t{1} << 20;
/// Measured: with 64 MiB the cloud kernel of Debian 12 leaves 30 MiB, less than an image may need to say a word.
constexpr auto kernel_bytes = 64 * mebi;
constexpr auto small_bytes_min = 128 * mebi;
/// Chosen: an installed distribution comes up with that much.
constexpr auto whole_bytes = 512 * mebi;
/// Measured: 90 MiB for QEMU itself while it boots, and 128 MiB at most for translated code.
constexpr auto process_bytes = 256 * mebi;

/// The capabilities that a container has: audit_write, chown, dac_override, fowner, fsetid, kill, mknod,
/// net_bind_service, net_raw, setfcap, setgid, setpcap, setuid, sys_chroot.
constexpr auto capabilities_kept = std::uint64_t{0xa80425fb};

bool is_vm(const wire::WorkloadSpec& spec) {
  return spec.kind() == wire::WORKLOAD_KIND_VM;
}

std::uint64_t whole_mebi(std::uint64_t bytes) {
  return (bytes + mebi - 1) / mebi * mebi;
}

std::string hardware_address(const host::ipv4& x) {
  return fmt::format("52:54:{:02x}:{:02x}:{:02x}:{:02x}", x.address >> 24, x.address >> 16 & 255, x.address >> 8 & 255,
                     x.address & 255);
}

/// What a small machine's kernel cannot find out by itself, because the parts that would tell it are left out.
std::vector<std::string> kernel_words(const machine_host& host, bool small) {
  auto words = std::vector<std::string>{"quiet", "random.trust_cpu=on"};
  if (host.stamp_khz > 0)
    for (auto&& word : {fmt::format("tsc_early_khz={}", host.stamp_khz), std::string{"tsc=reliable"}})
      words.push_back(word);
  words.insert(words.end(), {"no_timer_check", "cryptomgr.notests"});
  if (small)
    words.insert(words.end(), {"loglevel=0", "panic=-1", "noreplace-smp", "8250.nr_uarts=0", "i8042.noaux"});
  else
    words.insert(words.end(), {"console=ttyS0", "panic=10"});
  return words;
}

using speech = std::function<void(std::initializer_list<std::string>)>;

std::string digits_for(std::string_view bytes) {
  auto digits = std::string{};
  for (const auto each : bytes)
    digits += fmt::format("{:02x}", static_cast<unsigned char>(each));
  return digits;
}

/// What no two guests have in common.
void say_who(const wire::Instance& what, const machine_link& link, const guest_birth& birth, const speech& say) {
  say({"host", what.name()});
  if (link.how != machine_network::kind::none)
    say({"network", to_string(link.address), std::to_string(link.address.prefix), to_string(link.gateway),
         hardware_address(link.address)});
  // That of a virtual machine is its own affair: it stays what its users made of it.
  if (!is_vm(what.spec()))
    say({"file", "/etc/hosts",
         hosts_file(what.name(), link.how == machine_network::kind::none ? "" : to_string(link.address))});
  if (link.how != machine_network::kind::none)
    say({"file", "/etc/resolv.conf", to_text(link.resolver)});
  say({"chance", digits_for(birth.chance)});
  say({"time", std::to_string(birth.now_ns)});
}

} // namespace

machine_link relayed_link() {
  return {machine_network::kind::relayed,
          host::parse_ipv4("10.0.2.15", 24).value(),
          host::parse_ipv4("10.0.2.2").value(),
          {.servers = {"10.0.2.3"}, .lines = {}}};
}

std::string refuse_machine(const wire::WorkloadSpec& spec, const process_arguments& process, const machine_image& image,
                           const std::vector<std::filesystem::path>& mountable) {
  const auto* kind = is_vm(spec) ? "a virtual machine" : "a sandbox";
  if (!spec.program().mounts().empty())
    return fmt::format("{} cannot mount directories of the host", kind);
  if (spec.network().mode() == "host")
    return fmt::format("{} has a network of its own: network mode bridge or none", kind);
  if (image.whole_disk && !is_vm(spec))
    return "the image is a disk with a system of its own: kind = \"vm\"";
  auto known = process;
  if (is_vm(spec) && known.argv.empty())
    known.argv = {"/sbin/init"};
  if (process.argv.size() > guest::box_words_max || process.env.size() > guest::box_words_max)
    return fmt::format("more than {} arguments or variables", guest::box_words_max);
  return refuse_container(spec, known, mountable);
}

std::uint64_t machine_memory(const wire::WorkloadSpec& spec) {
  const auto asked = spec.resources().memory_bytes();
  if (is_vm(spec))
    return asked > 0 ? std::max(whole_mebi(asked), small_bytes_min) : whole_bytes;
  return std::max(whole_mebi(asked + kernel_bytes), small_bytes_min);
}

std::uint64_t machine_memory_limit(const wire::WorkloadSpec& spec) {
  return machine_memory(spec) + process_bytes;
}

machine_plan plan_machine(const wire::Instance& what, const machine_host& host, const machine_image& image,
                          const machine_link& link) {
  using layout = machine_disk::layout;
  using end = machine_port::end;
  const auto& spec = what.spec();
  auto x = machine_plan{.name = what.name(), .small = !is_vm(spec), .accelerated = host.accelerated};
  const auto wanted = static_cast<std::uint32_t>((spec.resources().cpu_milli() + 999) / 1000);
  x.cpus = std::clamp(wanted, 1u, std::max(1u, host.cpus));
  x.memory_bytes = machine_memory(spec);
  x.console = is_vm(spec);
  x.disks.push_back({machine_root_file, "nv-root", layout::layered, false});
  if (!image.whole_disk) {
    x.kernel = host.kernel;
    x.initial_files = x.small ? host.small_files : host.whole_files;
    x.kernel_words = kernel_words(host, x.small);
    x.disks.push_back({machine_box_file, "nv-box", layout::raw, true});
    x.ports = {{"nv.control", end::socket, machine_control_socket},
               {"nv.end", end::socket, machine_agent_end_socket},
               {"nv.how", end::file, machine_outcome_file}};
    if (x.small)
      x.ports.push_back({"nv.out", end::log, {}});
  }
  if (image.whole_disk)
    x.disks.push_back({machine_seed_file, "nv-seed", layout::raw, true});
  x.network.how = link.how;
  if (link.how != machine_network::kind::none)
    x.network.hardware_address = hardware_address(link.address);
  if (link.how == machine_network::kind::relayed)
    for (const auto& port : spec.network().ports())
      if (port.host() > 0)
        x.network.ports.emplace_back(port.host(), port.inside());
  return x;
}

std::string box_content(const wire::Instance& what, const process_arguments& process, const process_user& user,
                        const machine_host& host, const machine_link& link, const guest_birth& birth, int stop_signal,
                        std::uint64_t files_max) {
  const auto& spec = what.spec();
  auto text = std::string{};
  const auto say = [&](std::initializer_list<std::string> words) { text += guest_line({words.begin(), words.end()}); };
  const auto machine = is_vm(spec);
  say({"role", machine ? "machine" : "sandbox"});
  if (machine && process.argv.empty())
    say({"argument", "/sbin/init"});
  for (const auto& each : process.argv)
    say({"argument", each});
  for (const auto& each : process.env)
    say({"environment", each});
  if (!machine && std::ranges::none_of(process.env, [](const std::string& x) { return x.starts_with("HOME="); }))
    say({"environment", "HOME=" + user.home});
  say({"directory", process.workdir});
  auto ids = std::vector<std::string>{"user", std::to_string(user.uid), std::to_string(user.gid)};
  for (const auto group : user.groups)
    if (ids.size() < guest::groups_max + 3)
      ids.push_back(std::to_string(group));
  text += guest_line({ids.begin(), ids.end()});
  say_who(what, link, birth, say);
  say({"root", spec.program().read_only_root() ? "read-only" : "writable"});
  say({"stop", std::to_string(stop_signal)});
  say({"files", std::to_string(files_max)});
  say({"processes", std::to_string(host.processes_max)});
  say({"memory", std::to_string(spec.resources().memory_bytes())});
  say({"capabilities", fmt::format("{:x}", capabilities_kept)});
  say({"end"});
  constexpr auto sector = std::size_t{512};
  text.resize((text.size() + sector - 1) / sector * sector);
  return text;
}

std::string renewal_content(const wire::Instance& what, const machine_link& link, const guest_birth& birth,
                            bool is_another) {
  auto text = std::string{};
  const auto say = [&](std::initializer_list<std::string> words) { text += guest_line({words.begin(), words.end()}); };
  // As many digits as that file has. Of the same chance, but nobody learns that from it.
  if (is_another && is_vm(what.spec()))
    say({"file", "/etc/machine-id",
         std::string{digits_of(digest_of("machine-id " + birth.chance)).substr(0, 32)} + "\n"});
  say_who(what, link, birth, say);
  say({"end"});
  return text;
}

std::vector<std::pair<std::string, std::string>> seed_files(const wire::Instance& what, const machine_link& link) {
  // JSON is YAML, and escapes whatever is in a name. The epoch makes cloud-init take another placement for a new
  // machine.
  const auto facts =
      json{{"instance-id", fmt::format("{}-{}", what.name(), what.epoch())}, {"local-hostname", what.name()}};
  auto devices = json{{"version", 2}, {"ethernets", json::object()}};
  if (link.how != machine_network::kind::none)
    devices["ethernets"]["link"] = {{"match", {{"macaddress", hardware_address(link.address)}}},
                                    {"addresses", {fmt::format("{}/{}", to_string(link.address), link.address.prefix)}},
                                    {"nameservers", {{"addresses", link.resolver.servers}}},
                                    {"routes", {{{"to", "0.0.0.0/0"}, {"via", to_string(link.gateway)}}}}};
  return {{"meta-data", facts.dump(1) + "\n"},
          {"user-data", "#cloud-config\n{}\n"},
          {"network-config", devices.dump(1) + "\n"}};
}

std::optional<ended> parse_outcome(const std::string& text) {
  auto lines = std::istringstream{text};
  auto found = ended{};
  auto killed = 0;
  if (!(lines >> found.code >> killed) || text.back() != '\n')
    return {};
  found.out_of_memory = killed != 0;
  lines.ignore();
  std::getline(lines, found.reason);
  if (found.reason.empty())
    return {};
  return found;
}

} // namespace novacron::workload
