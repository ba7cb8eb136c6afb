#pragma once

/// Turns pages into what has to be sent of them, and back: on a CUDA device where there is one, otherwise on the
/// processor.

#include "kernels/delta.hpp"
#include "kernels/lz4.hpp"
#include "kernels/page.hpp"
#include "kernels/scan.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace novacron::kernels {

/// Pages of content are compressed sixteen at a time.
inline constexpr auto block_pages = lz4_block_max / page_size;

/// How many pages go into one parcel: its places are counted in 32 bits.
inline constexpr auto pack_pages_max = std::size_t{65536};

/// A page that may have to be sent.
struct page_task {
  /// The caller's name for it.
  std::uint64_t number = 0;
  /// Where it is. A guest may write to it meanwhile: it is read once, and all that is said holds for what was read.
  const std::byte* now = nullptr;
  /// Where the caller keeps what the target has of this page; nullptr if nowhere. Brought up to date.
  std::byte* sent = nullptr;
  /// Whether `sent` holds anything yet.
  bool sent_before = false;
};

enum class page_action : std::uint8_t {
  /// Every byte is `fill`.
  fill,
  /// The target has it already.
  same,
  /// Equal to the page `reference`.
  reference,
  /// `size` bytes at `begin` are a delta to what the target has.
  delta,
  /// The next page of the next block.
  block,
};

struct page_result {
  std::uint64_t number = 0;
  page_action action = page_action::fill;
  std::uint8_t fill = 0;
  std::uint32_t begin = 0;
  std::uint32_t size = 0;
  std::uint64_t reference = 0;
  /// Of `reference` and `block`; otherwise zero.
  page_hash hash;
  bool operator==(const page_result&) const = default;
};

struct page_block {
  std::uint32_t begin = 0;
  std::uint32_t size = 0;
  std::uint32_t page_count = 0;
  /// The pages as they are; otherwise an LZ4 block.
  bool raw = false;
};

/// What has to be sent of a batch, in the order of its tasks. Kept and used again, it asks for no memory.
struct parcel {
  std::vector<page_result> pages;
  std::vector<page_block> blocks;
  /// Deltas and blocks, perhaps with gaps between them; nothing lies behind the first `byte_count`.
  std::vector<std::byte> bytes;
  std::size_t byte_count = 0;

  std::span<const std::byte> part(std::uint32_t begin, std::uint32_t size) const {
    return std::span{bytes}.subspan(begin, size);
  }
};

/// Gives the parcel room for whatever so many pages become. Until more are packed into it, its bytes stay where they
/// are.
void make_room(parcel& into, std::size_t page_count);

/// What the target is known to have. Not shared by threads unless it says so.
class page_directory {
public:
  virtual ~page_directory() = default;
  /// The name of another page with this content. If there is none, the page `number` is remembered to have it.
  virtual std::optional<std::uint64_t> find_or_add(const page_hash& hash, std::uint64_t number) = 0;
  /// Takes back what find_or_add remembered: the page will not be sent with this content.
  virtual void forget(const page_hash& hash, std::uint64_t number) = 0;
};

enum class packing : std::uint8_t { raw, lz4 };

struct pack_options {
  packing how = packing::lz4;
  std::uint64_t hash_seed = 0;
  /// A larger delta is not worth it: as part of a block the page takes hardly more. Chosen: a third of a page is what
  /// LZ4 leaves of a measured guest's pages, and deltas do not shrink further.
  std::size_t delta_size_max = 1024;
};

/// A block that came from elsewhere.
struct block_task {
  std::span<const std::byte> bytes;
  bool raw = false;
  /// Where its pages go.
  std::span<std::byte* const> pages;
};

/// Used by one thread at a time. All codecs decide alike: the pages of a parcel, its deltas, and what its blocks decode
/// to, one after another, are equal whoever made it.
class codec {
public:
  virtual ~codec() = default;
  /// For people, like "cpu avx512" or "cuda NVIDIA H100".
  virtual std::string_view name() const = 0;
  /// Many of the pages to come, or of the copies kept of them, or the bytes of parcels that have room, or blocks that
  /// came from elsewhere, lie in this memory, which stays until it is detached. A device then reads and writes them
  /// where they are; without it, they are copied.
  virtual void attach(std::span<std::byte> memory) = 0;
  virtual void detach(std::span<std::byte> memory) = 0;
  /// At most pack_pages_max tasks; more are a bug of the caller, and thrown.
  virtual void pack(std::span<const page_task> tasks, const pack_options& options, page_directory& directory,
                    parcel& into) = 0;
  /// Puts each block's pages in their places. Answers the first block that is not what it says, or blocks.size(); pages
  /// of blocks from there on hold anything.
  virtual std::size_t unpack(std::span<const block_task> blocks) = 0;
};

std::unique_ptr<codec> make_cpu_codec(path by = best_path());

/// A codec on the best device there is: CUDA if this build and machine have it, otherwise the processor. A device that
/// fails later hands its work to the processor without losing a page.
std::unique_ptr<codec> make_codec();

} // namespace novacron::kernels
