#pragma once

/// A guest's memory for specs of codecs, and what a target does with what was made of it.

#include "kernels/codec.hpp"
#include "kernels/sample.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace novacron::spec {

using namespace kernels;

/// A guest's memory at two moments, and what a source keeps of it.
struct guest {
  explicit guest(std::size_t page_count, std::uint64_t seed)
      : memory{sample_memory(page_count, seed)}, sent(memory.size()) {}

  std::size_t page_count() const { return memory.size() / page_size; }

  std::vector<page_task> tasks(bool sent_before) {
    auto all = std::vector<page_task>{};
    for (auto i = std::size_t{0}; i < page_count(); ++i)
      all.push_back({.number = i,
                     .now = memory.data() + i * page_size,
                     .sent = sent.data() + i * page_size,
                     .sent_before = sent_before});
    return all;
  }

  /// Every third page is written to.
  void run(std::uint64_t seed) {
    for (auto i = std::size_t{0}; i < page_count(); i += 3)
      sample_write(std::span{memory}.subspan(i * page_size, page_size), seed + i);
  }

  std::vector<std::byte> memory;
  std::vector<std::byte> sent;
};

/// Does on the target's side what the parcel says; false when something does not fit.
inline bool apply(const parcel& x, codec& by, std::vector<std::byte>& memory) {
  const auto place = [&](std::uint64_t number) { return memory.data() + number * page_size; };
  auto places = std::vector<std::byte*>{};
  for (const auto& page : x.pages)
    if (page.action == page_action::block)
      places.push_back(place(page.number));
  auto blocks = std::vector<block_task>{};
  auto used = std::size_t{0};
  for (const auto& block : x.blocks) {
    blocks.push_back({.bytes = x.part(block.begin, block.size),
                      .raw = block.raw,
                      .pages = std::span{places}.subspan(used, block.page_count)});
    used += block.page_count;
  }
  if (used != places.size() || by.unpack(blocks) != blocks.size())
    return false;
  for (const auto& page : x.pages) {
    auto* const to = place(page.number);
    if (page.action == page_action::fill)
      std::memset(to, page.fill, page_size);
    else if (page.action == page_action::reference)
      std::memcpy(to, place(page.reference), page_size);
    else if (page.action == page_action::delta && !delta_apply(x.part(page.begin, page.size), to))
      return false;
  }
  return true;
}

inline std::size_t count(const parcel& x, page_action action) {
  return static_cast<std::size_t>(std::ranges::count(x.pages, action, &page_result::action));
}

} // namespace novacron::spec
