#include "actors/migration/page_frame.hpp"
#include "kernels/delta.hpp"
#include "kernels/page_index.hpp"
#include "spec/kernels/guest.hpp"
#include "spec/kernels/pages.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace novacron;
using namespace novacron::migration;
using namespace novacron::spec;

namespace {

using bytes = std::vector<std::byte>;

/// Does what a frame says, as a target would: blocks first decoded aside, then record by record.
bool apply(const page_frame& x, kernels::codec& by, bytes& memory) {
  auto content = bytes{};
  for (const auto& block : x.blocks) {
    const auto at = content.size();
    content.resize(at + block.page_count * page_size);
    auto places = std::vector<std::byte*>{};
    for (auto i = std::uint32_t{0}; i < block.page_count; ++i)
      places.push_back(content.data() + at + i * page_size);
    const auto task = block_task{block.bytes, block.coding == block_coding::raw, places};
    if (by.unpack({&task, 1}) != 1)
      return false;
  }
  const auto* next = content.data();
  for (const auto& record : x.pages)
    for (auto i = std::uint32_t{0}; i < record.count; ++i) {
      auto* const to = memory.data() + (record.number + i) * page_size;
      switch (record.operation) {
        case page_operation::zero: std::memset(to, 0, page_size); break;
        case page_operation::fill: std::memset(to, record.fill, page_size); break;
        case page_operation::same: break;
        case page_operation::reference: std::memcpy(to, memory.data() + record.reference * page_size, page_size); break;
        case page_operation::delta:
          if (!delta_apply(record.delta, to))
            return false;
          break;
        case page_operation::block:
          std::memcpy(to, next, page_size);
          next += page_size;
          break;
      }
    }
  return true;
}

constexpr auto all_pages = page_scope{.page_count = 600};

/// A payload of one record, and whatever is behind it.
bytes record_of(std::uint8_t operation, std::uint64_t number, std::uint32_t count, const bytes& behind = {}) {
  auto out = bytes(8);
  store(out.data(), std::uint64_t{operation} << 56 | std::uint64_t{count - 1} << 48 | number);
  out.insert(out.end(), behind.begin(), behind.end());
  return out;
}

bytes eight(std::uint64_t x) {
  auto out = bytes(8);
  store(out.data(), x);
  return out;
}

bool reads(const bytes& payload, std::uint32_t count = 1, const page_scope& scope = all_pages) {
  auto x = page_frame{};
  return read_pages(payload, count, scope, x);
}

} // namespace

SCENARIO("a guest's memory arrives by frames, in two passes, with pages in a row put together") {
  auto source = guest{600, 11};
  auto target = random_bytes(source.memory.size(), 5);
  const auto by = make_cpu_codec();
  auto known = page_index{1000};
  auto made = parcel{};
  for (auto pass = 0; pass < 3; ++pass) {
    by->pack(source.tasks(pass > 0), {}, known, made);
    auto payload = bytes{};
    const auto count = write_pages(made, payload);
    CHECK(count < 600);
    auto x = page_frame{};
    REQUIRE(read_pages(payload, count, all_pages, x));
    REQUIRE(apply(x, *by, target));
    CHECK(target == source.memory);
    source.run(static_cast<std::uint64_t>(pass));
    known.clear();
  }
}

SCENARIO("what speaks of pages that are not the stream's is refused") {
  CHECK(reads(record_of(0, 599, 1)));
  CHECK_FALSE(reads(record_of(0, 600, 1)));
  CHECK(reads(record_of(0, 598, 2)));
  CHECK_FALSE(reads(record_of(0, 598, 3)));
  GIVEN("a run over the end of a range") {
    CHECK(reads(record_of(0, 500, 12)));
    CHECK_FALSE(reads(record_of(0, 500, 13)));
  }
  GIVEN("two streams") {
    const auto second = page_scope{.page_count = 2000, .stream = 1, .stream_count = 2};
    CHECK_FALSE(reads(record_of(0, 511, 1), 1, second));
    CHECK(reads(record_of(0, 512, 1), 1, second));
    CHECK(reads(record_of(0, 1023, 1), 1, second));
    CHECK_FALSE(reads(record_of(0, 1024, 1), 1, second));
    CHECK(reads(record_of(3, 512, 1, eight(513)), 1, second));
    CHECK_FALSE(reads(record_of(3, 512, 1, eight(511)), 1, second));
  }
}

SCENARIO("a payload that is not exactly what it says is refused") {
  CHECK(reads({}, 0));
  CHECK_FALSE(reads({}, 1));
  CHECK(reads(record_of(2, 5, 4)));
  CHECK_FALSE(reads(record_of(2, 5, 4), 2));
  CHECK_FALSE(reads(record_of(6, 5, 1)));
  CHECK_FALSE(reads(record_of(1, 5, 1)));
  CHECK(reads(record_of(1, 5, 256, {std::byte{7}})));
  CHECK_FALSE(reads(record_of(3, 5, 1, eight(5))));
  CHECK_FALSE(reads(record_of(3, 5, 2, eight(9))));
  CHECK_FALSE(reads(record_of(4, 5, 1, {std::byte{0}, std::byte{0}})));
  CHECK_FALSE(reads(record_of(4, 5, 1, {std::byte{2}, std::byte{0}, std::byte{1}})));
  CHECK(reads(record_of(4, 5, 1, {std::byte{1}, std::byte{0}, std::byte{1}})));
  GIVEN("blocks") {
    const auto block = [](int coding, int pages, int unused, std::uint64_t size) {
      auto out =
          bytes{static_cast<std::byte>(coding), static_cast<std::byte>(pages), static_cast<std::byte>(unused), {}};
      const auto tail = eight(size);
      out.insert(out.end(), tail.begin(), tail.begin() + 4);
      out.resize(out.size() + 3);
      return out;
    };
    CHECK(reads(record_of(5, 0, 2, block(1, 2, 0, 3))));
    CHECK_FALSE(reads(record_of(5, 0, 2, block(3, 2, 0, 3))));
    CHECK_FALSE(reads(record_of(5, 0, 2, block(1, 1, 0, 3))));
    CHECK_FALSE(reads(record_of(5, 0, 2, block(1, 3, 0, 3))));
    CHECK_FALSE(reads(record_of(5, 0, 2, block(1, 0, 0, 3))));
    CHECK_FALSE(reads(record_of(5, 0, 65, block(1, 65, 0, 3))));
    CHECK_FALSE(reads(record_of(5, 0, 2, block(1, 2, 1, 3))));
    CHECK_FALSE(reads(record_of(5, 0, 2, block(1, 2, 0, 4))));
    CHECK_FALSE(reads(record_of(5, 0, 2, block(1, 2, 0, 2))));
    CHECK_FALSE(reads(record_of(5, 0, 2)));
  }
}

SCENARIO("the begin of a payload is not one") {
  auto source = guest{100, 2};
  auto known = page_index{1000};
  auto made = parcel{};
  make_cpu_codec()->pack(source.tasks(false), {}, known, made);
  auto payload = bytes{};
  const auto count = write_pages(made, payload);
  CHECK(reads(payload, count));
  for (auto size = std::size_t{0}; size < payload.size(); size += 1 + size / 50)
    CHECK_FALSE(reads({payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size)}, count));
}
