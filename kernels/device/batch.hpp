#pragma once

/// One of the orders that are under way on a device, with all the memory it takes. Only for the device's codec.

#include "kernels/codec.hpp"
#include "kernels/device/engine.hpp"
#include "kernels/device/work.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace novacron::kernels::device {

/// Which memory the device reaches where it is.
class attached_memory {
public:
  void add(std::span<std::byte> memory) { all_.push_back(memory); }
  bool remove(const std::byte* begin);
  /// Whether the quads around so many bytes can be read and written in place.
  bool holds(const std::byte* from, std::size_t size) const;
  /// The same for a page, which has to begin with a quad.
  bool holds(const std::byte* page) const;
  std::vector<std::span<std::byte>>& all() { return all_; }

private:
  std::vector<std::span<std::byte>> all_;
};

key_words words_of(std::uint64_t hash_seed);

/// Pages on their way: begin, settle, collect, each after the one before. Between them the device works.
class pack_batch {
public:
  explicit pack_batch(engine& by) : by_{by}, line_{by} {}

  /// Copies what the device cannot read in place, and has all pages examined. What they become goes into `room`, as
  /// large as they are, at a multiple of sixteen, which the device reaches; nullptr if there is none.
  void begin(std::span<const page_task> tasks, const pack_options& options, const key_words& key,
             const attached_memory& attached, std::byte* room);
  /// Decides about each page, and has the pages of content encoded.
  void settle(page_directory& directory);
  /// Puts everything into the parcel, and brings up to date what the caller keeps.
  void collect(parcel& into);
  /// Takes back what was decided and not collected.
  void forget(page_directory& directory);

private:
  void stage(const attached_memory& attached);
  void send_ahead(std::byte* pages);
  void decide(std::size_t index, page_directory& directory);
  void encode();
  void collect_blocks(parcel& into);

  engine& by_;
  line line_;
  std::span<const page_task> tasks_;
  pack_options options_;
  std::uint32_t delta_limit_ = 0;
  std::uint32_t delta_step_ = 0;
  bool any_sent_ = false;
  std::vector<page_result> results_;
  std::vector<std::uint32_t> content_;
  std::size_t block_count_ = 0;
  std::byte* room_ = nullptr;
  lease jobs_, findings_, now_, sent_, deltas_, blocks_, block_findings_, out_;
  lease pages_, scratch_, together_, made_, taken_;
};

/// Blocks on their way back.
class unpack_batch {
public:
  explicit unpack_batch(engine& by) : by_{by}, line_{by} {}

  void begin(std::span<const block_task> blocks, const attached_memory& attached);
  /// The first block that is not what it says, or how many there are.
  std::size_t collect();

private:
  bool fits(const block_task& block) const;
  void put(std::size_t index, const attached_memory& attached, std::size_t& taken);

  engine& by_;
  line line_;
  std::span<const block_task> blocks_;
  lease jobs_, good_, in_, staged_;
  lease device_in_, scratch_;
};

} // namespace novacron::kernels::device
