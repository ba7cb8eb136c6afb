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

class fragmentation {
public:
  fragmentation() : fragmentation{std::vector<expected_request>{}} {}
  /// Of more than 256 kinds that want GPUs only the most frequent count.
  explicit fragmentation(std::vector<expected_request> mix);

  /// Which of the models that the mix names this is, as `value` wants to hear it.
  std::uint64_t model_bit(std::string_view model) const;

  /// The greater, the more of what is free can still be used: what a placement costs is the value before it less
  /// the value after it. Only differences on one node mean something; one whole GPU makes about ten.
  double value(std::int64_t cpu_milli, std::int64_t memory_bytes, std::span<const std::int64_t> gpus,
               std::uint64_t model) const;

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
