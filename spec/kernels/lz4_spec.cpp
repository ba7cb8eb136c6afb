#include "kernels/lz4.hpp"
#include "spec/kernels/blocks.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>

using namespace novacron;
using namespace novacron::kernels;
using namespace novacron::spec;

namespace {

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

} // namespace

SCENARIO("a block decodes to what was encoded, by us and by liblz4") {
  for (const auto& in : block_contents()) {
    CAPTURE(in.size());
    const auto block = encode(in);
    CHECK(block.size() <= lz4_bound(in.size()));
    CHECK(decode(block, in.size()) == in);
    CHECK(decode(block, in.size() + 100) == in);
    CHECK(decode_by_liblz4(block, in.size()) == in);
  }
}

SCENARIO("what liblz4 encodes we decode") {
  for (const auto& in : block_contents())
    for (const auto acceleration : {1, 20}) {
      const auto block = encode_by_liblz4(in, acceleration);
      CHECK(decode(block, in.size()) == in);
      CHECK(decode(block, lz4_block_max) == in);
    }
}

SCENARIO("a block that wants more room than there is, or ends early, is refused") {
  for (const auto& in : block_contents()) {
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
  for (const auto& in : block_contents()) {
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
