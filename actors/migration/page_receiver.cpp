#include "actors/migration/page_receiver.hpp"

#include "actors/migration/channel.hpp"
#include "kernels/delta.hpp"

#include <algorithm>
#include <cstring>

namespace novacron::migration {

using kernels::page_size;

page_receiver::page_receiver(target_guest& guest, const page_scope& scope)
    : guest_{guest}, memory_{guest.memory()}, scope_{scope}, said_(scope.page_count) {}

void page_receiver::apply(const frame& x) {
  if (ended_)
    throw migration_error{"the source said more after the end of a stream"};
  switch (x.kind) {
    case frame_kind::pages: return apply_pages(x);
    case frame_kind::barrier: return apply_barrier(x);
    case frame_kind::state:
      if (!last_over_ || scope_.stream != 0)
        throw migration_error{"the source sent the devices' state before the last pass was over"};
      if (state_.size() + x.payload.size() > state_bytes_max)
        throw migration_error{"the devices' state is larger than it may be"};
      state_.insert(state_.end(), x.payload.begin(), x.payload.end());
      return;
    case frame_kind::end:
      if (!last_over_ || !x.payload.empty())
        throw migration_error{"the source ended a stream before its last pass was over"};
      ended_ = true;
      return;
    default: throw migration_error{"the source sent what has no place in a stream"};
  }
}

void page_receiver::apply_pages(const frame& x) {
  if (last_over_)
    throw migration_error{"the source sent pages after the last pass"};
  if (!read_pages(x.payload, x.count, scope_, frame_))
    throw migration_error{"the source sent pages that make no sense"};
  block_ = 0;
  left_ = {};
  for (const auto& record : frame_.pages)
    apply_record(record);
}

void page_receiver::apply_record(const page_record& x) {
  if (x.operation == page_operation::block)
    return apply_blocks(x.number, x.count);
  for (auto number = x.number; number < x.number + x.count; ++number) {
    const auto to = page(number);
    switch (x.operation) {
      case page_operation::zero:
        if (said_[number] != 0)
          std::ranges::fill(to, std::byte{});
        break;
      case page_operation::fill: std::ranges::fill(to, std::byte{x.fill}); break;
      case page_operation::same: break;
      case page_operation::reference: std::ranges::copy(page(x.reference), to.begin()); break;
      case page_operation::delta:
        if (!kernels::delta_apply(x.delta, to.data()))
          throw migration_error{"the source sent a delta that is none"};
        break;
      case page_operation::block: break;
    }
    said_[number] = 1;
  }
}

// As many pages at once as are in a row both in the guest and in the block.
void page_receiver::apply_blocks(std::uint64_t number, std::uint64_t count) {
  while (count > 0) {
    if (left_.empty())
      left_ = decoder_.decode(frame_.blocks[block_++]);
    if (left_.empty())
      throw migration_error{"the source sent a block that is not its pages"};
    const auto now = std::min<std::uint64_t>(count, left_.size() / page_size);
    const auto pages = left_.first(now * page_size);
    const auto said = std::span{said_}.subspan(number, now);
    if (std::ranges::all_of(said, [](auto x) { return x == 0; }))
      guest_.fill(number * page_size, pages);
    else
      std::ranges::copy(pages, memory_.subspan(number * page_size).begin());
    std::ranges::fill(said, std::uint8_t{1});
    left_ = left_.subspan(pages.size());
    number += now;
    count -= now;
  }
}

void page_receiver::apply_barrier(const frame& x) {
  const auto found = read_barrier(x.payload);
  if (!found || last_over_ || found->pass != pass_count_)
    throw migration_error{"the source ended a pass that had not begun"};
  ++pass_count_;
  last_over_ = found->last;
}

std::span<std::byte> page_receiver::page(std::uint64_t number) const {
  return memory_.subspan(number * page_size, page_size);
}

} // namespace novacron::migration
