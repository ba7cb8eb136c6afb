#pragma once

/// Makes zstd blocks of pages, and takes blocks of any coding apart.

#include "actors/migration/page_frame.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace novacron::migration {

/// Not shared by threads; kept, it keeps what zstd needs.
class block_encoder {
public:
  block_encoder();
  ~block_encoder();
  /// Appends the zstd block of the pages to `out` and returns its size; 0, with nothing appended, when it does not
  /// shrink.
  std::size_t encode(std::span<const std::byte> pages, int level, std::vector<std::byte>& out);

private:
  struct context;
  std::unique_ptr<context> context_;
};

/// Like write_blocks, of a parcel whose blocks are raw: in zstd blocks as large as they may be. `room` is kept between
/// calls.
void write_zstd_blocks(const kernels::parcel& x, int level, block_encoder& encoder, std::vector<std::byte>& room,
                       std::vector<std::byte>& out);

class block_decoder {
public:
  block_decoder();
  ~block_decoder();
  /// The pages of a block that an enemy may have made, valid until the next call; empty when it is not exactly its
  /// pages.
  std::span<const std::byte> decode(const block_record& x);

private:
  struct context;
  std::unique_ptr<context> context_;
  std::vector<std::byte> room_;
};

} // namespace novacron::migration
