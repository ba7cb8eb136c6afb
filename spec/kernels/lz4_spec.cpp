#include "kernels/lz4.hpp"
#include "spec/kernels/pages.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <lz4.h>
#include <memory>

using namespace novacron;
using namespace novacron::kernels;
using namespace novacron::spec;

namespace {

using bytes = std::vector<std::byte>;

/// On the heap and of the exact size, so that sanitizers see every byte too many.
bytes encode(const bytes& in) {
  const auto table = std::make_unique<lz4_table>();
  auto out = bytes(lz4_bound(in.size()));
  out.resize(lz4_encode(in, out, *table));
  return out;
}

std::optional<bytes> decode(const bytes& block, std::size_t room) {
  auto out = bytes(room);
  const auto size = lz4_decode(block, out);
  if (!size)
    return {};
  out.resize(*size);
  return out;
}

std::optional<bytes> decode_by_liblz4(const bytes& block, std::size_t room) {
  auto out = bytes(room + 1);
  const auto size =
      LZ4_decompress_safe(reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(out.data()),
                          static_cast<int>(block.size()), static_cast<int>(room));
  if (size < 0)
    return {};
  out.resize(static_cast<std::size_t>(size));
  return out;
}

bytes encode_by_liblz4(const bytes& in, int acceleration) {
  auto out = bytes(lz4_bound(in.size()));
  out.resize(static_cast<std::size_t>(
      LZ4_compress_fast(reinterpret_cast<const char*>(in.data()), reinterpret_cast<char*>(out.data()),
                        static_cast<int>(in.size()), static_cast<int>(out.size()), acceleration)));
  return out;
}

/// Runs of random length out of few different bytes, words and earlier parts: every length and distance comes up.
bytes woven(std::size_t size, std::uint64_t seed) {
  auto dice = std::mt19937_64{seed};
  auto out = bytes{};
  while (out.size() < size) {
    const auto length = std::size_t{1} + dice() % (dice() % 8 == 0 ? 700 : 24);
    const auto kind = dice() % 4;
    const auto back = out.empty() ? 0 : 1 + dice() % std::min<std::size_t>(out.size(), dice() % 2 == 0 ? 20 : 65535);
    for (auto i = std::size_t{0}; i < length; ++i)
      out.push_back(kind == 0 || out.size() < back || back == 0 ? static_cast<std::byte>(dice() % 4 * 60)
                    : kind == 1                                 ? static_cast<std::byte>(dice())
                                                                : out[out.size() - back]);
  }
  out.resize(size);
  return out;
}

std::vector<bytes> inputs() {
  auto all = std::vector<bytes>{};
  for (auto size = std::size_t{0}; size <= 80; ++size) {
    all.push_back(woven(size, size));
    all.push_back(bytes(size, std::byte{3}));
  }
  for (auto seed = 0u; seed < 60; ++seed)
    all.push_back(woven(100 + seed * 1091 % (lz4_block_max - 100), seed));
  for (const auto size : {4096u, 65535u, 65536u}) {
    all.push_back(woven(size, size));
    all.push_back(bytes(size));
    all.push_back(random_bytes(size, size));
  }
  const auto guest = sample_content(256, 9);
  for (auto at = std::size_t{0}; at < guest.size(); at += lz4_block_max)
    all.emplace_back(guest.begin() + static_cast<std::ptrdiff_t>(at),
                     guest.begin() + static_cast<std::ptrdiff_t>(at + lz4_block_max));
  return all;
}

} // namespace

SCENARIO("a block decodes to what was encoded, by us and by liblz4") {
  for (const auto& in : inputs()) {
    CAPTURE(in.size());
    const auto block = encode(in);
    CHECK(block.size() <= lz4_bound(in.size()));
    CHECK(decode(block, in.size()) == in);
    CHECK(decode(block, in.size() + 100) == in);
    CHECK(decode_by_liblz4(block, in.size()) == in);
  }
}

SCENARIO("what liblz4 encodes we decode") {
  for (const auto& in : inputs())
    for (const auto acceleration : {1, 20}) {
      const auto block = encode_by_liblz4(in, acceleration);
      CHECK(decode(block, in.size()) == in);
      CHECK(decode(block, lz4_block_max) == in);
    }
}

SCENARIO("a block that wants more room than there is, or ends early, is refused") {
  for (const auto& in : inputs()) {
    if (in.empty())
      continue;
    const auto block = encode(in);
    CHECK_FALSE(decode(block, in.size() - 1));
    CHECK_FALSE(decode(block, 0));
    for (auto size = std::size_t{0}; size < block.size(); size += 1 + size / 20)
      CHECK(decode({block.begin(), block.begin() + static_cast<std::ptrdiff_t>(size)}, in.size()) != in);
  }
  CHECK_FALSE(decode({}, 10));
  CHECK(decode({std::byte{0}}, 10) == bytes{});
}

SCENARIO("a bent block is refused, or decodes to something within its room") {
  auto dice = std::mt19937_64{11};
  for (const auto& in : inputs()) {
    auto block = encode(in);
    for (auto i = 0; i < 40; ++i) {
      const auto at = dice() % block.size();
      const auto before = block[at];
      block[at] ^= static_cast<std::byte>(1u << dice() % 8);
      const auto ours = decode(block, in.size());
      CHECK((!ours || ours->size() <= in.size()));
      block[at] = before;
    }
  }
  for (auto seed = 0u; seed < 3000; ++seed) {
    const auto ours = decode(random_bytes(1 + seed % 300, seed), 500);
    CHECK((!ours || ours->size() <= 500));
  }
}

SCENARIO("a match that reaches before the block, or nowhere, is refused") {
  const auto block = [](int distance) {
    auto x = bytes{std::byte{0x40}, std::byte{'a'}, std::byte{'b'}, std::byte{'c'}, std::byte{'d'}};
    x.push_back(static_cast<std::byte>(distance & 255));
    x.push_back(static_cast<std::byte>(distance >> 8));
    x.push_back(std::byte{0x50});
    x.insert(x.end(), 5, std::byte{'e'});
    return x;
  };
  CHECK(decode(block(4), 64)->size() == 13);
  CHECK_FALSE(decode(block(0), 64));
  CHECK_FALSE(decode(block(5), 64));
  CHECK_FALSE(decode(block(65535), 64));
  // And where the fast way of many bytes at once is open.
  auto longer = block(5);
  longer.insert(longer.end(), 40, std::byte{0x10});
  CHECK_FALSE(decode(longer, 1000));
}

SCENARIO("pages of a guest shrink as much as with liblz4") {
  const auto guest = sample_content(1024, 4);
  auto ours = std::size_t{0};
  auto theirs = std::size_t{0};
  for (auto at = std::size_t{0}; at < guest.size(); at += lz4_block_max) {
    const auto in = bytes(guest.begin() + static_cast<std::ptrdiff_t>(at),
                          guest.begin() + static_cast<std::ptrdiff_t>(at + lz4_block_max));
    ours += encode(in).size();
    theirs += encode_by_liblz4(in, 1).size();
  }
  CHECK(static_cast<double>(theirs) / static_cast<double>(ours) >= 0.97);
}
