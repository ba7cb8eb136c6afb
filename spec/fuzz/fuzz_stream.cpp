// A stream of a migration as the target applies it: whatever its frames say, only pages of the stream are written, and
// what is wrong is an error in words.

#include "actors/migration/channel.hpp"
#include "actors/migration/page_receiver.hpp"
#include "kernels/page.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

using namespace novacron::migration;

constexpr auto scope = page_scope{.page_count = 1600, .stream = 1, .stream_count = 3};

class fuzzed_guest final : public target_guest {
public:
  std::span<std::byte> memory() const override { return memory_; }
  void clear() override {}
  void load(std::span<const std::byte>) override {}
  void run() override {}
  void discard() noexcept override {}

private:
  mutable std::vector<std::byte> memory_ = std::vector<std::byte>(scope.page_count * novacron::kernels::page_size);
};

/// The pages of the other streams: all but the second range.
void must_be_untouched(std::span<const std::byte> memory) {
  const auto begin = range_pages * novacron::kernels::page_size;
  const auto zero = [](auto x) { return x == std::byte{}; };
  if (!std::ranges::all_of(memory.first(begin).last(4096), zero) ||
      !std::ranges::all_of(memory.subspan(2 * begin, 4096), zero) || !std::ranges::all_of(memory.last(4096), zero))
    std::abort();
}

} // namespace

/// Frames one after another: kind, count and size (16 bits) of each, and its payload.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 1 << 16)
    return 0;
  static auto guest = fuzzed_guest{};
  const auto bytes = std::as_bytes(std::span{data, size});
  auto receiver = page_receiver{guest, scope};
  try {
    for (auto rest = bytes; rest.size() >= 4;) {
      const auto whole = std::size_t{novacron::kernels::load<std::uint16_t>(rest.data() + 2)};
      const auto kind = static_cast<frame_kind>(rest[0]);
      const auto count = std::to_integer<std::uint32_t>(rest[1]);
      rest = rest.subspan(4);
      const auto payload = rest.first(std::min(whole, rest.size()));
      rest = rest.subspan(payload.size());
      receiver.apply({.kind = kind, .count = count, .payload = payload});
    }
  } catch (const migration_error&) {
    // The stream is of no use any more; what it did before stays within its pages.
  }
  must_be_untouched(guest.memory());
  if (receiver.state().size() > state_bytes_max)
    std::abort();
  return 0;
}
