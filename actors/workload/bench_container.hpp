#pragma once

/// How long it takes from the request for a workload to its first output, beside what runs it started by hand.

#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace novacron::workload {

struct bench_figure {
  double value = 0;
  std::string unit;
  std::string peer;
  double peer_value = 0;
  double ratio = 0;
};

struct bench_options {
  /// Scratch space; a fresh data directory is made below it and removed.
  std::filesystem::path scratch = "/var/tmp";
  /// The image's root; empty makes one of the host's static busybox.
  std::filesystem::path root;
  int rounds = 21;
  /// Whether guests run on the processor itself here; for machines.
  std::function<bool()> accelerated = [] { return false; };
};

/// `start_p50`, `start_p95`, `overhead_p50`, each beside bare crun on the same bundle, interleaved.
/// Throws std::runtime_error when this host cannot run containers.
std::map<std::string, bench_figure> bench_container(const bench_options& options);

/// The same of a function: `cold` from the order for its first instance to the first answer, beside its handler as a
/// container of bare crun; else from a call of a running instance to the answer, beside the handler started by hand on
/// the host.
std::map<std::string, bench_figure> bench_function(const bench_options& options, bool cold);

/// `start_p50`, `start_p95`, `overhead_p50` of a sandbox or (`whole`) a virtual machine that boots anew or (`cloned`)
/// begins from a template that is there, each beside the same program with the same disks started by hand, interleaved.
/// Throws std::runtime_error when this host cannot run them.
std::map<std::string, bench_figure> bench_machine(const bench_options& options, bool whole, bool cloned);

/// As many sandboxes as there are rounds, started at once from a template: `pss`, the memory that each takes when it is
/// idle, and `start_all`, until the last has said something; beside the same clones started by hand. Throws
/// std::runtime_error when one of them fails.
std::map<std::string, bench_figure> bench_density(const bench_options& options);

} // namespace novacron::workload
