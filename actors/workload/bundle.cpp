#include "actors/workload/bundle.hpp"

#include "actors/host/cgroup.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <signal.h>

#include <algorithm>
#include <cstdlib>

namespace novacron::workload {
namespace {

using json = nlohmann::json;

/// What Docker leaves to a container's root.
const auto capabilities_kept = json{
    "CAP_AUDIT_WRITE", "CAP_CHOWN",    "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID",  "CAP_KILL",   "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP",  "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"};

/// What of the kernel no container needs: modules, clocks, keys, tracing of others, new namespaces and mounts.
const auto calls_refused = json{
    "acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "fsconfig", "fsmount",
    "fsopen", "fspick", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp",
    "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mount", "mount_setattr", "move_mount",
    "name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree", "perf_event_open", "pivot_root",
    "process_vm_readv", "process_vm_writev", "quotactl", "quotactl_fd", "reboot", "request_key", "setns", "settimeofday",
    "swapoff", "swapon", "umount2", "unshare", "userfaultfd", "vhangup"};

/// Where the usher is inside. Chosen: no image has anything there.
constexpr auto usher_inside = "/.novacron/usher";

json mount_of(const char* target, const char* type, const char* source, json options) {
  return {{"destination", target}, {"type", type}, {"source", source}, {"options", std::move(options)}};
}

json mounts(const wire::WorkloadSpec& spec, const bundle_options& options) {
  auto all = json::array({
      mount_of("/proc", "proc", "proc", json::array({"nosuid", "noexec", "nodev"})),
      mount_of("/dev", "tmpfs", "tmpfs", json::array({"nosuid", "strictatime", "mode=755", "size=65536k"})),
      mount_of("/dev/pts", "devpts", "devpts",
               json::array({"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"})),
      mount_of("/dev/shm", "tmpfs", "shm", json::array({"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"})),
      mount_of("/dev/mqueue", "mqueue", "mqueue", json::array({"nosuid", "noexec", "nodev"})),
      mount_of("/sys", "sysfs", "sysfs", json::array({"nosuid", "noexec", "nodev", "ro"})),
      mount_of("/sys/fs/cgroup", "cgroup", "cgroup", json::array({"nosuid", "noexec", "nodev", "relatime", "ro"})),
  });
  // Its own may be changed from inside, as some images do when they start; the host's may not.
  const auto own = json::array({"bind", "rw", "nosuid", "nodev", "noexec"});
  const auto of_host = json::array({"bind", "ro", "nosuid", "nodev"});
  for (const std::string file : {"hosts", "resolv.conf"})
    if (options.host_network)
      all.push_back(mount_of(("/etc/" + file).c_str(), "bind", ("/etc/" + file).c_str(), of_host));
    else if (file == "hosts" || spec.network().mode() != "none")
      all.push_back(mount_of(("/etc/" + file).c_str(), "bind", (options.network_files + "/" + file).c_str(), own));
  for (const auto& each : spec.program().mounts())
    all.push_back(mount_of(each.target().c_str(), "bind", each.source().c_str(),
                           json::array({"rbind", "rprivate", each.read_only() ? "ro" : "rw", "nosuid", "nodev"})));
  if (!options.usher.empty())
    all.push_back(
        mount_of(usher_inside, "bind", options.usher.c_str(), json::array({"bind", "ro", "nosuid", "nodev"})));
  return all;
}

void set_limits(json& all, const wire::Resources& wanted) {
  if (wanted.cpu_milli() > 0)
    all["cpu"] = {{"quota", wanted.cpu_milli() * host::cpu_period_usec / 1000},
                  {"period", host::cpu_period_usec},
                  {"shares", std::max<std::uint64_t>(2, wanted.cpu_milli() * 1024 / 1000)}};
  // Swap counts too: else a container that is over its limit slows the host instead of ending.
  if (wanted.memory_bytes() > 0)
    all["memory"] = {{"limit", wanted.memory_bytes()}, {"swap", wanted.memory_bytes()}};
}

json limits(const wire::Resources& wanted, std::uint32_t pids_max) {
  auto all = json{{"devices", json::array({{{"allow", false}, {"access", "rwm"}}})}, {"pids", {{"limit", pids_max}}}};
  set_limits(all, wanted);
  return all;
}

json system_calls() {
  constexpr auto new_user_namespace = 0x10000000;
  constexpr auto no_such_call = 38; // ENOSYS: the C library falls back to clone, whose flags can be looked at.
  return {{"defaultAction", "SCMP_ACT_ALLOW"},
          {"syscalls",
           json::array({{{"names", calls_refused}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", 1}},
                        {{"names", json::array({"clone"})},
                         {"action", "SCMP_ACT_ERRNO"},
                         {"errnoRet", 1},
                         {"args", json::array({{{"index", 0},
                                                {"value", new_user_namespace},
                                                {"valueTwo", new_user_namespace},
                                                {"op", "SCMP_CMP_MASKED_EQ"}}})}},
                        {{"names", json::array({"clone3"})},
                         {"action", "SCMP_ACT_ERRNO"},
                         {"errnoRet", no_such_call}}})}};
}

bool below(const std::filesystem::path& path, const std::filesystem::path& top) {
  const auto relative = path.lexically_normal().lexically_relative(top.lexically_normal());
  return !relative.empty() && *relative.begin() != "..";
}

} // namespace

process_arguments arguments_for(const wire::Instance& what, const image_config& image, const std::string& node) {
  const auto& program = what.spec().program();
  auto named = image;
  named.env.push_back("NOVACRON_INSTANCE=" + what.name());
  named.env.push_back("NOVACRON_WORKLOAD=" + what.workload());
  named.env.push_back("NOVACRON_ORDINAL=" + std::to_string(what.ordinal()));
  named.env.push_back("NOVACRON_EPOCH=" + std::to_string(what.epoch()));
  named.env.push_back("NOVACRON_NODE=" + node);
  return arguments_of(named, {.command = {program.command().begin(), program.command().end()},
                              .env = {program.env().begin(), program.env().end()},
                              .workdir = program.workdir(),
                              .user = program.user()});
}

process_arguments ushered(process_arguments handler, const wire::FunctionRules& rules) {
  const auto first = {std::string{usher_inside}, std::string{"wait"},
                      rules.handler().empty() ? "each" : rules.handler()};
  handler.argv.insert(handler.argv.begin(), first);
  return handler;
}

std::string lane_process(const std::string& config) {
  const auto all = json::parse(config, nullptr, false);
  if (!all.is_object() || !all.contains("process") || !all["process"].contains("args"))
    return {};
  auto process = all["process"];
  auto& words = process["args"];
  if (!words.is_array() || words.size() < 4 || words[0] != usher_inside)
    return {};
  words[1] = "take";
  return process.dump(1);
}

int stop_signal_in(const std::string& config) {
  const auto all = json::parse(config, nullptr, false);
  if (!all.is_object() || !all.contains("annotations"))
    return SIGTERM;
  return std::atoi(all["annotations"].value("org.opencontainers.image.stopSignal", "15").c_str());
}

std::string owner_in(const std::string& config) {
  const auto all = json::parse(config, nullptr, false);
  const auto at = json::json_pointer{"/process/user"};
  const auto user = all.is_object() && all.contains(at) ? all[at] : json::object();
  return fmt::format("{}:{}", user.value("uid", 0u), user.value("gid", 0u));
}

std::map<std::string, std::string> environment_in(const std::string& config) {
  auto found = std::map<std::string, std::string>{};
  const auto all = json::parse(config, nullptr, false);
  if (!all.is_object() || !all.contains("process") || !all["process"].contains("env"))
    return found;
  for (const auto& each : all["process"]["env"])
    if (each.is_string()) {
      const auto text = each.get<std::string>();
      const auto equals = text.find('=');
      if (equals != text.npos)
        found.insert_or_assign(text.substr(0, equals), text.substr(equals + 1));
    }
  return found;
}

std::string refuse_container(const wire::WorkloadSpec& spec, const process_arguments& process,
                             const std::vector<std::filesystem::path>& mountable) {
  if (process.argv.empty())
    return "there is no command: neither the workload nor its image names one";
  const auto& mode = spec.network().mode();
  if (mode != "" && mode != "bridge" && mode != "host" && mode != "none")
    return "network mode \"" + mode + "\" is not one of bridge, host, none";
  for (const auto& port : spec.network().ports())
    if (port.inside() == 0 || port.inside() > 65535 || port.host() > 65535)
      return "a port is outside 1..65535";
  if (mode == "none" && !spec.network().ports().empty())
    return "a workload without a network cannot publish ports";
  if (mode == "none" && spec.health().port() != 0)
    return "a workload without a network cannot be asked over it how it is";
  for (const auto& each : spec.program().mounts()) {
    if (std::ranges::none_of(mountable, [&](const auto& top) { return below(each.source(), top); }))
      return "this node does not allow to mount " + each.source();
    if (!each.target().starts_with('/'))
      return "the mount target " + each.target() + " is not an absolute path";
  }
  return {};
}

std::string bundle_config(const wire::WorkloadSpec& spec, const process_arguments& process,
                          const bundle_options& options) {
  const auto& program = spec.program();
  auto env = process.env;
  if (std::ranges::none_of(env, [](const std::string& x) { return x.starts_with("HOME="); }))
    env.push_back("HOME=" + options.user.home);
  auto capabilities = json::object();
  for (const auto* kind : {"bounding", "effective", "permitted"})
    capabilities[kind] = capabilities_kept;
  const auto config = json{
      {"ociVersion", "1.0.0"},
      {"process",
       {{"terminal", false},
        {"user", {{"uid", options.user.uid}, {"gid", options.user.gid}, {"additionalGids", options.user.groups}}},
        {"args", process.argv},
        {"env", env},
        {"cwd", process.workdir},
        {"capabilities", capabilities},
        {"rlimits", json::array({{{"type", "RLIMIT_NOFILE"}, {"soft", options.files_max}, {"hard", options.files_max}}})},
        {"noNewPrivileges", true}}},
      {"root", {{"path", options.root}, {"readonly", program.read_only_root()}}},
      {"hostname", options.hostname},
      {"annotations", {{"org.opencontainers.image.stopSignal", std::to_string(options.stop_signal)}}},
      {"mounts", mounts(spec, options)},
      {"linux",
       {{"cgroupsPath", options.cgroup_path},
        {"resources", limits(spec.resources(), options.pids_max)},
        {"namespaces", json::array({{{"type", "pid"}},
                                    {{"type", "ipc"}},
                                    {{"type", "uts"}},
                                    {{"type", "mount"}},
                                    {{"type", "cgroup"}}})},
        {"seccomp", system_calls()},
        {"maskedPaths",
         {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"}},
        {"readonlyPaths", {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}}}},
  };
  return config.dump(1);
}

std::string hosts_file(const std::string& hostname, const std::string& address) {
  return "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
         (address.empty() ? "127.0.1.1" : address) + '\t' + hostname + '\n';
}

std::string resize_config(const std::string& config, const wire::Resources& to) {
  auto changed = json::parse(config);
  set_limits(changed.at("linux").at("resources"), to);
  return changed.dump(1);
}

} // namespace novacron::workload
