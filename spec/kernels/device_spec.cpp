#include "kernels/delta.hpp"
#include "kernels/device/batch.hpp"
#include "kernels/device/bench.hpp"
#include "kernels/device/device_codec.hpp"
#include "kernels/device/lockstep.hpp"
#include "kernels/device/lz4.hpp"
#include "kernels/device/scan.hpp"
#include "kernels/page_index.hpp"
#include "kernels/scan.hpp"
#include "spec/kernels/blocks.hpp"
#include "spec/kernels/guest.hpp"
#include "spec/kernels/pages.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

using namespace novacron;
using namespace novacron::kernels;
using namespace novacron::kernels::device;
using namespace novacron::spec;

namespace {

/// What the device's kernel says of one page: the finding, and its delta.
struct examined {
  page_finding found{};
  bytes delta;
  bytes copy;
};

examined examine_alone(const page_bytes& now, const page_bytes* sent, std::uint64_t seed, bool backwards) {
  auto result = examined{.delta = bytes(delta_room), .copy = bytes(page_size)};
  auto scratch = bytes(delta_room);
  auto taken = std::uint32_t{7};
  const auto job = page_job{now.data(), sent != nullptr ? sent->data() : nullptr};
  const auto order = examine_order{.jobs = &job,
                                   .findings = &result.found,
                                   .pages = result.copy.data(),
                                   .taken = &taken,
                                   .scratch = scratch.data(),
                                   .deltas = result.delta.data(),
                                   .count = 1,
                                   .delta_limit = delta_max,
                                   .delta_step = delta_room,
                                   .key = words_of(seed)};
  device::examine(warp{backwards}, order, 0);
  result.delta.resize(result.found.delta_size == delta_none ? 0 : result.found.delta_size);
  return result;
}

/// By the device's kernel, in a room of exactly the size that it may write to.
bytes encode_in_lockstep(const bytes& in, bool backwards) {
  auto last = std::vector<std::uint16_t>(slot_count, 0xABCD);
  auto out = bytes(lz4_bound(in.size()));
  out.resize(
      device::encode(warp{backwards}, in.data(), static_cast<std::uint32_t>(in.size()), out.data(), last.data()));
  return out;
}

std::optional<bytes> decode_in_lockstep(const bytes& block, std::size_t room, bool backwards = false) {
  auto out = bytes(room);
  return device::decode(warp{backwards}, block.data(), static_cast<std::uint32_t>(block.size()), out.data(),
                        static_cast<std::uint32_t>(room))
             ? std::optional{out}
             : std::nullopt;
}

std::optional<bytes> decode_by_processor(const bytes& block, std::size_t room) {
  auto out = bytes(room);
  return lz4_decode(block, out) == room ? std::optional{out} : std::nullopt;
}

/// A device that is as good as new, whatever the last one suffered.
std::shared_ptr<engine> fresh_engine() {
  lockstep() = {};
  return std::make_shared<engine>(lockstep_calls(), nullptr);
}

constexpr auto small = device_codec_options{.batch_pages = 32, .line_count = 3};

/// Two passes over a guest that is written to between them, compressed and once more raw; whether the target then has
/// what the source has, and the source knows what it has.
void migrate(codec& by, bool attached, std::size_t page_count = 200) {
  auto source = guest{page_count, 4};
  auto target = random_bytes(source.memory.size(), 6);
  auto known = page_index{1000};
  auto x = parcel{};
  make_room(x, page_count);
  const auto* const place = x.bytes.data();
  if (attached) {
    by.attach(source.memory);
    by.attach(source.sent);
    by.attach(target);
    by.attach(x.bytes);
  }
  for (auto pass = 0; pass < 4; ++pass) {
    by.pack(source.tasks(pass % 2 > 0), {.how = pass < 2 ? packing::lz4 : packing::raw, .hash_seed = 3}, known, x);
    CHECK(x.pages.size() == page_count);
    CHECK(x.bytes.data() == place);
    REQUIRE(apply(x, by, target));
    CHECK(target == source.memory);
    CHECK(source.sent == source.memory);
    source.run(static_cast<std::uint64_t>(pass));
    known.clear();
  }
  if (attached) {
    by.detach(x.bytes);
    by.detach(target);
    by.detach(source.sent);
    by.detach(source.memory);
  }
}

} // namespace

SCENARIO("the device's scan and hash are the processor's, whatever the order of the lanes") {
  for (const auto seed : {std::uint64_t{0}, std::uint64_t{0x123456789ABCDEF}})
    for (const auto backwards : {false, true})
      for (const auto& page : odd_pages()) {
        const auto want = scan(page.data(), hash_key{seed});
        const auto is = examine_alone(page, nullptr, seed, backwards);
        CHECK(page_hash{is.found.hash_low, is.found.hash_high} == want.hash);
        CHECK((is.found.uniform != 0) == want.uniform);
        CHECK(is.found.fill == want.fill);
        CHECK(is.copy == page);
      }
}

SCENARIO("the device's deltas are the processor's, byte for byte") {
  const auto pages = odd_pages();
  for (const auto backwards : {false, true})
    for (auto i = std::size_t{0}; i < pages.size(); ++i) {
      auto changed = pages[i];
      sample_write(changed, i);
      for (const auto* before : {&pages[i], &pages[(i + 1) % pages.size()]}) {
        auto want = bytes(delta_max);
        want.resize(delta_encode(changed.data(), before->data(), want.data()));
        CHECK(examine_alone(changed, before, 0, backwards).delta == want);
      }
    }
}

SCENARIO("a block made by the device decodes everywhere, and the device decodes everybody's") {
  for (const auto& in : block_contents()) {
    CAPTURE(in.size());
    const auto block = encode_in_lockstep(in, false);
    CHECK(block.size() <= lz4_bound(in.size()));
    if (in.size() < 20000)
      CHECK(encode_in_lockstep(in, true) == block);
    CHECK(decode_by_processor(block, in.size()) == in);
    CHECK(decode_by_liblz4(block, in.size()) == in);
    CHECK(decode_in_lockstep(block, in.size(), true) == in);
    CHECK(decode_in_lockstep(encode_by_liblz4(in, 1), in.size()) == in);
    if (!in.empty())
      CHECK_FALSE(decode_in_lockstep(block, in.size() - 1));
  }
}

SCENARIO("what is no block the device refuses where the processor does") {
  auto dice = std::mt19937_64{8};
  for (const auto& in : block_contents()) {
    if (in.size() > 8192)
      continue;
    const auto block = encode_in_lockstep(in, false);
    for (auto tries = 0; tries < 40; ++tries) {
      auto bent = block;
      if (tries % 4 == 0)
        bent.resize(dice() % (bent.size() + 1));
      for (auto i = dice() % 3; i > 0 && !bent.empty(); --i)
        bent[dice() % bent.size()] = static_cast<std::byte>(dice());
      CHECK(decode_in_lockstep(bent, in.size()) == decode_by_processor(bent, in.size()));
    }
  }
}

SCENARIO("the device's encoder finds as much as the processor's") {
  const auto content = sample_content(128, 21);
  auto ours = std::size_t{0};
  auto theirs = std::size_t{0};
  for (auto at = std::size_t{0}; at < content.size(); at += lz4_block_max) {
    const auto in = bytes(content.begin() + static_cast<std::ptrdiff_t>(at),
                          content.begin() + static_cast<std::ptrdiff_t>(at + lz4_block_max));
    ours += encode_in_lockstep(in, false).size();
    theirs += encode_by_liblz4(in, 1).size();
  }
  CAPTURE(ours);
  CAPTURE(theirs);
  CHECK(static_cast<double>(theirs) / static_cast<double>(ours) >= 0.97);
}

SCENARIO("a guest arrives by a device that reads its memory where it is, or copies it") {
  for (const auto attached : {true, false})
    for (const auto refuses : {false, true}) {
      const auto by = make_device_codec(fresh_engine(), small);
      lockstep().attaches = !refuses;
      migrate(*by, attached);
      CHECK(by->name() == "cuda lockstep");
    }
  CHECK(lockstep().held_count == 0);
}

SCENARIO("what the device makes it puts straight into a parcel whose bytes are attached") {
  const auto by = make_device_codec(fresh_engine(), small);
  auto memory = sample_content(128, 3);
  auto tasks = std::vector<page_task>{};
  for (auto i = std::size_t{0}; i < 128; ++i)
    tasks.push_back({.number = i, .now = memory.data() + i * page_size});
  auto known = page_index{1000};
  auto x = parcel{};
  make_room(x, 128);
  by->attach(x.bytes);
  by->pack(tasks, {}, known, x);
  REQUIRE(x.blocks.size() == 8);
  // Each batch of 32 pages has its own part.
  for (auto i = std::size_t{0}; i < x.blocks.size(); i += 2)
    CHECK(std::min(x.blocks[i].begin, x.blocks[i + 1].begin) == i / 2 * 32 * page_size);
  by->detach(x.bytes);
}

SCENARIO("pages that lie in a row are copied ahead to where the device looks for them") {
  const auto by = make_device_codec(fresh_engine(), {.batch_pages = 64, .line_count = 2});
  auto memory = sample_content(64, 5);
  by->attach(memory);
  auto tasks = std::vector<page_task>{};
  const auto add = [&](std::size_t page) {
    tasks.push_back({.number = page, .now = memory.data() + page * page_size});
  };
  for (const auto page : {63u, 61u, 62u})
    add(page);
  for (auto page = std::size_t{0}; page < 40; ++page)
    add(page);
  add(50);
  auto known = page_index{1000};
  auto x = parcel{};
  by->pack(tasks, {}, known, x);
  auto target = bytes(memory.size());
  REQUIRE(apply(x, *by, target));
  for (const auto& task : tasks)
    CHECK(std::equal(task.now, task.now + page_size, target.data() + task.number * page_size));
  by->detach(memory);
}

SCENARIO("a device that fails at any call loses no page, and gives everything back") {
  constexpr auto tiny = device_codec_options{.batch_pages = 16, .line_count = 2};
  constexpr auto page_count = std::size_t{20};
  auto begin = std::size_t{0};
  auto end = std::size_t{0};
  {
    const auto by = make_device_codec(fresh_engine(), tiny);
    begin = lockstep().call_count;
    migrate(*by, true, page_count);
    end = lockstep().call_count;
  }
  REQUIRE(end > begin + 40);
  auto gave_up = std::size_t{0};
  for (auto at = begin + 1; at <= end; ++at) {
    CAPTURE(at);
    const auto by = make_device_codec(fresh_engine(), tiny);
    lockstep().fails_at = at;
    migrate(*by, true, page_count);
    gave_up += by->name().starts_with("cpu ");
    lockstep().fails_at = 0;
  }
  CHECK(gave_up == end - begin);
  CHECK(lockstep().held_count == 0);
}

SCENARIO("a device that cannot even be opened says so") {
  const auto whole = fresh_engine();
  const auto calls = lockstep().call_count;
  for (auto at = std::size_t{1}; at <= calls; ++at) {
    lockstep() = {.fails_at = at};
    CHECK_THROWS_AS(std::make_shared<engine>(lockstep_calls(), nullptr), device_fault);
    CHECK(lockstep().held_count == 0);
  }
}

SCENARIO("what failed on the device is not remembered as sent") {
  // The guest writes between the device's look at the page and the processor's.
  auto memory = sample_content(64, 3);
  auto tasks = std::vector<page_task>{};
  for (auto i = std::size_t{0}; i < 64; ++i)
    tasks.push_back({.number = i, .now = memory.data() + i * page_size});
  struct directory final : page_directory {
    page_index known{1000};
    std::vector<std::byte>* memory = nullptr;
    std::size_t asked = 0;
    std::optional<std::uint64_t> find_or_add(const page_hash& hash, std::uint64_t number) override {
      if (++asked == 32) {
        lockstep().fails_at = lockstep().call_count + 1;
        sample_write(std::span{*memory}.first(page_size), 5);
      }
      return known.find_or_add(hash, number);
    }
    void forget(const page_hash& hash, std::uint64_t number) override { known.forget(hash, number); }
  } asked;
  asked.memory = &memory;
  const auto before = page_bytes(memory.begin(), memory.begin() + page_size);
  const auto by = make_device_codec(fresh_engine(), small);
  auto x = parcel{};
  by->pack(tasks, {}, asked, x);
  CHECK(by->name().starts_with("cpu "));
  CHECK_FALSE(asked.known.find_or_add(hash(before.data(), hash_key{}), 99));
  CHECK(asked.known.find_or_add(hash(memory.data(), hash_key{}), 99) == 0);
}

SCENARIO("memory attached by several is detached when the last has done so") {
  const auto by = fresh_engine();
  const auto held = lockstep().held_count;
  auto memory = bytes(64 * page_size);
  REQUIRE(by->attach(memory));
  REQUIRE(by->attach(memory));
  CHECK_FALSE(by->attach(std::span{memory}.first(page_size)));
  by->detach(memory.data());
  CHECK(lockstep().held_count == held + 1);
  by->detach(memory.data());
  CHECK(lockstep().held_count == held);
  by->detach(memory.data());
  CHECK(lockstep().held_count == held);
}

SCENARIO("the bench of a device measures everything it names") {
  const auto figures =
      bench_device(fresh_engine(), {.rounds = 1, .page_count = 128, .codec = {.batch_pages = 32, .line_count = 2}});
  for (const auto& x : figures)
    CHECK_MESSAGE(x.value > 0, x.name);
}

SCENARIO("codecs on one device share its memory") {
  const auto by = fresh_engine();
  migrate(*make_device_codec(by, small), false);
  const auto held = lockstep().held_count;
  for (auto i = 0; i < 3; ++i)
    migrate(*make_device_codec(by, small), false);
  CHECK(lockstep().held_count == held);
  const auto frugal = std::make_shared<engine>(lockstep_calls(), nullptr, engine_options{.stock_max = 0});
  const auto held_before = lockstep().held_count;
  migrate(*make_device_codec(frugal, small), false);
  CHECK(lockstep().held_count == held_before);
}
