// What comes over a stream of a migration: frames, and what they say of pages. Read, it never leaves its bytes or the
// stream's pages.

#include "actors/migration/frame.hpp"
#include "actors/migration/greeting.hpp"
#include "actors/migration/page_frame.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

using namespace novacron::migration;

void must(bool holds) {
  if (!holds)
    std::abort();
}

void read(std::span<const std::byte> payload, std::uint32_t count) {
  static auto found = page_frame{};
  const auto scope = page_scope{.page_count = 5000, .stream = 1, .stream_count = 3};
  if (!read_pages(payload, count, scope, found))
    return;
  auto pages = std::uint64_t{0};
  for (const auto& x : found.pages) {
    must(x.count >= 1 && x.count <= run_max);
    for (auto i = std::uint32_t{0}; i < x.count; ++i)
      must(scope.holds(x.number + i));
    must(x.operation != page_operation::reference || scope.holds(x.reference));
    pages += x.operation == page_operation::block ? x.count : 0;
  }
  for (const auto& x : found.blocks)
    pages -= x.page_count;
  must(pages == 0);
}

} // namespace

/// The frames as they came; then the same bytes as the payload of one, sealed, of as many records as the first byte
/// says.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 1 << 16)
    return 0;
  const auto bytes =
      std::vector<std::byte>(reinterpret_cast<const std::byte*>(data), reinterpret_cast<const std::byte*>(data + size));
  auto reader = frame_reader{1};
  auto x = frame{};
  for (auto rest = std::span{bytes}; reader.next(rest, x) == frame_fault::none;) {
    read(x.payload, x.count);
    rest = rest.subspan(frame_reader::size_of(x));
  }
  read(std::span{bytes}.subspan(1), data[0]);
  if (const auto hi = read_hello(bytes))
    must(read_hello(write(*hi)) == hi);
  if (const auto line = read_barrier(bytes))
    must(read_barrier(write(*line)) == line);
  return 0;
}
