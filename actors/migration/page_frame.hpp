#pragma once

/// What a frame of pages says: which pages become what, and the blocks that hold their content.

#include "kernels/codec.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace novacron::migration {

enum class page_operation : std::uint8_t { zero, fill, same, reference, delta, block };
enum class block_coding : std::uint8_t { raw, lz4, zstd };

/// Each range of so many pages has one stream that alone speaks of its pages: what a delta or a reference builds on has
/// arrived by the same stream before. Chosen: 2 MiB, a huge page.
inline constexpr auto range_pages = std::uint64_t{512};

/// 256 KiB: beyond it zstd gains nothing on measured guests.
inline constexpr auto block_pages_max = std::uint32_t{64};
inline constexpr auto run_max = std::uint32_t{256};

/// What a stream may speak of.
struct page_scope {
  std::uint64_t page_count = 0;
  std::uint16_t stream = 0;
  std::uint16_t stream_count = 1;

  bool holds(std::uint64_t page) const { return page < page_count && page / range_pages % stream_count == stream; }
};

struct page_record {
  page_operation operation = page_operation::zero;
  std::uint64_t number = 0;
  /// This page and those behind it; 1 for references and deltas.
  std::uint32_t count = 1;
  std::uint8_t fill = 0;
  std::uint64_t reference = 0;
  std::span<const std::byte> delta;
};

struct block_record {
  block_coding coding = block_coding::raw;
  std::uint32_t page_count = 0;
  std::span<const std::byte> bytes;
};

struct page_frame {
  std::vector<page_record> pages;
  std::vector<block_record> blocks;
};

/// False when the payload is not exactly `count` records and the blocks of their pages, or speaks of pages that are not
/// the stream's; then `into` holds anything. Refers to the payload. What is inside a delta or a block is not looked at.
bool read_pages(std::span<const std::byte> payload, std::uint32_t count, const page_scope& scope, page_frame& into);

/// Appends a payload that says what the parcel says, with pages in a row put together; returns how many records it has.
std::uint32_t write_pages(const kernels::parcel& x, std::vector<std::byte>& out);

/// The two halves of that.
std::uint32_t write_records(const kernels::parcel& x, std::vector<std::byte>& out);
void write_blocks(const kernels::parcel& x, std::vector<std::byte>& out);

/// Appends the head of a block; its bytes come behind it.
void write_block_head(block_coding coding, std::uint32_t page_count, std::uint32_t size, std::vector<std::byte>& out);
inline constexpr auto block_head = std::size_t{8};

} // namespace novacron::migration
