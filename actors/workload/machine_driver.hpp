#pragma once

/// Runs virtual machines and sandboxes (an image in a small machine); they outlive the process that started them.

#include "actors/host/networks.hpp"
#include "actors/workload/driver.hpp"
#include "actors/workload/machine.hpp"
#include "actors/workload/machine_checkpoints.hpp"
#include "actors/workload/machine_templates.hpp"
#include "messages/vocabulary.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace novacron::workload {

/// What is where in `<data>/machines/NAME/`, besides what instance_directory.hpp names:
///
///     base.disk    the image as a file system, shared with `<data>/machine-images/` and never written
///     root.disk    what the machine has written over it, or over the disk inside its image
///     box          what its guest shall run, see guest/box.hpp
///     seed.iso     what cloud-init finds
///     machine      the words of its process, a zero behind each
///     end          what to tell to end.sock so that it ends
///     how          how it ended, by the agent in the guest
///     complaints   what its process complained about
///     orders.*     what its process is told when it begins as a clone
///     restore.*    the checkpoint from which it begins when it is started next; see checkpoint_files.hpp
///     departing    there while somebody else may have been told already to run what is in this machine
///     *.sock       its monitor and the ports of its guest, while it runs
struct machine_settings {
  /// The node's data directory.
  std::filesystem::path data;
  std::shared_ptr<const machine_monitor> monitor;
  /// Where the guests' kernel is; empty looks at the usual places.
  std::filesystem::path guest;
  /// The networks of this node; null gives each machine a relayed one.
  std::shared_ptr<host::networks> networks;
  /// Whether guests run on the processor itself here. Asked once, by the first start.
  std::function<bool()> accelerated = [] { return false; };
  std::uint64_t log_segment_bytes = 1 << 20;
  std::uint32_t log_segments = 8;
  std::uint32_t pids_max = 4096;
  /// How long a guest may take to come up. Measured without an accelerator: 1.5 s on a quiet machine, 18 s (a system with
  /// all its services: 44 s) at ten times the load, 64 s at the lowest priority beside six builds.
  duration up_patience = std::chrono::seconds{180};
  /// What is loaded into a machine's process before all else, so that its guest can be moved while it runs; empty for
  /// nothing, and why.
  std::filesystem::path preload;
  std::string preload_lack;
  /// From which machines begin as clones; null has each boot.
  std::shared_ptr<machine_templates> templates = nullptr;
  /// Where they are written down, and what they begin from again; null for nowhere.
  std::shared_ptr<machine_checkpoints> checkpoints = nullptr;
};

class machine_driver : public driver {
public:
  /// Makes the template from which machines of such a workload begin, if there is none.
  virtual void make_template(const wire::WorkloadSpec& spec, then<template_facts> done) = 0;
  /// The checkpoints that lie here. Blocks, and may throw std::system_error.
  virtual std::vector<wire::Checkpoint> checkpoints() = 0;
};

/// Throws std::system_error when the data directory cannot be used.
std::shared_ptr<machine_driver> make_machine_driver(machine_settings settings);

/// What does not work here and why, in words; empty when everything does.
std::vector<std::string> machine_lacks(const machine_settings& settings);

} // namespace novacron::workload
