#include "kernels/codec.hpp"
#include "kernels/device/device_codec.hpp"
#include "kernels/device/lockstep.hpp"
#include "kernels/page_index.hpp"
#include "spec/kernels/guest.hpp"
#include "spec/kernels/pages.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>

using namespace novacron;
using namespace novacron::kernels;
using namespace novacron::spec;

namespace {

std::vector<std::unique_ptr<codec>> codecs() {
  auto all = std::vector<std::unique_ptr<codec>>{};
  for (const auto by : paths())
    all.push_back(make_cpu_codec(by));
  all.push_back(make_codec());
  const auto by = std::make_shared<device::engine>(device::lockstep_calls(), nullptr);
  all.push_back(device::make_device_codec(by, {.batch_pages = 48, .line_count = 3}));
  return all;
}

} // namespace

SCENARIO("a guest's memory arrives as it was, in two passes, by every codec") {
  for (const auto& by : codecs())
    for (const auto how : {packing::lz4, packing::raw}) {
      CAPTURE(std::string{by->name()});
      auto source = guest{500, 1};
      auto target = random_bytes(source.memory.size(), 5);
      auto known = page_index{1000};
      auto x = parcel{};
      by->pack(source.tasks(false), {.how = how}, known, x);
      CHECK(x.pages.size() == 500);
      REQUIRE(apply(x, *by, target));
      CHECK(target == source.memory);
      CHECK(source.sent == source.memory);
      CHECK(count(x, page_action::fill) > 50);
      CHECK(count(x, page_action::reference) > 5);
      CHECK(count(x, page_action::delta) == 0);

      source.run(77);
      known.clear();
      by->pack(source.tasks(true), {.how = how}, known, x);
      REQUIRE(apply(x, *by, target));
      CHECK(target == source.memory);
      CHECK(source.sent == source.memory);
      CHECK(count(x, page_action::same) > 300);
      CHECK(count(x, page_action::delta) > 100);
    }
}

SCENARIO("all codecs decide alike") {
  auto want = std::map<int, std::vector<page_result>>{};
  for (const auto& by : codecs()) {
    CAPTURE(std::string{by->name()});
    auto source = guest{300, 2};
    auto known = page_index{1000};
    auto x = parcel{};
    for (auto pass = 0; pass < 3; ++pass) {
      by->pack(source.tasks(pass > 0), {.hash_seed = 9}, known, x);
      if (!want.contains(pass))
        want[pass] = x.pages;
      // Where a delta lies depends on how well the blocks before it were compressed, which is free.
      for (auto i = std::size_t{0}; i < x.pages.size(); ++i) {
        auto page = x.pages[i];
        page.begin = want[pass][i].begin;
        CHECK(page == want[pass][i]);
      }
      source.run(static_cast<std::uint64_t>(pass));
      known.clear();
    }
  }
}

SCENARIO("pages that do not shrink are sent as they are") {
  const auto by = make_codec();
  auto memory = random_bytes(20 * page_size, 3);
  auto tasks = std::vector<page_task>{};
  for (auto i = std::size_t{0}; i < 20; ++i)
    tasks.push_back({.number = i, .now = memory.data() + i * page_size});
  auto known = page_index{100};
  auto x = parcel{};
  by->pack(tasks, {}, known, x);
  REQUIRE(x.blocks.size() == 2);
  CHECK(x.blocks[0].raw);
  CHECK(x.blocks[0].page_count == 16);
  CHECK(x.blocks[1].page_count == 4);
  CHECK(x.byte_count == memory.size());
  auto target = filled(0);
  target.resize(memory.size());
  CHECK(apply(x, *by, target));
  CHECK(target == memory);
}

SCENARIO("nothing in is nothing out, and too much is refused") {
  const auto by = make_codec();
  auto known = page_index{1};
  auto x = parcel{};
  by->pack({}, {}, known, x);
  CHECK(x.pages.empty());
  CHECK(x.blocks.empty());
  CHECK(x.byte_count == 0);
  const auto many = std::vector<page_task>(pack_pages_max + 1);
  CHECK_THROWS_AS(by->pack(many, {}, known, x), std::length_error);
}

SCENARIO("a block that is not what it says is named, and those before it have arrived") {
  const auto by = make_codec();
  const auto page = sample_content(1, 3);
  auto known = page_index{1};
  auto x = parcel{};
  by->pack(std::vector{page_task{.now = page.data()}}, {}, known, x);
  const auto good = x.part(x.blocks[0].begin, x.blocks[0].size);
  auto first = filled(1);
  auto second = filled(2);
  const auto one = std::vector{first.data()};
  const auto two = std::vector{first.data(), second.data()};
  const auto many = std::vector<std::byte*>(17, first.data());
  CHECK(by->unpack(std::vector{block_task{good, false, one}, block_task{good, false, two}}) == 1);
  CHECK(first == page);
  CHECK(by->unpack(std::vector{block_task{good, true, one}}) == 0);
  CHECK(by->unpack(std::vector{block_task{page, true, one}}) == 1);
  CHECK(by->unpack(std::vector{block_task{page, true, two}}) == 0);
  CHECK(by->unpack(std::vector{block_task{good.first(good.size() - 1), false, one}}) == 0);
  CHECK(by->unpack(std::vector{block_task{good, false, many}}) == 0);
  CHECK(by->unpack(std::vector{block_task{{}, true, {}}}) == 1);
}

SCENARIO("an index remembers which page first had a content, as long as it has room") {
  auto known = page_index{3};
  const auto a = page_hash{.low = 8, .high = 1};
  const auto b = page_hash{.low = 8, .high = 2}; // the same place in the table
  const auto c = page_hash{.low = 9, .high = 3};
  CHECK_FALSE(known.find_or_add(a, 1));
  CHECK_FALSE(known.find_or_add(b, 2));
  CHECK_FALSE(known.find_or_add(c, 3));
  CHECK(known.find_or_add(a, 4) == 1);
  CHECK(known.find_or_add(b, 4) == 2);
  CHECK(known.find_or_add(c, 4) == 3);
  GIVEN("the page itself asks again") {
    CHECK_FALSE(known.find_or_add(b, 2));
  }
  GIVEN("no room") {
    CHECK_FALSE(known.find_or_add({.low = 1, .high = 1}, 5));
    CHECK_FALSE(known.find_or_add({.low = 1, .high = 1}, 6));
  }
  GIVEN("it is told to forget") {
    known.forget(b, 9); // not by that page
    CHECK(known.find_or_add(b, 4) == 2);
    known.forget(b, 2);
    CHECK(known.find_or_add(c, 4) == 3);
    CHECK_FALSE(known.find_or_add(b, 4));
    CHECK(known.find_or_add(b, 5) == 4);
    known.clear();
    CHECK_FALSE(known.find_or_add(a, 7));
  }
}
