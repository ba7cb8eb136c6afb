#pragma once

/// Reads the openb traces: the nodes of a cluster with shared GPUs, and the pods that wanted them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::scheduler {

struct trace_node {
  std::string name;
  std::int64_t cpu_milli = 0;
  std::int64_t memory_mib = 0;
  std::int64_t gpus = 0;
  std::string model;
};

struct trace_pod {
  std::string name;
  std::int64_t cpu_milli = 0;
  std::int64_t memory_mib = 0;
  std::int64_t gpus = 0;
  /// The share of each of its GPUs: 1000 unless it wants a part of one.
  std::int64_t gpu_milli = 0;
  /// The models it can use, separated by `|`; empty means any.
  std::string models;
  /// Seconds since the trace began; -1 where it does not say.
  std::int64_t created = -1;
  std::int64_t deleted = -1;

  std::int64_t gpu_total() const { return gpus * gpu_milli; }
};

/// "sn,cpu_milli,memory_mib,gpu,model" after a line of headings. Throws with the number of a line that makes no sense.
std::vector<trace_node> parse_trace_nodes(std::string_view text);

/// "name,cpu_milli,memory_mib,num_gpu,gpu_milli[,gpu_spec[,qos,pod_phase,creation_time,deletion_time,...]]" after a
/// line of headings. Throws likewise.
std::vector<trace_pod> parse_trace_pods(std::string_view text);

} // namespace novacron::scheduler
