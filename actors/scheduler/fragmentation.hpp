#pragma once

/// Values what is free on a node by how much of it the requests that are expected could still use.

#include "actors/scheduler/share_price.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::scheduler {

/// How often a kind of request is expected, in any unit.
struct expected_request {
  std::int64_t cpu_milli = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t gpu_milli = 0;
  std::string gpu_model;
  double count = 0;
};

/// What is free on a node, seen from four sides, in devices: what its free shares are worth, what the expected requests
/// could use, devices without the cores they need, and cores without a device, per device that they would go with.
struct free_parts {
  double shares = 0;
  double usable = 0;
  double starved = 0;
  double idle = 0;
};

/// What each part is worth. Measured on the six openb mixes and four mixes made from them: the result is flat within a
/// tenth of a percent from half to twice each of them, except for `shares`, which is best from 5 to 30.
struct part_weights {
  double shares = 10;
  double usable = 1;
  double starved = 1;
  double idle = 0.3;

  double value(const free_parts& x) const {
    return (usable * x.usable - (starved * x.starved + idle * x.idle)) + shares * x.shares;
  }
};

class fragmentation {
public:
  fragmentation() : fragmentation{std::vector<expected_request>{}} {}
  /// Of more than 256 kinds that want GPUs only the most frequent count.
  explicit fragmentation(std::vector<expected_request> mix);

  /// Which of the models that the mix names this is, as `value` wants to hear it.
  std::uint64_t model_bit(std::string_view model) const;

  /// The parts of what is free, whose value is the greater, the more of it can still be used: what a placement costs is
  /// the value before it less the value after it. Only differences on one node mean something; one whole GPU makes
  /// about ten.
  free_parts parts(std::int64_t cpu_milli, std::int64_t memory_bytes, std::span<const std::int64_t> gpus,
                   std::uint64_t model) const;
  double value(std::int64_t cpu_milli, std::int64_t memory_bytes, std::span<const std::int64_t> gpus,
               std::uint64_t model) const {
    return part_weights{}.value(parts(cpu_milli, memory_bytes, gpus, model));
  }

private:
  static constexpr auto lanes = std::size_t{8};
  /// What a kind of request can use of the devices: a share of one, or so many whole ones.
  struct appetite {
    std::int64_t share = 0;
    std::int64_t whole = 0;
  };

  std::map<std::string, std::uint64_t, std::less<>> models_;
  std::vector<appetite> appetites_;
  // Columns of the mix, filled up to full lanes with kinds that are never asked for.
  std::vector<float> cpu_, memory_, weight_;
  std::vector<std::uint64_t> allowed_;
  std::vector<std::uint32_t> appetite_;
  share_worth worth_{};
  /// Cores that go with a GPU, in this mix; 0 when unknown.
  double cores_per_gpu_ = 0;
};

} // namespace novacron::scheduler
