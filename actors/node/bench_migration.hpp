#pragma once

/// How long a migration would take with the stage rates of this machine: a calculation, not a migration.

#include "actors/host/figures.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace novacron::node {

struct bench_migration_options {
  /// Bytes of the guest.
  double memory = 1e12;
  /// Bytes per second.
  double link_rate = 12.5e9;
  /// At each end, each as fast as the one that is measured.
  double cores = 16;
  unsigned rounds = 5;
};

/// "100Gbit", "200Mbit", "2.5Gbit": bytes per second; nothing when it is no such rate, or none at all.
std::optional<double> parse_link_rate(std::string_view text);

std::vector<host::figure> bench_migration(const bench_migration_options& options);

} // namespace novacron::node
