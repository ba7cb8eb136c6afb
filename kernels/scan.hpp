#pragma once

/// Looks at pages: is it zero, is it one byte throughout, and otherwise what is its hash.

#include "kernels/page.hpp"
#include "kernels/path.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace novacron::kernels {

/// The key under which pages are hashed: with equal seeds, equal pages have equal hashes on every machine and device.
/// The hash is XXH3_128bits_withSeed of xxHash over the 4096 bytes.
struct hash_key {
  explicit hash_key(std::uint64_t seed = 0);
  alignas(64) std::array<std::byte, 192> secret;
};

/// Whether all 4096 bytes are zero. Stops at the first line that is not.
bool is_zero(const std::byte* page, path by = best_path());

/// How many of the pages are zero; reads `pages.size() / page_size` pages.
std::size_t zero_count(std::span<const std::byte> pages, path by = best_path());

page_hash hash(const std::byte* page, const hash_key& key, path by = best_path());

page_mark scan(const std::byte* page, const hash_key& key, path by = best_path());

/// One mark for each page; `pages` holds at least `marks.size()` of them.
void scan(std::span<const std::byte> pages, const hash_key& key, std::span<page_mark> marks, path by = best_path());

/// Scans a page that somebody may be writing to. If it is not uniform it is copied, and the hash is that of the copy;
/// a uniform page leaves `to` alone.
page_mark copy_and_scan(const std::byte* from, std::byte* to, const hash_key& key, path by = best_path());

} // namespace novacron::kernels
