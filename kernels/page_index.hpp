#pragma once

/// A directory that remembers which page first had which content.

#include "kernels/codec.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace novacron::kernels {

/// Holds up to `page_count_max` pages in 32 bytes each; further ones are not remembered, which costs only ratio.
class page_index final : public page_directory {
public:
  explicit page_index(std::size_t page_count_max);
  std::optional<std::uint64_t> find_or_add(const page_hash& hash, std::uint64_t number) override;
  void forget(const page_hash& hash, std::uint64_t number) override;
  void clear();

private:
  struct entry {
    page_hash hash;
    std::uint64_t number = 0;
    /// Forgotten entries stay in the chain of those behind them.
    enum : std::uint8_t { free, taken, forgotten } state = free;
  };

  entry* find(const page_hash& hash);

  std::vector<entry> entries_;
  std::size_t mask_;
  std::size_t used_ = 0;
  std::size_t limit_;
};

} // namespace novacron::kernels
