#include "actors/migration/block_coder.hpp"
#include "kernels/page_index.hpp"
#include "kernels/sample.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace novacron;
using namespace novacron::migration;

namespace {

constexpr auto page_size = std::size_t{4096};
using bytes = std::vector<std::byte>;

bytes zstd_block(std::span<const std::byte> pages, int level = 1) {
  auto out = bytes{};
  block_encoder{}.encode(pages, level, out);
  return out;
}

} // namespace

SCENARIO("zstd blocks hold the pages of a parcel, in its order") {
  const auto memory = kernels::sample_content(150, 3);
  auto tasks = std::vector<kernels::page_task>{};
  for (auto i = std::size_t{0}; i < 150; ++i)
    tasks.push_back({.number = i, .now = memory.data() + i * page_size});
  auto codec = kernels::make_cpu_codec();
  auto index = kernels::page_index{200};
  auto parcel = kernels::parcel{};
  codec->pack(tasks, {.how = kernels::packing::raw}, index, parcel);
  auto payload = bytes{};
  auto room = bytes{};
  auto encoder = block_encoder{};
  const auto records = write_records(parcel, payload);
  write_zstd_blocks(parcel, 3, encoder, room, payload);
  CHECK(payload.size() < memory.size());
  auto found = page_frame{};
  REQUIRE(read_pages(payload, records, {.page_count = 150}, found));
  CHECK(found.blocks.size() == 3);
  auto decoder = block_decoder{};
  auto again = bytes{};
  for (const auto& block : found.blocks) {
    const auto pages = decoder.decode(block);
    REQUIRE(pages.size() == block.page_count * page_size);
    again.insert(again.end(), pages.begin(), pages.end());
  }
  CHECK(again == memory);
}

SCENARIO("what does not shrink goes as it is") {
  auto chance = std::mt19937{1};
  auto memory = bytes(16 * page_size);
  std::ranges::generate(memory, [&] { return static_cast<std::byte>(chance()); });
  CHECK(zstd_block(memory).empty());
}

SCENARIO("a block that is not exactly its pages is refused") {
  const auto memory = kernels::sample_content(16, 4);
  const auto good = zstd_block(memory);
  auto decoder = block_decoder{};
  const auto decodes = [&](const bytes& x, std::uint32_t pages, block_coding coding = block_coding::zstd) {
    return !decoder.decode({.coding = coding, .page_count = pages, .bytes = x}).empty();
  };
  CHECK(decodes(good, 16));
  CHECK_FALSE(decodes(good, 15));
  CHECK_FALSE(decodes(good, 17));
  CHECK_FALSE(decodes(good, 0));
  CHECK_FALSE(decodes(good, 65));
  CHECK_FALSE(decodes(good, 16, block_coding::lz4));
  CHECK_FALSE(decodes(good, 16, block_coding::raw));
  CHECK_FALSE(decodes({}, 16));
  CHECK_FALSE(decodes({good.begin(), good.end() - 1}, 16));
  auto twice = good;
  twice.insert(twice.end(), good.begin(), good.end());
  CHECK_FALSE(decodes(twice, 32));
  CHECK_FALSE(decodes(twice, 16));
  auto chance = std::minstd_rand{9};
  for (auto i = 0; i < 2000; ++i) {
    auto bent = good;
    bent[chance() % bent.size()] ^= static_cast<std::byte>(1 + chance() % 255);
    const auto pages = decoder.decode({.coding = block_coding::zstd, .page_count = 16, .bytes = bent});
    REQUIRE((pages.empty() || pages.size() == 16 * page_size));
  }
}
