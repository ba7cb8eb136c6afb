// Whether the kernels do the same on a device as on the processor: made memory, in passes, to a target and back. Prints
// JSON; ends with 0 if everything holds. Without a device, a loop on the processor plays one.
//   kernels_check [SEEDS] [PAGES]

#include "kernels/delta.hpp"
#include "kernels/device/device_codec.hpp"
#include "kernels/device/lockstep.hpp"
#include "kernels/page_index.hpp"
#include "kernels/sample.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

namespace {

using namespace novacron::kernels;

struct counts {
  unsigned long long pages = 0;
  unsigned long long blocks = 0;
  unsigned long long other_decisions = 0;
  unsigned long long bad_pages = 0;
  unsigned long long bent_blocks = 0;
  unsigned long long other_verdicts = 0;

  bool good() const { return other_decisions + bad_pages + other_verdicts == 0; }
};

/// A guest, its source's copy, and its target.
struct side {
  side(std::size_t page_count, std::uint64_t seed)
      : memory{sample_memory(page_count, seed)}, sent(memory.size()), target(memory.size()), index{page_count} {}

  std::vector<page_task> tasks(bool again) {
    auto all = std::vector<page_task>{};
    for (auto at = std::size_t{0}; at < memory.size(); at += page_size)
      all.push_back({at / page_size, memory.data() + at, sent.data() + at, again});
    return all;
  }

  std::vector<std::byte> memory;
  std::vector<std::byte> sent;
  std::vector<std::byte> target;
  page_index index;
  parcel made;
};

bool arrive(const parcel& x, codec& by, std::vector<std::byte>& target) {
  const auto place = [&](std::uint64_t number) { return target.data() + number * page_size; };
  auto places = std::vector<std::byte*>{};
  for (const auto& page : x.pages)
    if (page.action == page_action::block)
      places.push_back(place(page.number));
  auto blocks = std::vector<block_task>{};
  auto used = std::size_t{0};
  for (const auto& block : x.blocks) {
    blocks.push_back({x.part(block.begin, block.size), block.raw, std::span{places}.subspan(used, block.page_count)});
    used += block.page_count;
  }
  if (by.unpack(blocks) != blocks.size())
    return false;
  for (const auto& page : x.pages)
    if (page.action == page_action::fill)
      std::memset(place(page.number), page.fill, page_size);
    else if (page.action == page_action::reference)
      std::memcpy(place(page.number), place(page.reference), page_size);
    else if (page.action == page_action::delta && !delta_apply(x.part(page.begin, page.size), place(page.number)))
      return false;
  return true;
}

unsigned long long pages_apart(const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  auto count = 0ull;
  for (auto at = std::size_t{0}; at < a.size(); at += page_size)
    count += std::memcmp(a.data() + at, b.data() + at, page_size) != 0;
  return count;
}

/// Blocks with bytes changed or missing: both must say the same about each, and never write elsewhere.
void bend(codec& by, codec& twin, const parcel& x, std::uint64_t seed, counts& found) {
  auto dice = std::mt19937_64{seed};
  auto one = std::vector<std::byte>(lz4_block_max);
  auto other = one;
  for (const auto& block : x.blocks) {
    const auto part = x.part(block.begin, block.size);
    auto bent = std::vector<std::byte>(part.begin(), part.end());
    for (auto i = dice() % 3; i > 0; --i)
      bent[dice() % bent.size()] = static_cast<std::byte>(dice());
    if (dice() % 4 == 0)
      bent.resize(dice() % bent.size() + 1);
    const auto verdict = [&](codec& who, std::vector<std::byte>& room) {
      auto places = std::vector<std::byte*>{};
      for (auto i = std::size_t{0}; i < block.page_count; ++i)
        places.push_back(room.data() + i * page_size);
      const auto task = block_task{bent, block.raw, places};
      return who.unpack({&task, 1}) == 1;
    };
    const auto good = verdict(by, one);
    ++found.bent_blocks;
    found.other_verdicts +=
        good != verdict(twin, other) ||
        (good && !std::equal(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(block.page_count * page_size),
                             other.begin()));
  }
}

void check(codec& by, std::size_t page_count, std::uint64_t seed, bool attached, counts& found) {
  const auto twin = make_cpu_codec();
  auto ours = side{page_count, seed};
  auto want = side{page_count, seed};
  for (auto* const made : {&ours.made, &want.made})
    make_room(*made, page_count);
  const auto reached = {&ours.memory, &ours.sent, &ours.target, &ours.made.bytes, &want.made.bytes};
  if (attached)
    for (auto* const memory : reached)
      by.attach(*memory);
  for (auto pass = 0u; pass < 3; ++pass) {
    by.pack(ours.tasks(pass > 0), {.hash_seed = seed}, ours.index, ours.made);
    twin->pack(want.tasks(pass > 0), {.hash_seed = seed}, want.index, want.made);
    for (auto i = std::size_t{0}; i < page_count; ++i) {
      auto page = ours.made.pages[i];
      page.begin = want.made.pages[i].begin;
      found.other_decisions += page != want.made.pages[i];
    }
    found.pages += page_count;
    found.blocks += ours.made.blocks.size();
    // The processor's parcel on the device, the device's on the processor.
    if (!arrive(ours.made, *twin, want.target) || !arrive(want.made, by, ours.target))
      ++found.bad_pages;
    found.bad_pages += pages_apart(want.target, want.memory) + pages_apart(ours.target, ours.memory) +
                       pages_apart(ours.sent, ours.memory);
    bend(by, *twin, ours.made, seed + pass, found);
    for (auto at = std::size_t{0}; at < ours.memory.size(); at += 3 * page_size)
      for (auto* const memory : {&ours.memory, &want.memory})
        sample_write(std::span{*memory}.subspan(at, page_size), seed + pass + at);
    ours.index.clear();
    want.index.clear();
  }
  if (attached)
    for (auto* const memory : reached)
      by.detach(*memory);
}

} // namespace

int main(int count, char** arguments) {
  const auto seeds = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 2;
  const auto page_count = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 300;
  auto why = std::string{};
  auto by = device::find_engine(why);
  const auto real = by != nullptr;
  if (!real)
    by = std::make_shared<device::engine>(device::lockstep_calls(), nullptr);
  auto found = counts{};
  auto name = std::string{};
  for (auto seed = 1ull; seed <= seeds; ++seed)
    for (const auto attached : {true, false}) {
      // Small orders for small memory, so that several are under way.
      const auto codec = device::make_device_codec(
          by, {.batch_pages = std::clamp<std::size_t>(page_count / 10 / 16 * 16, 16, 8192), .line_count = 4});
      check(*codec, page_count, seed, attached, found);
      name = codec->name();
    }
  const auto stayed = name.starts_with("cuda ");
  std::printf(R"({"program": "kernels_check", "device": %s%s%s, "codec": "%s", "without_device": "%s", "seeds": %llu, )"
              R"("pages": %llu, "blocks": %llu, "other_decisions": %llu, "bad_pages": %llu, "bent_blocks": %llu, )"
              R"("other_verdicts": %llu, "good": %s})"
              "\n",
              real ? "\"" : "", real ? by->name().c_str() : "null", real ? "\"" : "", name.c_str(), why.c_str(), seeds,
              found.pages, found.blocks, found.other_decisions, found.bad_pages, found.bent_blocks,
              found.other_verdicts, found.good() && stayed ? "true" : "false");
  return found.good() && stayed ? 0 : 1;
}
