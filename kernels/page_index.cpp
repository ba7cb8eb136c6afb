#include "kernels/page_index.hpp"

#include <algorithm>
#include <bit>

namespace novacron::kernels {

// Three quarters full at most: a chain is then four entries long on average when nothing is found.
page_index::page_index(std::size_t page_count_max)
    : entries_(std::bit_ceil(page_count_max + page_count_max / 3 + 1)), mask_{entries_.size() - 1},
      limit_{page_count_max} {}

page_index::entry* page_index::find(const page_hash& hash) {
  for (auto at = hash.low & mask_;; at = (at + 1) & mask_) {
    auto& x = entries_[at];
    if (x.state == entry::free || x.hash == hash)
      return &x;
  }
}

std::optional<std::uint64_t> page_index::find_or_add(const page_hash& hash, std::uint64_t number) {
  auto& x = *find(hash);
  if (x.state == entry::taken)
    return x.number == number ? std::nullopt : std::optional{x.number};
  if (x.state == entry::free && used_ == limit_)
    return {};
  used_ += x.state == entry::free;
  x = {.hash = hash, .number = number, .state = entry::taken};
  return {};
}

void page_index::forget(const page_hash& hash, std::uint64_t number) {
  auto& x = *find(hash);
  if (x.state == entry::taken && x.number == number)
    x.state = entry::forgotten;
}

void page_index::clear() {
  std::ranges::fill(entries_, entry{});
  used_ = 0;
}

} // namespace novacron::kernels
