#pragma once

/// Decides which machines begin as clones, of which templates, and which of these are kept.

#include "actors/workload/machine.hpp"
#include "messages/vocabulary.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace novacron::workload {

/// What besides its plan makes a machine such that another can be cloned from it.
struct template_ground {
  /// Clones share pages, and with them what can be learned from who has touched which: never those of two tenants.
  std::string tenant;
  /// As machine_monitor::edition says.
  std::string monitor;
  /// Of the host.
  std::string processor;
  /// Kernel and first files, by their content.
  std::string guest;
};

/// The template of a machine with this plan: it has the same parts and stops before it reads what it shall run, so that
/// image, name, address and ports of a clone are its own. Nothing when there can be none: a disk with a boot loader of
/// its own has no agent of ours that would stop.
std::optional<machine_plan> plan_template(const machine_plan& clone);

/// The files that stand in for the disks of a template: (name, bytes).
std::vector<std::pair<std::string, std::uint64_t>> stand_ins(const machine_plan& original);

/// The same machine, which begins as a clone.
machine_plan plan_clone(machine_plan x);

/// A name for what can be cloned from each other: small letters, digits and hyphens. Templates that differ in anything
/// that is in the state of a machine have different ones.
std::string template_key(const machine_plan& original, const template_ground& ground);

/// Whether a guest that counts with that rate of time stamps can go on where the other was measured.
bool is_same_rate(std::uint64_t stamp_khz, std::uint64_t measured);

/// The templates of a node: who makes one, who waits, and what goes when there is no more room. Knows no files.
class template_shelf {
public:
  struct config {
    /// What all of them may take together; 0 for none at all.
    std::uint64_t bytes_max = std::uint64_t{1} << 30;
    /// After one could not be made, none is tried for that long: starts must not pay for it again and again.
    duration pause = std::chrono::minutes{1};
  };

  enum class advice {
    /// There will be none: boot.
    boot,
    /// Make one; whoever asks meanwhile waits. Ends with `made` or `failed`.
    make,
    wait,
    clone,
  };

  explicit template_shelf(config settings) : settings_{settings} {}

  /// One that an earlier life has left.
  void found(const std::string& key, std::uint64_t bytes, instant used);
  advice ask(const std::string& key, instant now);
  /// Returns those that have to go for it, itself when it is too large.
  std::vector<std::string> made(const std::string& key, std::uint64_t bytes, instant now);
  void failed(const std::string& key, instant now);
  /// It is not there any more; the next who asks makes it again.
  void gone(const std::string& key);

  /// The same bound again, after some were found.
  std::vector<std::string> surplus();
  [[nodiscard]] bool has(const std::string& key) const { return kept_.contains(key); }
  [[nodiscard]] std::uint64_t bytes() const;

private:
  struct one {
    std::uint64_t bytes = 0;
    instant used;
  };

  config settings_;
  std::map<std::string, one> kept_;
  std::set<std::string> in_the_making_;
  std::map<std::string, instant> failed_;
  std::set<std::string> too_large_;
};

} // namespace novacron::workload
