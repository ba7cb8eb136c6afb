#pragma once

/// The network between virtual hosts as decisions: how long a message takes, whether it arrives, who is cut off.

#include "actors/simulation/agenda.hpp"

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace novacron::simulation {

using host_number = std::uint32_t;

/// What a way between two hosts is like.
struct way_quality {
  moment latency = std::chrono::milliseconds{1};
  moment jitter{0};
  /// Bytes per second; 0 has no limit.
  std::uint64_t bandwidth = 0;
  /// Of a million messages.
  std::uint32_t lost = 0;
  std::uint32_t doubled = 0;
  bool operator==(const way_quality&) const = default;
};

/// Some of the hosts.
class host_set {
public:
  void add(host_number x) {
    if (x >= has_.size())
      has_.resize(x + 1);
    has_[x] = true;
  }
  bool contains(host_number x) const { return x < has_.size() && has_[x]; }
  bool empty() const { return has_.empty(); }
  std::vector<host_number> all() const;
  bool operator==(const host_set&) const = default;

private:
  std::vector<bool> has_;
};

/// What happens to one message.
struct passage {
  /// How long until it arrives; nothing when it is lost.
  std::optional<moment> delay;
  /// When a second copy of it arrives, if one does.
  std::optional<moment> again;
};

class network {
public:
  explicit network(std::uint64_t seed) : chance_{seed} {}

  /// The quality of every way that no rule speaks of.
  way_quality usual;

  /// Ways from `a` to `b` and back have this quality; later rules go before earlier ones.
  void shape(std::string name, host_set a, host_set b, way_quality quality);
  /// Nothing gets from `a` to `b`, nor back unless `one_way`.
  void cut(std::string name, host_set a, host_set b, bool one_way);
  /// Takes back rules of that name, all for "". Returns how many there were.
  std::size_t heal(const std::string& name);
  std::size_t smooth(const std::string& name);
  std::size_t cuts() const { return cuts_.size(); }

  bool is_cut(host_number from, host_number to) const;
  const way_quality& quality(host_number from, host_number to) const;
  /// Decides about a message of `size` bytes that is sent now.
  passage pass(host_number from, host_number to, std::uint32_t size);
  /// A round trip without load, for connections.
  moment round_trip(host_number a, host_number b) { return quality(a, b).latency + quality(b, a).latency; }

private:
  struct rule {
    std::string name;
    host_set a;
    host_set b;
    bool one_way = false;
    way_quality quality;
  };
  std::uint64_t drawn(std::uint64_t below) { return chance_() % below; }

  std::vector<rule> cuts_;
  std::vector<rule> shapes_;
  std::mt19937_64 chance_;
};

} // namespace novacron::simulation
