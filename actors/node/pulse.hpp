#pragma once

/// When to believe that a peer is gone, and when to try it again.

#include "messages/vocabulary.hpp"

#include <algorithm>
#include <random>

namespace novacron::node {

struct pulse_config {
  /// How often a link asks whether its peer is there.
  duration beat = std::chrono::seconds{1};
  /// Silence after which the peer counts as gone.
  duration patience = std::chrono::seconds{4};
  /// The first pause before dialling again; it doubles with each failure.
  duration pause = std::chrono::milliseconds{100};
  duration pause_max = std::chrono::seconds{10};
};

/// Pauses between attempts: exponential with full jitter, so that a thousand edges do not return at the same moment.
/// See "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
class backoff {
public:
  explicit backoff(pulse_config settings = {}) : settings_{settings} {}

  /// The pause before the next attempt; a tenth of the ceiling at least, so that it never spins.
  template <class Chance>
  duration next(Chance& chance) {
    const auto ceiling = std::min<duration>(settings_.pause_max, settings_.pause * (1l << std::min(failures_, 20u)));
    ++failures_;
    auto spread = std::uniform_int_distribution<duration::rep>{ceiling.count() / 10, ceiling.count()};
    return duration{spread(chance)};
  }

  void succeeded() { failures_ = 0; }
  unsigned failures() const { return failures_; }

private:
  pulse_config settings_;
  unsigned failures_ = 0;
};

} // namespace novacron::node
