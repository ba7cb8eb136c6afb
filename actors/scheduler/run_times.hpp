#pragma once

/// How long jobs run, learned from those that ran before.

#include "messages/wire/workload.pb.h"

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace novacron::scheduler {
namespace wire = novacron::v1;

/// Times in milliseconds.
class run_times {
public:
  /// A job of that spec ran to its end.
  void note(const wire::WorkloadSpec& spec, std::int64_t ran);

  /// How much longer one runs that has run for `so_far`: what half of those had left that were still running then. One
  /// that has outlasted all others runs on for as long as it has run. None when too little is known of such jobs.
  std::optional<std::int64_t> left(const wire::WorkloadSpec& spec, std::int64_t so_far) const;

private:
  struct history {
    /// The latest, oldest first.
    std::deque<std::int64_t> ran;
    std::list<std::string>::iterator used;
  };
  /// From what is most alike to all there is.
  static std::vector<std::string> kinds_of(const wire::WorkloadSpec& spec);

  std::map<std::string, history> kinds_;
  /// Kinds by when they were added to, the longest ago first.
  std::list<std::string> order_;
};

} // namespace novacron::scheduler
