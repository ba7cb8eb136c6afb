#include "actors/migration/page_set.hpp"

#include <algorithm>

namespace novacron::migration {

void page_set::insert(page_run x) {
  if (x.first >= page_count_)
    return;
  const auto end = x.first + std::min(x.count, page_count_ - x.first);
  for (auto at = x.first; at < end;) {
    const auto bits = std::min<std::uint64_t>(64 - at % 64, end - at);
    words_[at / 64] |= (bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1) << at % 64;
    at += bits;
  }
}

void page_set::insert(const page_set& x) {
  const auto common = std::min(words_.size(), x.words_.size());
  for (auto i = std::size_t{0}; i < common; ++i)
    words_[i] |= x.words_[i];
}

void page_set::clear() {
  std::ranges::fill(words_, std::uint64_t{0});
}

std::uint64_t page_set::size() const {
  auto sum = std::uint64_t{0};
  for (const auto word : words_)
    sum += static_cast<std::uint64_t>(std::popcount(word));
  return sum;
}

} // namespace novacron::migration
