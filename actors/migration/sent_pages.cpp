#include "actors/migration/sent_pages.hpp"

#include "kernels/page.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <limits>
#include <new>

namespace novacron::migration {

// Address space for all pages, of which only those are backed that a copy is begun for.
sent_pages::sent_pages(std::uint64_t page_count, std::uint64_t bytes_max)
    : size_{std::max<std::size_t>(page_count, 1) * kernels::page_size},
      left_{static_cast<std::int64_t>(
          std::min<std::uint64_t>(bytes_max / kernels::page_size, std::numeric_limits<std::int64_t>::max()))},
      states_(page_count) {
  auto* const at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    throw std::bad_alloc{};
  // Most pages get a copy, and each fault costs as much as the copy itself.
  ::madvise(at, size_, MADV_HUGEPAGE);
  room_ = static_cast<std::byte*>(at);
}

sent_pages::~sent_pages() {
  ::munmap(room_, size_);
}

std::byte* sent_pages::copy_of(std::uint64_t page, bool begin) {
  if (states_[page] == state::none) {
    if (!begin || left_.fetch_sub(1, std::memory_order_relaxed) <= 0)
      return nullptr;
    states_[page] = state::begun;
  }
  return room_ + page * kernels::page_size;
}

} // namespace novacron::migration
