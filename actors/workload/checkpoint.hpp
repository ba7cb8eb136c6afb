#pragma once

/// Decides what may be written down as a checkpoint, and what may begin from one.

#include "actors/workload/machine_template.hpp"
#include "messages/wire/agent.pb.h"

#include <cstdint>
#include <set>
#include <string>

namespace novacron::workload {

namespace wire = novacron::v1;

/// A checkpoint, as it is written down beside its files.
struct checkpoint_facts {
  /// As people see it; `unusable` is empty.
  wire::Checkpoint shown;
  /// What can go on from it: the same monitor, processor and kernel, a machine with the same parts, of the same tenant.
  template_ground ground;
  std::string shape;
  /// The rate of the processor's time stamps that its guest counts with.
  std::uint64_t stamp_khz = 0;
  std::uint64_t state_sum = 0;
  std::uint64_t disk_sum = 0;
};

/// What this node is at the moment.
struct checkpoint_host {
  /// Its tenant is nobody's.
  template_ground ground;
  std::uint64_t stamp_khz = 0;
};

/// What a checkpoint may take.
struct checkpoint_room {
  /// All of them together: at most, and at the moment.
  std::uint64_t bytes_max = 0;
  std::uint64_t bytes = 0;
  /// Of the disk.
  std::uint64_t free = 0;
};

/// Letters, digits, '.', '-' and '_', not first a dot; at most 64 of them.
bool is_checkpoint_name(const std::string& name);

/// "web-1", or with the next number that is not taken.
std::string next_checkpoint_name(const std::string& workload, const std::set<std::string>& taken);

/// Two machines of which one can go on as the other was are the same in this. `plan` has a kernel of ours.
std::string machine_shape(const machine_plan& plan);

/// Why an instance of that workload has no checkpoints, in words; empty when it has.
std::string refuse_checkpoint(const wire::WorkloadSpec& spec, bool whole_disk);

/// Why there is no room for one more of `bytes` at most; empty when there is.
std::string refuse_room(const checkpoint_room& room, std::uint64_t bytes);

/// Why nothing can be restored from it on such a host; empty when something can.
std::string unusable(const checkpoint_facts& from, const checkpoint_host& host);

/// Why `what`, a machine of that shape, cannot begin as it was there; empty when it can.
std::string refuse_restore(const checkpoint_facts& from, const wire::Instance& what, const std::string& shape);

} // namespace novacron::workload
