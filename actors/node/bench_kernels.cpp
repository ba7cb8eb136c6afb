#include "actors/node/bench_kernels.hpp"

#include "kernels/bench.hpp"
#include "kernels/device/bench.hpp"
#include "kernels/page.hpp"

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <lz4.h>
#include <memory>
#include <stdexcept>
#include <utility>
#include <zstd.h>

namespace novacron::node {
namespace {

using bytes = std::span<const std::byte>;
using room = std::span<std::byte>;

const char* chars(bytes x) {
  return reinterpret_cast<const char*>(x.data());
}
char* chars(room x) {
  return reinterpret_cast<char*>(x.data());
}

/// As fast as it goes by default, its state kept from block to block.
kernels::bench_peer liblz4() {
  const auto state = std::make_shared<std::vector<std::uint64_t>>(static_cast<std::size_t>(LZ4_sizeofState()) / 8 + 1);
  return {.name = "liblz4",
          .title = std::string{"liblz4 "} + LZ4_versionString(),
          .encode =
              [state](bytes in, room out) {
                return static_cast<std::size_t>(LZ4_compress_fast_extState(state->data(), chars(in), chars(out),
                                                                           static_cast<int>(in.size()),
                                                                           static_cast<int>(out.size()), 1));
              },
          .decode =
              [](bytes in, room out) {
                const auto size = LZ4_decompress_safe(chars(in), chars(out), static_cast<int>(in.size()),
                                                      static_cast<int>(out.size()));
                return static_cast<std::size_t>(std::max(size, 0));
              }};
}

kernels::bench_peer libzstd() {
  const auto encoder = std::shared_ptr<ZSTD_CCtx>{ZSTD_createCCtx(), ZSTD_freeCCtx};
  const auto decoder = std::shared_ptr<ZSTD_DCtx>{ZSTD_createDCtx(), ZSTD_freeDCtx};
  const auto good = [](std::size_t size) { return ZSTD_isError(size) != 0 ? std::size_t{0} : size; };
  return {.name = "zstd1",
          .title = std::string{"libzstd "} + ZSTD_versionString(),
          .encode =
              [=](bytes in, room out) {
                return good(ZSTD_compressCCtx(encoder.get(), out.data(), out.size(), in.data(), in.size(), 1));
              },
          .decode =
              [=](bytes in, room out) {
                return good(ZSTD_decompressDCtx(decoder.get(), out.data(), out.size(), in.data(), in.size()));
              }};
}

std::vector<std::byte> read_memory(const std::string& path) {
  constexpr auto size_max = std::size_t{256} << 20;
  auto in = std::ifstream{path, std::ios::binary};
  auto memory = std::vector<std::byte>(size_max);
  in.read(reinterpret_cast<char*>(memory.data()), static_cast<std::streamsize>(memory.size()));
  memory.resize(static_cast<std::size_t>(in.gcount()) / kernels::page_size * kernels::page_size);
  if (memory.empty())
    throw std::runtime_error{"no memory could be read from " + path};
  return memory;
}

} // namespace

std::vector<host::figure> bench_kernels(const bench_kernels_options& options) {
  auto asked = kernels::bench_options{.rounds = options.rounds, .seed = options.seed};
  if (!options.memory_file.empty())
    asked.memory = read_memory(options.memory_file);
  const auto peers = std::vector{liblz4(), libzstd()};
  auto measured = kernels::bench_cpu(std::move(asked), peers);
  auto why = std::string{};
  if (const auto device = kernels::device::find_engine(why))
    for (auto& x : kernels::device::bench_device(device, {.rounds = options.rounds, .seed = options.seed}))
      measured.push_back(std::move(x));
  auto found = std::vector<host::figure>{};
  for (const auto& x : measured)
    found.push_back(x.peer.empty() ? host::figure{x.name, x.value, x.unit}
                                   : host::beside(x.name, x.value, x.unit, x.peer, x.peer_value));
  return found;
}

} // namespace novacron::node
