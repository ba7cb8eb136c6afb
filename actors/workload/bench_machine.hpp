#pragma once

/// What the benches of machines share: an agent that runs them, and the same machines started by hand.

#include "actors/host/process.hpp"
#include "actors/workload/bench_start.hpp"
#include "actors/workload/template_files.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace novacron::workload {

/// What throws, throws std::runtime_error.
class machine_bench {
public:
  /// What every machine says first.
  static constexpr auto greeting = "up and running";

  /// A sandbox or a `whole` virtual machine, which boots anew or begins as a clone.
  machine_bench(const bench_options& options, bool whole, bool cloned);

  [[nodiscard]] bench_node& node() { return node_; }
  [[nodiscard]] wire::WorkloadSpec spec() const;

  /// The seconds from the order for an instance to its greeting, through the agent. It is removed then.
  double through_agent();

  /// Makes what is in the directory of the instance, which runs, what is started by hand from then on.
  void keep(const std::string& instance);

  /// A machine that was started by hand.
  struct bare {
    bench_pipe output;
    host::child child;
    ~bare();
  };
  /// Starts it in a directory of its own, with a disk that is made for it.
  std::unique_ptr<bare> start_bare(const std::string& name);
  /// The seconds from there to its greeting. It is killed then.
  double by_hand();

private:
  bench_node node_;
  bool whole_;
  bool cloned_;
  std::vector<std::string> words_;
  std::filesystem::path kept_;
  std::shared_ptr<const ready_template> origin_;
};

} // namespace novacron::workload
