#include "kernels/delta.hpp"
#include "spec/kernels/pages.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace novacron;
using namespace novacron::kernels;
using namespace novacron::spec;

namespace {

std::vector<std::byte> delta(const page_bytes& page, const page_bytes& before, path by = path::scalar) {
  auto out = std::vector<std::byte>(delta_max);
  out.resize(delta_encode(page.data(), before.data(), out.data(), by));
  return out;
}

/// Pairs from equal to different throughout.
std::vector<std::pair<page_bytes, page_bytes>> histories() {
  auto all = std::vector<std::pair<page_bytes, page_bytes>>{};
  auto dice = std::mt19937_64{5};
  for (const auto& before : odd_pages())
    for (const auto count : {0u, 1u, 2u, 9u, 100u, 4096u}) {
      auto after = before;
      for (auto i = 0u; i < count; ++i)
        after[dice() % page_size] = static_cast<std::byte>(dice());
      all.emplace_back(before, after);
    }
  return all;
}

bool refused(const std::vector<std::byte>& bytes) {
  auto page = random_bytes(page_size, 3);
  const auto before = page;
  return !delta_apply(bytes, page.data()) && page == before;
}

} // namespace

SCENARIO("a delta makes the page out of the one before, once or twice, on every path alike") {
  for (const auto& [before, after] : histories()) {
    const auto want = delta(after, before);
    CHECK(want.empty() == (before == after));
    for (const auto by : paths()) {
      CAPTURE(std::string{name(by)});
      CHECK(delta(after, before, by) == want);
    }
    auto page = before;
    CHECK(delta_apply(want, page.data()));
    CHECK(page == after);
    CHECK(delta_apply(want, page.data()));
    CHECK(page == after);
  }
}

SCENARIO("one changed word costs seventeen bytes") {
  const auto before = filled(0);
  auto after = before;
  after[8 * 70 + 3] = std::byte{7};
  const auto bytes = delta(after, before);
  REQUIRE(bytes.size() == 17);
  CHECK(load<std::uint64_t>(bytes.data()) == std::uint64_t{1} << 8); // word 70 is in line 8
  CHECK(bytes[8] == std::byte{1 << 6});                              // and there the seventh
  CHECK(load<std::uint64_t>(bytes.data() + 9) == std::uint64_t{7} << 24);
}

SCENARIO("the delta of a page that is new throughout fills its room exactly") {
  CHECK(delta(filled(1), filled(0)).size() == delta_max);
}

SCENARIO("what is no delta changes nothing") {
  const auto good = delta(random_bytes(page_size, 1), random_bytes(page_size, 2));
  for (auto size = std::size_t{1}; size < good.size(); size += size < 80 ? 1 : 97)
    CHECK(refused({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}));
  auto longer = good;
  longer.push_back(std::byte{0});
  CHECK(refused(longer));
  auto emptied = good;
  emptied[8] = std::byte{0}; // a changed line without a changed word
  CHECK(refused(emptied));
  CHECK(refused(std::vector<std::byte>(8))); // no changed line
  for (auto seed = 0u; seed < 2000; ++seed)
    CHECK(refused(random_bytes(9 + seed % 60, seed)));
}
