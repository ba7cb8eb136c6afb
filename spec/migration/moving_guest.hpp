#pragma once

/// A guest of memory alone that writes while it is moved, and streams that break: for specs of the engine.

#include "actors/migration/channel.hpp"
#include "actors/migration/dirty_tracker.hpp"
#include "actors/migration/guest.hpp"
#include "actors/migration/page_frame.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

namespace novacron::spec {

/// Writes to pages of one stream at a time, by the thread that sends them: what a spec finds depends on its seed alone.
class moving_guest final : public migration::source_guest, public migration::dirty_tracker {
public:
  moving_guest(std::uint64_t page_count, std::uint16_t stream_count, std::uint32_t seed);

  /// A few writes to pages of the stream; none while it stands still.
  void write(std::uint16_t stream);
  /// How eager it is: so many writes each time, at most.
  void set_pace(unsigned writes) { pace_ = writes; }

  std::span<const std::byte> memory() const override { return memory_; }
  void add_populated(migration::page_set& into) const override { into.insert(touched_); }
  void stop() override;
  void resume() override { runs_ = true; }
  void save(const std::function<void(std::span<const std::byte>)>& take) override;
  void collect(migration::page_set& into) override;
  bool runs() const { return runs_; }

private:
  struct part {
    std::minstd_rand chance;
    std::vector<std::uint64_t> pages;
  };
  void change(part& mine);

  std::vector<std::byte> memory_;
  migration::page_set touched_;
  /// A byte for each page: different streams write to different ones.
  std::vector<std::uint8_t> dirty_;
  std::vector<part> parts_;
  unsigned pace_ = 3;
  bool runs_ = true;
};

/// Memory that is filled, and what became of it.
class arriving_guest final : public migration::target_guest {
public:
  explicit arriving_guest(std::uint64_t page_count) : memory_(page_count * 4096, std::byte{0xEE}) {}
  std::span<std::byte> memory() const override { return memory_; }
  void clear() override { std::ranges::fill(memory_, std::byte{}); }
  void load(std::span<const std::byte> state) override { state_.assign(state.begin(), state.end()); }
  void run() override {
    if (refuses)
      throw std::runtime_error{"the guest did not start"};
    runs_ = true;
  }
  void discard() noexcept override { discarded_ = true; }

  bool runs() const { return runs_; }
  bool discarded() const { return discarded_; }
  const std::vector<std::byte>& state() const { return state_; }
  bool refuses = false;

private:
  mutable std::vector<std::byte> memory_;
  std::vector<std::byte> state_;
  bool runs_ = false;
  bool discarded_ = false;
};

/// What happens to a stream once `after` bytes have gone through it in one direction.
struct mishap {
  enum class kind { none, cut, flip, call };
  kind what = kind::none;
  std::uint64_t after = 0;
  /// Of `call`.
  std::function<void()> call;
};

/// A stream's two ends. `sending` is called before each send of the first, by its thread.
std::pair<std::unique_ptr<migration::channel>, std::unique_ptr<migration::channel>>
make_way(std::function<void()> sending, mishap forth = {}, mishap back = {},
         std::chrono::milliseconds patience = std::chrono::seconds{60});

} // namespace novacron::spec
