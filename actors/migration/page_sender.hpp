#pragma once

/// The source's half of one stream: makes frames of the pages of a pass that are the stream's, and sends them.

#include "actors/migration/block_coder.hpp"
#include "actors/migration/flight.hpp"
#include "actors/migration/frame_port.hpp"
#include "actors/migration/greeting.hpp"
#include "actors/migration/ladder.hpp"
#include "actors/migration/page_set.hpp"
#include "actors/migration/pass_planner.hpp"
#include "actors/migration/sent_pages.hpp"
#include "kernels/codec.hpp"
#include "kernels/page_index.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace novacron::migration {

struct sender_settings {
  std::optional<block_coding> coding;
  std::uint64_t hash_seed = 0;
  rate_governor governor;
};

/// Used by one thread at a time.
class page_sender {
public:
  /// All that is referred to outlives this.
  page_sender(std::span<const std::byte> memory, const page_scope& scope, const sender_settings& settings,
              sent_pages& sent, std::unique_ptr<kernels::codec> codec, std::unique_ptr<channel> way);

  void greet(const hello& x);
  /// Returns once all of it and its barrier have arrived and were applied. Throws migration_error, as the others do.
  pass_facts send_pass(const page_set& pages, const barrier& x);
  void send_state(std::span<const std::byte> part) { port_.send(frame_kind::state, part); }
  void send(frame_kind kind) { port_.send(kind); }
  /// Waits for an answer of this kind.
  void await(frame_kind kind);
  void close() noexcept { port_.close(); }

  std::uint64_t bytes() const { return flight_.sent_all(); }
  double rate() const { return flight_.rate(); }
  coding_step step() const { return ladder_.step(); }

private:
  std::size_t batch_size() const;
  void add(std::uint64_t page);
  void send_batch();
  /// Makes the frame of the batch; returns how many records it has.
  std::uint32_t encode(batch_facts& facts);
  void look_at_link();
  void forget_batch();
  void remember_batch();
  void send_frame(frame_kind kind, std::uint32_t count, std::span<std::byte> whole);
  frame_kind take_answer();

  std::span<const std::byte> memory_;
  page_scope scope_;
  sender_settings settings_;
  sent_pages& sent_;
  std::unique_ptr<kernels::codec> codec_;
  frame_port port_;
  flight flight_;
  link_gauge gauge_;
  ladder ladder_;
  block_encoder zstd_;
  kernels::page_index index_;
  /// By which content the index knows a page of this stream; none when it does not.
  std::vector<kernels::page_hash> known_;
  std::vector<kernels::page_task> tasks_;
  /// Of the tasks, those that were not zero when they were looked at.
  std::size_t content_ = 0;
  kernels::parcel parcel_;
  std::vector<std::byte> frame_;
  std::vector<std::byte> gathered_;
  std::uint64_t pages_sent_ = 0;
};

} // namespace novacron::migration
