#include "actors/migration/block_coder.hpp"

#include "kernels/lz4.hpp"
#include "kernels/page.hpp"

#include <zstd.h>

#include <new>

namespace novacron::migration {

struct block_encoder::context {
  ZSTD_CCtx* zstd = ZSTD_createCCtx();
  ~context() { ZSTD_freeCCtx(zstd); }
};

struct block_decoder::context {
  ZSTD_DCtx* zstd = ZSTD_createDCtx();
  ~context() { ZSTD_freeDCtx(zstd); }
};

block_encoder::block_encoder() : context_{std::make_unique<context>()} {
  if (context_->zstd == nullptr)
    throw std::bad_alloc{};
}

block_encoder::~block_encoder() = default;

std::size_t block_encoder::encode(std::span<const std::byte> pages, int level, std::vector<std::byte>& out) {
  const auto begin = out.size();
  const auto bound = ZSTD_compressBound(pages.size());
  out.resize(begin + bound);
  const auto size = ZSTD_compressCCtx(context_->zstd, out.data() + begin, bound, pages.data(), pages.size(), level);
  const auto shrunk = ZSTD_isError(size) == 0 && size < pages.size();
  out.resize(begin + (shrunk ? size : 0));
  return shrunk ? size : 0;
}

namespace {

/// One block of these pages, as zstd or, if that does not shrink them, as they are.
void write_block(std::span<const std::byte> pages, int level, block_encoder& encoder, std::vector<std::byte>& out) {
  const auto page_count = static_cast<std::uint32_t>(pages.size() / kernels::page_size);
  const auto head_at = out.size();
  write_block_head(block_coding::zstd, page_count, 0, out);
  if (const auto size = encoder.encode(pages, level, out); size > 0) {
    kernels::store(out.data() + head_at + 4, static_cast<std::uint32_t>(size));
    return;
  }
  out.resize(head_at);
  write_block_head(block_coding::raw, page_count, static_cast<std::uint32_t>(pages.size()), out);
  out.insert(out.end(), pages.begin(), pages.end());
}

} // namespace

void write_zstd_blocks(const kernels::parcel& x, int level, block_encoder& encoder, std::vector<std::byte>& room,
                       std::vector<std::byte>& out) {
  room.clear();
  for (const auto& block : x.blocks) {
    const auto part = x.part(block.begin, block.size);
    if (room.size() + part.size() > block_pages_max * kernels::page_size) {
      write_block(room, level, encoder, out);
      room.clear();
    }
    room.insert(room.end(), part.begin(), part.end());
  }
  if (!room.empty())
    write_block(room, level, encoder, out);
}

block_decoder::block_decoder() : context_{std::make_unique<context>()}, room_(block_pages_max * kernels::page_size) {
  if (context_->zstd == nullptr)
    throw std::bad_alloc{};
}

block_decoder::~block_decoder() = default;

std::span<const std::byte> block_decoder::decode(const block_record& x) {
  const auto whole = std::size_t{x.page_count} * kernels::page_size;
  if (x.page_count == 0 || x.page_count > block_pages_max)
    return {};
  switch (x.coding) {
    case block_coding::raw: return x.bytes.size() == whole ? x.bytes : std::span<const std::byte>{};
    case block_coding::lz4:
      if (whole > kernels::lz4_block_max || kernels::lz4_decode(x.bytes, std::span{room_}.first(whole)) != whole)
        return {};
      return std::span{room_}.first(whole);
    case block_coding::zstd: {
      // One frame and nothing behind it, which the library would take for a second one.
      if (ZSTD_findFrameCompressedSize(x.bytes.data(), x.bytes.size()) != x.bytes.size())
        return {};
      const auto size = ZSTD_decompressDCtx(context_->zstd, room_.data(), whole, x.bytes.data(), x.bytes.size());
      if (ZSTD_isError(size) != 0 || size != whole)
        return {};
      return std::span{room_}.first(whole);
    }
  }
  return {};
}

} // namespace novacron::migration
