#include "actors/migration/greeting.hpp"

#include <algorithm>

namespace novacron::migration {

using kernels::load;
using kernels::store;

std::array<std::byte, hello_size> write(const hello& x) {
  auto out = std::array<std::byte, hello_size>{};
  std::ranges::copy(x.token, out.begin());
  store(out.data() + 16, x.page_count);
  store(out.data() + 24, x.hash_seed);
  store(out.data() + 32, static_cast<std::uint32_t>(kernels::page_size));
  store(out.data() + 36, x.stream_count);
  return out;
}

std::optional<hello> read_hello(std::span<const std::byte> payload) {
  if (payload.size() != hello_size)
    return {};
  const auto* const from = payload.data();
  auto x = hello{.page_count = load<std::uint64_t>(from + 16),
                 .hash_seed = load<std::uint64_t>(from + 24),
                 .stream_count = load<std::uint16_t>(from + 36)};
  std::ranges::copy(payload.first(16), x.token.begin());
  const auto good = load<std::uint32_t>(from + 32) == kernels::page_size && load<std::uint16_t>(from + 38) == 0 &&
                    x.stream_count > 0 && x.stream_count <= stream_count_max && x.page_count <= std::uint64_t{1} << 48;
  return good ? std::optional{x} : std::nullopt;
}

std::array<std::byte, barrier_size> write(const barrier& x) {
  auto out = std::array<std::byte, barrier_size>{};
  store(out.data(), x.pass);
  store(out.data() + 4, std::uint32_t{x.last});
  return out;
}

std::optional<barrier> read_barrier(std::span<const std::byte> payload) {
  if (payload.size() != barrier_size || load<std::uint32_t>(payload.data() + 4) > 1)
    return {};
  return barrier{.pass = load<std::uint32_t>(payload.data()), .last = load<std::uint32_t>(payload.data() + 4) == 1};
}

} // namespace novacron::migration
