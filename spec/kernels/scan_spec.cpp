#include "kernels/scan.hpp"
#include "spec/kernels/pages.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace novacron;
using namespace novacron::kernels;
using namespace novacron::spec;

namespace {

/// The definition, spelled out.
bool is_uniform(const page_bytes& page) {
  return std::ranges::all_of(page, [&](std::byte x) { return x == page[0]; });
}

/// Bytes 0, 1, 2, ... with a step that depends on where they are, so that no two lines are alike.
page_bytes numbered() {
  auto page = filled(0);
  for (auto i = std::size_t{0}; i < page.size(); ++i)
    page[i] = static_cast<std::byte>(i * 7 + i / 256);
  return page;
}

} // namespace

SCENARIO("a page is hashed as xxHash's XXH3_128bits_withSeed does") {
  // Computed with libxxhash 0.8.1.
  for (const auto by : paths()) {
    CAPTURE(std::string{name(by)});
    CHECK(hash(filled(0).data(), hash_key{0}, by) == page_hash{0x93D76FE148C689BA, 0x3EE8DC4F9E7EE495});
    CHECK(hash(numbered().data(), hash_key{0}, by) == page_hash{0x5C722D9CEB6F9064, 0x08EF8FC6D37A7191});
    CHECK(hash(numbered().data(), hash_key{0x1234567890ABCDEF}, by) ==
          page_hash{0x64929E838A755CE4, 0x22A329D113FEC76C});
  }
}

SCENARIO("every path says the same about a page, at any address") {
  const auto key = hash_key{42};
  for (const auto& page : odd_pages()) {
    const auto want = scan(page.data(), key, path::scalar);
    CHECK(want.uniform == is_uniform(page));
    if (want.uniform)
      CHECK(want == page_mark{.hash = {}, .uniform = true, .fill = std::to_integer<std::uint8_t>(page[0])});
    else
      CHECK(want.hash == hash(page.data(), key, path::scalar));
    for (const auto by : paths()) {
      CAPTURE(std::string{name(by)});
      for (const auto shift : {0u, 1u, 8u, 33u}) {
        auto elsewhere = page_bytes(page_size + shift);
        std::ranges::copy(page, elsewhere.begin() + shift);
        CHECK(scan(elsewhere.data() + shift, key, by) == want);
        CHECK(is_zero(elsewhere.data() + shift, by) == (want.uniform && want.fill == 0));
      }
    }
  }
}

SCENARIO("a page that is copied is scanned as it was copied, and a uniform one is not copied") {
  const auto key = hash_key{42};
  for (const auto by : paths())
    for (const auto& page : odd_pages()) {
      auto copy = random_bytes(page_size, 99);
      const auto before = copy;
      const auto mark = copy_and_scan(page.data(), copy.data(), key, by);
      CHECK(mark == scan(page.data(), key, path::scalar));
      CHECK(copy == (mark.uniform ? before : page));
    }
}

SCENARIO("many pages are scanned and zero ones counted in one call") {
  const auto memory = sample_memory(200, 3);
  const auto key = hash_key{1};
  auto zeros = std::size_t{0};
  auto marks = std::vector<page_mark>(200);
  scan(memory, key, marks);
  for (auto i = std::size_t{0}; i < marks.size(); ++i) {
    CHECK(marks[i] == scan(memory.data() + i * page_size, key, path::scalar));
    zeros += marks[i].uniform && marks[i].fill == 0;
  }
  CHECK(zeros > 20);
  for (const auto by : paths())
    CHECK(zero_count(memory, by) == zeros);
}

SCENARIO("another seed gives other hashes") {
  const auto page = random_bytes(page_size, 1);
  CHECK(hash(page.data(), hash_key{1}) != hash(page.data(), hash_key{2}));
}
