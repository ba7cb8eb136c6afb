#include "kernels/packer.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace novacron::kernels {

void prepare(parcel& into, std::size_t page_count) {
  if (page_count > pack_pages_max)
    throw std::length_error{"a parcel holds at most 65536 pages, not " + std::to_string(page_count)};
  into.pages.clear();
  into.blocks.clear();
  into.byte_count = 0;
  into.pages.reserve(page_count);
  make_room(into, page_count);
}

void make_room(parcel& into, std::size_t page_count) {
  // Each page is a delta or part of a block; and one delta more may be tried at the very end.
  const auto block_count = page_count / block_pages + 1;
  const auto want = page_count * page_size + delta_max + block_count * (lz4_bound(lz4_block_max) - lz4_block_max);
  if (into.bytes.size() < want)
    into.bytes.resize(want);
}

void settle(const page_mark& mark, page_directory& directory, page_result& result) {
  if (mark.uniform) {
    result.action = page_action::fill;
    result.fill = mark.fill;
    return;
  }
  result.hash = mark.hash;
  if (const auto known = directory.find_or_add(mark.hash, result.number)) {
    result.action = page_action::reference;
    result.reference = *known;
  } else {
    result.action = page_action::block;
  }
}

void add_block(std::span<const std::byte> pages, std::size_t size, parcel& into) {
  const auto raw = size >= pages.size();
  if (raw)
    std::memcpy(into.bytes.data() + into.byte_count, pages.data(), pages.size());
  const auto taken = raw ? pages.size() : size;
  into.blocks.push_back({.begin = static_cast<std::uint32_t>(into.byte_count),
                         .size = static_cast<std::uint32_t>(taken),
                         .page_count = static_cast<std::uint32_t>(pages.size() / page_size),
                         .raw = raw});
  into.byte_count += taken;
}

bool unpack_block(const block_task& block, std::span<std::byte> scratch) {
  const auto whole = block.pages.size() * page_size;
  if (block.pages.size() > block_pages)
    return false;
  const auto together = std::ranges::adjacent_find(block.pages, [](const auto* a, const auto* b) {
                          return b != a + page_size;
                        }) == block.pages.end();
  if (block.raw) {
    if (block.bytes.size() != whole)
      return false;
  } else {
    const auto room = together && whole > 0 ? std::span{block.pages[0], whole} : scratch.first(whole);
    if (lz4_decode(block.bytes, room) != whole)
      return false;
    if (together)
      return true;
  }
  const auto* from = block.raw ? block.bytes.data() : scratch.data();
  for (auto* const page : block.pages) {
    std::memcpy(page, from, page_size);
    from += page_size;
  }
  return true;
}

} // namespace novacron::kernels
