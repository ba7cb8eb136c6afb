#pragma once

/// Measures the virtual world: what hours of many hosts cost in processor time and memory.

#include "actors/host/figures.hpp"

#include <chrono>
#include <cstdint>
#include <vector>

namespace novacron::simulation {

struct bench_options {
  std::uint32_t hosts = 1000;
  std::uint32_t workloads = 0;
  std::chrono::milliseconds virtual_time = std::chrono::hours{1};
  std::uint64_t seed = 1;
};

/// A controller and so many edges, which beat every ten seconds and are answered; with workloads, they are placed and
/// run for all of the time.
std::vector<host::figure> bench_world(const bench_options& options);

} // namespace novacron::simulation
