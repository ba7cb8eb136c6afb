#pragma once

/// What the codecs share: the decisions about a page, and the making of parcels. Only for codecs.

#include "kernels/codec.hpp"

namespace novacron::kernels {

/// Empties the parcel and gives it room for whatever `page_count` pages may become.
void prepare(parcel& into, std::size_t page_count);

/// Fill, reference, or a page of a block.
void settle(const page_mark& mark, page_directory& directory, page_result& result);

/// Closes a block of which the encoder has put `size` bytes at the end of the parcel. If that is not less than the
/// pages take, they go in raw.
void add_block(std::span<const std::byte> pages, std::size_t size, parcel& into);

/// False when the bytes are not exactly the block's pages. `scratch` has lz4_block_max bytes.
bool unpack_block(const block_task& block, std::span<std::byte> scratch);

/// A codec that can also go on where another one stopped.
class resuming_codec : public codec {
public:
  /// Like pack, behind what the parcel holds, which has room for it.
  virtual void append(std::span<const page_task> tasks, const pack_options& options, page_directory& directory,
                      parcel& into) = 0;
};

std::unique_ptr<resuming_codec> make_resuming_cpu_codec(path by = best_path());

} // namespace novacron::kernels
