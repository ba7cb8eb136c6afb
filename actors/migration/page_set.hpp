#pragma once

/// A set of pages of one guest, one bit each.

#include <bit>
#include <cstdint>
#include <vector>

namespace novacron::migration {

/// `count` pages in a row.
struct page_run {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  bool operator==(const page_run&) const = default;
};

class page_set {
public:
  explicit page_set(std::uint64_t page_count) : words_((page_count + 63) / 64), page_count_{page_count} {}

  /// Pages that the guest does not have are left out.
  void insert(page_run x);
  void insert(const page_set& x);
  void clear();

  bool holds(std::uint64_t page) const { return page < page_count_ && (words_[page / 64] >> page % 64 & 1) != 0; }
  std::uint64_t page_count() const { return page_count_; }
  /// How many pages are in it.
  std::uint64_t size() const;

  /// Calls `each(page)` for the pages in it from `first` to before `end`, in order.
  template <class Each>
  void for_each(std::uint64_t first, std::uint64_t end, Each each) const {
    for (auto word = first / 64; word * 64 < end && word < words_.size(); ++word)
      for (auto bits = words_[word]; bits != 0; bits &= bits - 1)
        if (const auto page = word * 64 + static_cast<std::uint64_t>(std::countr_zero(bits));
            page >= first && page < end)
          each(page);
  }

private:
  std::vector<std::uint64_t> words_;
  std::uint64_t page_count_;
};

} // namespace novacron::migration
