// What comes over the wire as a compressed block, a delta or a raw block: decoded, it never leaves its room, and what
// an encoder makes of any bytes comes back.

#include "kernels/codec.hpp"
#include "kernels/delta.hpp"
#include "kernels/device/lz4.hpp"
#include "kernels/lz4.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

using namespace novacron::kernels;

void must(bool holds) {
  if (!holds)
    std::abort();
}

/// Blocks of the exact size on the heap: the sanitizer sees each byte beyond.
void decode(std::span<const std::byte> block, std::size_t room) {
  auto out = std::vector<std::byte>(room);
  const auto size = lz4_decode(block, out);
  must(!size || *size <= room);
  // The device says the same, lane by lane.
  auto other = std::vector<std::byte>(room);
  const auto good = device::decode(device::warp{}, block.data(), static_cast<std::uint32_t>(block.size()), other.data(),
                                   static_cast<std::uint32_t>(room));
  must(good == (size == room));
  must(!good || other == out);
}

void there_and_back(std::span<const std::byte> in) {
  static auto table = lz4_table{};
  auto block = std::vector<std::byte>(lz4_bound(in.size()));
  block.resize(lz4_encode(in, block, table));
  auto out = std::vector<std::byte>(in.size());
  must(lz4_decode(block, out) == in.size());
  must(out == std::vector<std::byte>(in.begin(), in.end()));
}

void apply(std::span<const std::byte> delta) {
  auto page = std::vector<std::byte>(page_size, std::byte{7});
  const auto before = page;
  if (!delta_apply(delta, page.data()))
    must(page == before);
}

void unpack(std::span<const std::byte> bytes, std::size_t page_count) {
  static const auto by = make_codec();
  auto memory = std::vector<std::byte>(page_count * page_size);
  auto pages = std::vector<std::byte*>{};
  for (auto i = page_count; i > 0; --i)
    pages.push_back(memory.data() + (i - 1) * page_size);
  const auto block = block_task{.bytes = bytes, .raw = page_count % 2 == 0, .pages = pages};
  must(by->unpack({&block, 1}) <= 1);
}

} // namespace

/// The first two bytes choose the room; the rest is what came.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > lz4_block_max)
    return 0;
  const auto bytes = std::vector<std::byte>(reinterpret_cast<const std::byte*>(data + 2),
                                            reinterpret_cast<const std::byte*>(data + size));
  decode(bytes, data[0] * 256u + data[1]);
  decode(bytes, data[1]);
  there_and_back(bytes);
  apply(bytes);
  unpack(bytes, data[0] % 18u);
  return 0;
}
