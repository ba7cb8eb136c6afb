#include "actors/simulation/replay.hpp"

#include <algorithm>
#include <chrono>

namespace novacron::simulation {
namespace {

/// Chosen: what was not there for a second of the world's time is there for one.
constexpr auto length_min = moment{std::chrono::seconds{1}};

traced_job job_of(const scheduler::trace_pod& x, const replay_options& options) {
  const auto begin = std::max(moment{0}, moment{std::chrono::seconds{x.created}} - options.from);
  const auto end = moment{std::chrono::seconds{x.deleted}} - options.from;
  auto job = traced_job{begin / options.speed, std::max(length_min, (end - begin) / options.speed), {}};
  job.spec.set_name(x.name);
  job.spec.set_kind(wire::WORKLOAD_KIND_BATCH);
  job.spec.mutable_program()->set_image(x.name);
  job.spec.set_replicas(1);
  auto& needs = *job.spec.mutable_resources();
  needs.set_cpu_milli(static_cast<std::uint64_t>(x.cpu_milli));
  needs.set_memory_bytes(static_cast<std::uint64_t>(x.memory_mib) << 20);
  needs.set_gpu_milli(static_cast<std::uint64_t>(x.gpu_total()));
  needs.set_gpu_model(x.models);
  return job;
}

} // namespace

std::vector<traced_job> jobs_of(std::span<const scheduler::trace_pod> pods, const replay_options& options) {
  auto found = std::vector<traced_job>{};
  for (const auto& x : pods)
    if (x.deleted >= 0 && std::chrono::seconds{x.deleted} > options.from)
      found.push_back(job_of(x, options));
  std::ranges::stable_sort(found, {}, &traced_job::begin);
  if (found.size() > options.limit)
    found.resize(options.limit);
  return found;
}

} // namespace novacron::simulation
