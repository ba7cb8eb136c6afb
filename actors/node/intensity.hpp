#pragma once

/// How often something may fail before trying at once makes it worse.

#include "messages/vocabulary.hpp"

#include <list>

namespace novacron::node {

struct intensity_config {
  std::size_t limit = 5;
  duration window = std::chrono::seconds{30};
  /// Before a restart within the limit: long enough not to spin, short enough not to be noticed.
  duration pause = std::chrono::milliseconds{50};
  duration rest = std::chrono::seconds{30};
};

/// After `limit` failures within `window` an actor rests for `rest` before its next start.
class intensity {
public:
  explicit intensity(intensity_config settings = {}) : settings_{settings} {}

  /// Notes a failure at `now`; returns how long to wait before the next start.
  duration failed(instant now) {
    while (!failures_.empty() && now - failures_.front() > settings_.window)
      failures_.pop_front();
    failures_.push_back(now);
    return exhausted() ? settings_.rest : settings_.pause;
  }

  /// True when the limit was reached with the last failure.
  bool exhausted() const { return failures_.size() >= settings_.limit; }

private:
  intensity_config settings_;
  std::list<instant> failures_;
};

} // namespace novacron::node
