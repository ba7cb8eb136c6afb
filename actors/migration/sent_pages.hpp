#pragma once

/// What the source remembers of what it sent: copies, against which later passes send only what changed.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace novacron::migration {

/// Different pages may be asked for by different threads at once.
class sent_pages {
public:
  /// At most `bytes_max` are kept; pages beyond that are sent as a whole each time. Throws std::bad_alloc.
  sent_pages(std::uint64_t page_count, std::uint64_t bytes_max);
  ~sent_pages();
  sent_pages(const sent_pages&) = delete;
  sent_pages& operator=(const sent_pages&) = delete;

  /// Where the copy of the page is; nullptr when there is none, and none can be. With `begin`, one is begun.
  std::byte* copy_of(std::uint64_t page, bool begin);
  /// Whether the copy holds what was sent.
  bool holds(std::uint64_t page) const { return states_[page] == state::filled; }
  void filled(std::uint64_t page) { states_[page] = state::filled; }

private:
  enum class state : std::uint8_t { none, begun, filled };

  std::byte* room_;
  std::size_t size_;
  std::atomic<std::int64_t> left_;
  std::vector<state> states_;
};

} // namespace novacron::migration
