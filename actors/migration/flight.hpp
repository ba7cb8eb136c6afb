#pragma once

/// What a stream has under way: how much that may be, and what it says about the link.

#include "actors/migration/channel.hpp"
#include "actors/migration/coding.hpp"

#include <cstdint>
#include <deque>

namespace novacron::migration {

/// Times are seconds of any clock that does not go back.
class flight {
public:
  explicit flight(const rate_governor& governor) : governor_{governor} {}

  /// Whether so many bytes more may be sent now. One frame always may.
  bool has_room(std::uint64_t bytes) const;
  void sent(std::uint64_t bytes, double now);
  /// All in all so many bytes have arrived and were applied. False when that cannot be: more than was sent, or less
  /// than before.
  bool arrived(std::uint64_t bytes_all, double now);

  std::uint64_t arrived_all() const { return arrived_; }
  std::uint64_t under_way() const { return sent_ - arrived_; }
  std::uint64_t sent_all() const { return sent_; }
  std::uint64_t window() const { return governor_.window(latency()); }
  /// Seconds that a frame took at least until it was acknowledged: what the way itself takes.
  double latency() const { return latency_ == unknown_latency ? 0 : latency_; }
  /// Bytes per second; 0 while nothing is known.
  double rate() const { return governor_.rate(); }

private:
  rate_governor governor_;
  std::uint64_t sent_ = 0;
  std::uint64_t arrived_ = 0;
  /// Where the measurement that is going on began.
  std::uint64_t arrived_mark_ = 0;
  double mark_ = 0;
  struct frame_sent {
    std::uint64_t end;
    double time;
  };
  std::deque<frame_sent> frames_;
  static constexpr auto unknown_latency = 1e9;
  double latency_ = unknown_latency;
};

/// Bytes per second that a link carries, told from how fast they are made: while it has something to carry whenever one
/// looks, it carries what it can; otherwise it could carry more.
class link_gauge {
public:
  /// Before each frame is sent. `x.rate` counts only until the link was seen at its limit: what it carried in a burst is
  /// no more than a hint, but without one a fast link is found out only in a tenth of a second.
  void look(const link_look& x, double now);
  /// 0 while nothing is known.
  double rate() const { return rate_; }

private:
  double rate_ = 0;
  double growth_ = 0.05;
  /// It was seen at its limit.
  bool known_ = false;
  double begin_ = -1;
  std::uint64_t bytes_ = 0;
  unsigned looks_ = 0;
  unsigned busy_ = 0;
};

} // namespace novacron::migration
