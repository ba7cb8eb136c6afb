#include "actors/node/doctor.hpp"

#include "actors/host/log.hpp"
#include "actors/node/settings_reader.hpp"

#include <fmt/format.h>
#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace novacron::node {
namespace {

/// "1.8.1" in "crun version 1.8.1" as {1, 8}.
std::array<int, 2> version_in(const std::string& text) {
  auto found = std::array{0, 0};
  const auto digit = text.find_first_of("0123456789");
  if (digit == text.npos)
    return found;
  const auto* end = text.data() + text.size();
  const auto major = std::from_chars(text.data() + digit, end, found[0]);
  if (major.ptr < end && *major.ptr == '.')
    std::from_chars(major.ptr + 1, end, found[1]);
  return found;
}

bool has(const symptoms& x, int capability) {
  return (x.capabilities >> capability & 1) != 0;
}

diagnosis kernel(const symptoms& x) {
  constexpr auto oldest = std::array{5, 10}; // overlay, pidfd, close_range and openat2 as we use them
  if (version_in(x.kernel) < oldest)
    return {"kernel", grade::limited, x.kernel + " is older than 5.10",
            "apt-get install linux-image-" + (x.architecture == "x86_64" ? "amd64" : x.architecture)};
  return {"kernel", grade::good, x.kernel + ", " + x.architecture, {}};
}

diagnosis machine(const symptoms& x) {
  return {"machine", grade::good, fmt::format("{} cpus, {} MiB memory", x.cpus, x.memory_bytes >> 20), {}};
}

diagnosis cgroups(const symptoms& x) {
  constexpr auto names = std::array{"none", "v1", "hybrid (v1 with a v2 mount beside it)", "v2"};
  const auto mode = std::string{names[static_cast<std::size_t>(x.cgroups)]};
  const auto wants = [&](const char* name) {
    return std::find(x.controllers.begin(), x.controllers.end(), name) == x.controllers.end();
  };
  auto lacking = std::string{};
  for (const auto* name : {"cpu", "memory", "pids"})
    if (wants(name))
      lacking += (lacking.empty() ? "" : ", ") + std::string{name};
  if (x.cgroups == cgroup_mode::none)
    return {"cgroups", grade::missing, "there are none: containers run without limits",
            "mount -t cgroup2 none /sys/fs/cgroup"};
  if (!x.cgroups_writable)
    return {"cgroups", grade::limited, mode + ", read-only for us: containers run without limits",
            "run novacron as root, or with Delegate=yes from systemd"};
  if (!lacking.empty())
    return {"cgroups", grade::limited, mode + ", without " + lacking + ": these are not limited",
            x.cgroups == cgroup_mode::v2 ? "echo '+cpu +memory +pids' > /sys/fs/cgroup/cgroup.subtree_control"
                                         : "boot with systemd.unified_cgroup_hierarchy=1"};
  return {"cgroups", grade::good, mode + ", all limits work", {}};
}

diagnosis overlay(const symptoms& x) {
  if (x.overlay_mounts == true)
    return {"overlay", grade::good, "images are shared between instances", {}};
  if (!x.overlay_known)
    return {"overlay", grade::limited, "the kernel has no overlay: each instance copies its image", "modprobe overlay"};
  if (!x.overlay_mounts)
    return {"overlay", grade::limited, "not tried: mounting needs CAP_SYS_ADMIN", "run novacron doctor as root"};
  return {"overlay", grade::limited, "cannot be mounted here: each instance copies its image",
          "put the data directory on ext4 or xfs"};
}

diagnosis crun(const symptoms& x) {
  if (!x.crun.empty())
    return {"crun", grade::good, x.crun + (x.crun_has_criu ? ", with CRIU" : ""), {}};
  return {"crun", grade::missing, "not installed: no containers and no batch jobs", "apt-get install crun"};
}

diagnosis criu(const symptoms& x) {
  if (x.criu.empty())
    return {"criu", grade::limited, "not installed: containers move by a restart, without their memory",
            "apt-get install criu"};
  if (version_in(x.criu)[0] < 4)
    return {"criu", grade::limited, x.criu + " is older than 4 and may fail on this kernel", "install CRIU 4 or newer"};
  if (x.criu_check == false)
    return {"criu", grade::limited, x.criu + ": its own check fails", "criu check"};
  if (!x.crun_has_criu && x.runc.empty())
    return {"criu", grade::limited, x.criu + ", but crun was built without it", "apt-get install runc"};
  return {"criu",
          grade::good,
          x.criu + (x.criu_tracks_dirty ? ", with dirty page tracking" : ", without dirty page tracking"),
          {}};
}

diagnosis kvm(const symptoms& x) {
  const auto& k = x.kvm;
  if (!k.device)
    return {"kvm", grade::limited, "no /dev/kvm: guests are emulated and slow",
            "enable virtualisation in the firmware, or nested virtualisation on the host above"};
  if (!k.may_open)
    return {"kvm", grade::limited, "/dev/kvm may not be opened: " + k.trouble, "usermod -aG kvm $USER"};
  if (!k.ran)
    return {"kvm",
            grade::limited,
            "/dev/kvm opens, but a tiny guest does not run: " + k.trouble + "; guests are emulated",
            {}};
  const auto took = fmt::format("{:.2f} ms", static_cast<double>(k.took.count()) / 1000);
  if (!is_usable(k))
    return {"kvm",
            grade::limited,
            "opens and runs, but a loop of 65535 turns takes " + took + (k.sse3 ? "" : " and there is no SSE3") +
                ": guests are emulated instead",
            {}};
  return {"kvm", grade::good, "a tiny guest ran in " + took, {}};
}

diagnosis qemu(const symptoms& x) {
  if (x.qemu.empty())
    return {"qemu", grade::limited, "not installed: no sandboxes and no virtual machines",
            "apt-get install qemu-system-x86"};
  if (!x.qemu_img)
    return {"qemu", grade::limited, x.qemu + ", but no qemu-img: machines get no disks", "apt-get install qemu-utils"};
  if (x.guest_kernel.empty())
    return {"qemu", grade::limited, x.qemu + ", but no kernel for guests: no sandboxes, and virtual machines only from whole disks",
            "share/guest/prepare /usr/lib/novacron/guest"};
  return {"qemu", grade::good, x.qemu + ", guests boot " + x.guest_kernel + (x.vsock ? ", vsock" : ", no vsock (a serial port is used)"), {}};
}

diagnosis network(const symptoms& x) {
  if (!x.network_namespace)
    return {"network", grade::limited, "not tried: network namespaces need CAP_SYS_ADMIN",
            "run novacron doctor as root"};
  if (x.network_namespace == false)
    return {"network", grade::limited, "no network namespaces: containers can only use mode host or none",
            "sysctl -w user.max_net_namespaces=65536"};
  if (!x.ip_tool)
    return {"network", grade::limited, "network namespaces work, but there is no ip", "apt-get install iproute2"};
  if (x.veth == false)
    return {"network", grade::limited, "network namespaces work, veth pairs do not", "modprobe veth"};
  return {"network", grade::good, "namespaces and veth pairs work", {}};
}

diagnosis way_out(const symptoms& x) {
  if (x.nft.empty())
    return {"way out", grade::limited, "no nft: containers and machines on a bridge reach nothing beyond this host",
            "apt-get install nftables"};
  if (!x.masquerades)
    return {"way out", grade::limited, "not tried: network namespaces need CAP_SYS_ADMIN",
            "run novacron doctor as root"};
  if (x.masquerades == false)
    return {"way out", grade::limited,
            "the kernel refuses to masquerade: containers and machines on a bridge reach nothing beyond this host",
            "modprobe nft_masq"};
  if (x.name_servers.empty())
    return {"way out", grade::limited, "no name server beyond loopback: containers and machines resolve no names",
            "name one in /etc/resolv.conf"};
  return {"way out",
          grade::good,
          fmt::format("containers and machines reach beyond this host and ask {} for names",
                      fmt::join(x.name_servers, ", ")),
          {}};
}

diagnosis tun(const symptoms& x) {
  if (x.tun)
    return {"tun", grade::good, "/dev/net/tun opens", {}};
  return {"tun", grade::limited, "/dev/net/tun cannot be opened: guests have user-mode networks only", "modprobe tun"};
}

diagnosis capabilities(const symptoms& x) {
  struct named {
    int number;
    const char* name;
  };
  constexpr auto wanted =
      std::array{named{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},       named{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
                 named{CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE"}, named{CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE"},
                 named{CAP_SYS_CHROOT, "CAP_SYS_CHROOT"},     named{CAP_MKNOD, "CAP_MKNOD"}};
  auto lacking = std::string{};
  for (const auto& [number, name] : wanted)
    if (!has(x, number))
      lacking += (lacking.empty() ? "" : ", ") + std::string{name};
  if (lacking.empty())
    return {"capabilities", grade::good, "all that the drivers use", {}};
  if (!has(x, CAP_SYS_ADMIN))
    return {"capabilities", grade::missing, "without " + lacking + ": no containers", "run novacron as root"};
  return {"capabilities", grade::limited, "without " + lacking, x.root ? "" : "run novacron as root"};
}

diagnosis disk(const symptoms& x) {
  constexpr auto room_wanted = std::uint64_t{2} << 30;
  const auto room = fmt::format("{:.1f} GiB of {:.1f} GiB free for {}", static_cast<double>(x.disk_free_bytes) / 0x1p30,
                                static_cast<double>(x.disk_total_bytes) / 0x1p30, x.data_dir);
  if (!x.disk_trouble.empty())
    return {"disk", grade::missing, x.data_dir + ": " + x.disk_trouble,
            "give a directory we may write to: --data-dir=DIR"};
  if (x.disk_free_bytes < room_wanted)
    return {"disk", grade::limited, room + ", less than 2 GiB",
            "free some space, or use --data-dir=DIR on another disk"};
  return {"disk", grade::good, room, {}};
}

diagnosis sync(const symptoms& x) {
  constexpr auto patience = std::chrono::milliseconds{10}; // each command of the ledger waits for one
  if (!x.sync_took)
    return {"sync", grade::limited, "could not be measured", {}};
  const auto took =
      fmt::format("{:.2f} ms for an append that is safe on disk", static_cast<double>(x.sync_took->count()) / 1000);
  if (*x.sync_took > patience)
    return {"sync", grade::limited, took + ": the ledger will be slow",
            "put the ledger on a faster disk: --data-dir=DIR"};
  return {"sync", grade::good, took, {}};
}

diagnosis clock(const symptoms& x) {
  if (x.year < 2024)
    return {"clock", grade::missing, fmt::format("it is not the year {}: every certificate will be refused", x.year),
            "timedatectl set-ntp true"};
  if (x.clock_synchronized == false)
    return {"clock", grade::limited, "nobody keeps it right; certificates need it within five minutes",
            "apt-get install systemd-timesyncd"};
  return {"clock", grade::good, x.clock_synchronized ? "synchronized" : "plausible", {}};
}

std::vector<diagnosis> ports(const symptoms& x) {
  auto all = std::vector<diagnosis>{};
  for (const auto& one : x.ports) {
    const auto name = "port " + one.what;
    if (one.error == 0)
      all.push_back({name, grade::good, one.address + " is free", {}});
    else if (one.error == EADDRINUSE)
      all.push_back({name, grade::missing, one.address + " is in use",
                     "ss -ltnp   # shows by whom; is novacron running already?"});
    else
      all.push_back({name, grade::missing, one.address + ": " + std::strerror(one.error), "change it in nodes.toml"});
  }
  return all;
}

diagnosis limits(const symptoms& x) {
  constexpr auto files_wanted = std::uint64_t{4096}; // chosen: 1000 links and as many pipes
  constexpr auto processes_wanted = std::uint64_t{1024};
  const auto text = fmt::format("{} open files (up to {}), {} processes", x.files_soft, x.files_hard,
                                x.processes_soft > 1ull << 40 ? "unlimited" : std::to_string(x.processes_soft));
  if (x.files_hard < files_wanted)
    return {"limits", grade::limited, text, "ulimit -n 65536, or LimitNOFILE=1048576 in the unit"};
  if (x.processes_soft < processes_wanted)
    return {"limits", grade::limited, text, "ulimit -u 65536, or TasksMax=infinity in the unit"};
  return {"limits", grade::good, text, {}};
}

diagnosis redis(const symptoms& x) {
  if (x.redis.empty())
    return {"cache", grade::good, "embedded", {}};
  if (!x.redis_trouble.empty())
    return {"cache", grade::limited,
            "redis at " + x.redis + ": " + x.redis_trouble + "; the embedded cache is used meanwhile",
            "systemctl start redis-server"};
  return {"cache", grade::good, "redis at " + x.redis + " answers", {}};
}

diagnosis certificates(const symptoms& x) {
  constexpr auto worrying = std::chrono::hours{6}; // it should have been renewed long before
  if (!x.has_certificate)
    return {"certificate", grade::limited, "none yet",
            "novacron dev makes its own; else join with a token of your fabric"};
  if (!x.certificate_trouble.empty())
    return {"certificate", grade::missing, x.certificate_trouble,
            "novacron token create --name=NAME --role=ROLE   # on a controller, then join again"};
  const auto left =
      fmt::format("valid for another {}", print_span(std::chrono::floor<std::chrono::minutes>(x.certificate_left)));
  if (x.certificate_left < worrying)
    return {"certificate", grade::limited, left + "; it is renewed while the node is linked to a controller", {}};
  return {"certificate", grade::good, left, {}};
}

} // namespace

bool is_usable(const kvm_trial& x) {
  // Hardware needs far less than 1 ms, emulated KVM ten times this.
  constexpr auto patience = std::chrono::milliseconds{20};
  return x.device && x.may_open && x.ran && x.sse3 && x.took <= patience;
}

std::string to_string(grade x) {
  constexpr auto names = std::array{"good", "limited", "missing"};
  return names[static_cast<std::size_t>(x)];
}

std::vector<diagnosis> diagnose(const symptoms& x) {
  auto all = std::vector{kernel(x),  machine(x), capabilities(x), cgroups(x), overlay(x), crun(x),
                         network(x), way_out(x), tun(x),          kvm(x),     qemu(x),    criu(x),
                         disk(x),    sync(x),    clock(x),        limits(x),  redis(x),   certificates(x)};
  for (auto& one : ports(x))
    all.push_back(std::move(one));
  return all;
}

grade worst(const std::vector<diagnosis>& all) {
  const auto found =
      std::max_element(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.how < b.how; });
  return found == all.end() ? grade::good : found->how;
}

std::string to_table(const std::vector<diagnosis>& all, bool colour) {
  constexpr auto colours = std::array{"\x1b[32m", "\x1b[33m", "\x1b[31m"};
  auto width = std::size_t{5};
  for (const auto& one : all)
    width = std::max(width, one.check.size());
  auto out = std::string{};
  for (const auto& one : all) {
    const auto shade = colour ? colours[static_cast<std::size_t>(one.how)] : "";
    out += fmt::format("{:<{}}  {}{:<7}{}  {}\n", one.check, width, shade, to_string(one.how), colour ? "\x1b[0m" : "",
                       one.finding);
    if (!one.remedy.empty())
      out += fmt::format("{:<{}}           -> {}\n", "", width, one.remedy);
  }
  return out;
}

std::string to_json(const std::vector<diagnosis>& all) {
  auto out = "{\"verdict\":" + host::json_string(to_string(worst(all))) + ",\"checks\":[";
  for (const auto& one : all) {
    out += &one == &all.front() ? "{" : ",{";
    out += "\"check\":" + host::json_string(one.check) + ",\"verdict\":" + host::json_string(to_string(one.how)) +
           ",\"finding\":" + host::json_string(one.finding) + ",\"remedy\":" + host::json_string(one.remedy) + '}';
  }
  return out + "]}";
}

} // namespace novacron::node
