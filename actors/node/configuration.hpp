#pragma once

/// What `nodes.toml`, the environment and the flags say, checked as a whole and typed. Nothing starts while it has
/// problems.

#include "actors/host/log.hpp"
#include "actors/node/settings_layer.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace novacron::node {

struct endpoint {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const endpoint&) const = default;
};
/// "127.0.0.1:7100", "[::1]:7100".
std::string to_string(const endpoint& x);
/// Nothing unless `text` is HOST:PORT with a port of 1 to 65535.
std::optional<endpoint> parse_endpoint(std::string_view text);
/// 127.0.0.0/8, ::1 or localhost.
bool is_loopback(const endpoint& x);
/// 0.0.0.0 or ::, which one can listen on but not connect to.
bool is_wildcard(const endpoint& x);

struct fabric_settings {
  std::string name = "novacron";
};

struct cache_settings {
  /// "HOST:PORT" or "unix:/PATH"; empty means the embedded cache.
  std::string redis;
};

struct log_settings {
  host::level level = host::level::info;
  host::log_format format = host::log_format::automatic;
};

struct scheduler_settings {
  /// How long a node may be away before its replaceable instances are replaced.
  std::chrono::milliseconds patience{5000};
  std::string policy = "balance";
};

struct trust_settings {
  /// How long a certificate lives; it is renewed at half of that.
  std::chrono::milliseconds life{std::chrono::hours{24}};
  /// How long a peer may take to prove who it is, and a client to send the head of a request.
  std::chrono::milliseconds handshake{std::chrono::seconds{10}};
};

/// What a node offers; what is not said is detected.
struct resource_settings {
  std::optional<std::uint64_t> cpu_milli;
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint64_t> disk_bytes;
  std::optional<std::uint64_t> gpu_milli;
  std::string gpu_model;
  std::map<std::string, std::uint64_t> extra;
};

/// Whom a node joins: a node of this file, or just an address.
struct join_target {
  std::string name;
  endpoint address;
  bool operator==(const join_target&) const = default;
};

struct node_settings {
  std::string name;
  std::string role;
  /// Where peers may connect. Nodes that only join others need none.
  std::optional<endpoint> listen;
  /// HTTP over TLS; the unix socket is always there.
  std::optional<endpoint> api;
  /// Where the ledger listens for other voters; only on controllers.
  std::optional<endpoint> ledger;
  /// How others reach `listen` if that differs.
  std::optional<endpoint> address;
  std::vector<join_target> join;
  std::string zone;
  std::string region;
  std::map<std::string, std::string> labels;
  resource_settings resources;
  std::filesystem::path data_dir;
  bool workloads = true;
  /// Directories of this host that workloads may mount.
  std::vector<std::filesystem::path> mounts;
  /// Whether its containers and machines reach beyond it, under its address.
  bool masquerade = true;
  /// What the templates of its machines may take on its disk, and in its memory; 0 for none. Unless said, an eighth of
  /// its memory, a GiB at most.
  std::optional<std::uint64_t> templates;
  /// What the checkpoints of its machines may take on its disk; 0 for none. Unless said, 10 GiB.
  std::optional<std::uint64_t> checkpoints;

  bool is_controller() const { return role == "cloud" || role == "hybrid"; }
};

struct configuration {
  fabric_settings fabric;
  cache_settings cache;
  log_settings log;
  scheduler_settings scheduler;
  trust_settings trust;
  std::vector<node_settings> nodes;
  /// Which of `nodes` this process is, when flags or the environment say so or there is but one.
  std::optional<std::size_t> self;

  const node_settings* find(std::string_view name) const;
};

/// One setting for `config show`.
struct shown_setting {
  std::string key;
  std::string value;
  /// "nodes.toml:12", "NOVACRON_LOG_LEVEL", "--log-level", "default".
  std::string from;
};

struct resolved {
  configuration settings;
  /// All of them; while there is one nothing may start.
  std::vector<problem> problems;
  std::vector<shown_setting> shown;
};

/// Lays the settings over one another, the most important first, and checks the result. Data directories that are not
/// given are below `data_root`.
resolved resolve(const std::vector<layer>& layers, const std::filesystem::path& data_root);

/// The layers of a real process: flags, environment, `config_file` (or ./nodes.toml when that is empty), the user's
/// and the system's configuration. A file that was named but is not there is a problem.
std::vector<layer> usual_layers(const std::map<std::string, std::string>& flags,
                                const std::filesystem::path& config_file);
/// NOVACRON_STATE, else /var/lib/novacron for root and a directory below XDG_STATE_HOME for others.
std::filesystem::path usual_data_root();

} // namespace novacron::node
