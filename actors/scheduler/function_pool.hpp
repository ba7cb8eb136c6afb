#pragma once

/// Decides where the calls of one function go, which wait, and how many instances they need.

#include "messages/vocabulary.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace novacron::scheduler {

struct pool_rules {
  /// Calls that an instance takes at a time.
  unsigned concurrency = 1;
  unsigned instances_min = 0;
  unsigned instances_max = 10;
  /// Calls that may wait while no instance is free.
  std::size_t waiting_max = 100;
  /// How long as many instances stay as were needed.
  duration keep_alive = std::chrono::seconds{60};
  /// How long a call may wait. Chosen: an image that has to be fetched takes seconds, and nobody waits for minutes.
  duration patience = std::chrono::seconds{30};
  bool operator==(const pool_rules&) const = default;
};

class function_pool {
public:
  using call = std::uint64_t;

  /// `instances` of it were wanted before; they count as needed until now.
  function_pool(pool_rules rules, unsigned instances, instant now);

  void follow(const pool_rules& rules) { rules_ = rules; }
  const pool_rules& rules() const { return rules_; }

  /// These ordinals take calls now, and no others.
  void ready(std::vector<unsigned> ordinals);

  /// A call comes, and waits. False when too many do: it is refused.
  [[nodiscard]] bool arrive(call which, instant now);

  /// The next call that goes to an instance, and to which: the lowest ordinal that is free, so that the highest fall
  /// idle.
  std::optional<std::pair<call, unsigned>> next(instant now);

  /// The call was handled, or nobody knows.
  void ended(call which, instant now);
  /// The way to its instance broke: nobody knows how it went, and that instance gets none for a moment.
  void lost(call which, instant now);
  /// The instance did not begin it: it waits again, before the others, and that instance gets none for a moment.
  void returned(call which, instant now);

  /// Calls that have waited for too long, and wait no more.
  std::vector<call> give_up(instant now);

  /// How many instances there should be: what running and waiting calls need, at least the most that they needed within
  /// the last `keep_alive`, within the rules.
  unsigned wanted(instant now);

  /// When time alone changes an answer.
  std::optional<instant> wake() const;

  std::size_t waiting() const { return waiting_.size(); }
  std::size_t running() const { return running_.size(); }
  std::size_t ready() const { return ready_.size(); }

private:
  struct waiting_call {
    call which;
    instant since;
  };
  struct running_call {
    unsigned ordinal;
    instant since;
  };

  unsigned need() const;
  void note(unsigned before, instant now);

  pool_rules rules_;
  std::vector<unsigned> ready_;
  std::list<waiting_call> waiting_;
  std::map<call, running_call> running_;
  std::map<unsigned, unsigned> busy_;
  std::map<unsigned, instant> resting_;
  /// Needs of the past that still count, falling, and until when.
  std::deque<std::pair<instant, unsigned>> peaks_;
};

} // namespace novacron::scheduler
