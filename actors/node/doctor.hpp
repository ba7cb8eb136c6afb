#pragma once

/// What this host can run, what is missing, and the command that fixes it. Judges only; doctor_probe looks.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace novacron::node {

/// good: as we want it. limited: works with less. missing: what needs it does not work here.
enum class grade : std::uint8_t { good, limited, missing };
std::string to_string(grade x);

struct diagnosis {
  std::string check;
  grade how = grade::good;
  /// In words, for a person.
  std::string finding;
  /// A command or a setting that helps; empty when nothing is to be done, or nothing can be.
  std::string remedy;
};

enum class cgroup_mode : std::uint8_t { none, v1, hybrid, v2 };

/// What running a tiny guest on KVM showed.
struct kvm_trial {
  bool device = false;
  bool may_open = false;
  /// The guest came to its end as it should.
  bool ran = false;
  std::chrono::microseconds took{};
  bool sse3 = false;
  std::string trouble;
};

/// Whether guests should run on KVM: hosts exist where it opens, and a guest takes a thousand times as long as it
/// should.
bool is_usable(const kvm_trial& x);

struct port_trial {
  std::string what;
  std::string address;
  /// 0 when it can be listened on.
  int error = 0;
};

/// Everything that was seen; nothing in here is judged yet.
struct symptoms {
  std::string architecture;
  std::string kernel;
  bool root = false;
  std::uint64_t capabilities = 0;
  cgroup_mode cgroups = cgroup_mode::none;
  /// Controllers that can limit something, by name.
  std::vector<std::string> controllers;
  bool cgroups_writable = false;
  bool overlay_known = false;
  /// Whether an overlay could be mounted; nothing when it was not tried.
  std::optional<bool> overlay_mounts;
  /// First line of `--version`; empty when the tool is not there.
  std::string crun;
  bool crun_has_criu = false;
  std::string runc;
  std::string criu;
  std::optional<bool> criu_check;
  bool criu_tracks_dirty = false;
  std::string qemu;
  /// The package whose kernel guests boot; empty when none was prepared.
  std::string guest_kernel;
  bool qemu_img = false;
  kvm_trial kvm;
  bool vsock = false;
  std::optional<bool> network_namespace;
  std::optional<bool> veth;
  bool ip_tool = false;
  bool tun = false;
  /// First line of `nft --version`.
  std::string nft;
  /// Whether the rules of a bridge's way out could be loaded; nothing when it was not tried.
  std::optional<bool> masquerades;
  /// What containers and machines can ask for names.
  std::vector<std::string> name_servers;
  std::string data_dir;
  std::uint64_t disk_free_bytes = 0;
  std::uint64_t disk_total_bytes = 0;
  std::optional<std::chrono::microseconds> sync_took;
  std::string disk_trouble;
  std::optional<bool> clock_synchronized;
  std::int64_t year = 0;
  std::vector<port_trial> ports;
  std::uint64_t files_soft = 0;
  std::uint64_t files_hard = 0;
  std::uint64_t processes_soft = 0;
  std::uint64_t memory_bytes = 0;
  std::uint32_t cpus = 0;
  /// As configured; empty for the embedded cache.
  std::string redis;
  std::string redis_trouble;
  /// Whether this node has certificates at all; then how long they last, or what is wrong.
  bool has_certificate = false;
  std::chrono::seconds certificate_left{};
  std::string certificate_trouble;
};

std::vector<diagnosis> diagnose(const symptoms& x);
/// The worst of all; what `doctor` exits with depends on it.
grade worst(const std::vector<diagnosis>& all);

/// For people: one line each, remedies indented below.
std::string to_table(const std::vector<diagnosis>& all, bool colour);
/// {"verdict": ..., "checks": [{"check", "verdict", "finding", "remedy"}]}
std::string to_json(const std::vector<diagnosis>& all);

} // namespace novacron::node
