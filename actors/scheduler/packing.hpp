#pragma once

/// Measures how full a trace's cluster gets: pods arrive in random order beyond its capacity, none departs, none moves.

#include "actors/host/figures.hpp"
#include "actors/scheduler/placement.hpp"
#include "actors/scheduler/trace.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace novacron::scheduler {

struct packing_options {
  /// Files of openb, plain or packed.
  std::string pods;
  std::string nodes;
  /// Where every decision is written; empty for nowhere.
  std::string out;
  /// Where a picture is drawn of how full it gets while more is asked for; empty for nowhere.
  std::string plot;
  /// GPU demand over GPU capacity.
  double demand = 1.3;
  std::uint32_t seeds = 10;
  std::string policy = "fragmentation";
  /// Of a policy that is not called anything yet, instead.
  std::optional<features> weights = {};
  /// Whether the mix of requests is known from the start, as the published policies know it, or learned on the way.
  bool mix_known = true;
};

/// One decision; `node` is -1 for a pod that was dropped.
struct packed_pod {
  std::uint32_t pod = 0;
  std::int32_t node = -1;
  std::vector<std::uint32_t> gpus;
};

struct packing_run {
  std::vector<packed_pod> decisions;
  /// Seconds per decision.
  std::vector<double> times;
};

/// The pods shuffled, then more drawn from them until their GPU demand is `demand` times the capacity; of a trace in
/// which nobody wants a GPU, their demand for cores.
std::vector<std::uint32_t> trace_arrivals(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                                          double demand, std::uint64_t seed);

packing_run run_packing(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                        std::span<const std::uint32_t> arrivals, const packing_options& options);

/// Counts decisions that break a rule: more than a node or a device has, a model that is not allowed, devices that are
/// not free or not so many as wanted, a pod dropped although it fits somewhere.
std::uint64_t packing_violations(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                                 std::span<const packed_pod> decisions);

/// Allocated GPU thousandths over those there are, in percent; of a trace in which nobody wants a GPU, cores likewise.
double packing_allocation(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                          std::span<const packed_pod> decisions);

/// For each percent of the capacity that was asked for, from none on, the percentage that was allocated by then.
std::vector<double> packing_curve(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                                  std::span<const packed_pod> decisions);

/// A line of headings and one line per decision: seed, arrival from 0, pod, node or nothing, devices separated by `|`.
std::string packing_text(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                         std::span<const packed_pod> decisions, std::uint64_t seed);

std::vector<host::figure> bench_packing(const packing_options& options);

} // namespace novacron::scheduler
