#include "kernels/codec.hpp"
#include "kernels/packer.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace novacron::kernels {
namespace {

/// Reads a page, decides, and lets the block grow in place: a page of content is copied once, into the block that will
/// be encoded while it is still in the cache.
class cpu_codec final : public resuming_codec {
public:
  explicit cpu_codec(path by) : by_{by}, name_{"cpu " + std::string{kernels::name(by)}} {}

  std::string_view name() const override { return name_; }
  void attach(std::span<std::byte>) override {}
  void detach(std::span<std::byte>) override {}

  void pack(std::span<const page_task> tasks, const pack_options& options, page_directory& directory,
            parcel& into) override {
    prepare(into, tasks.size());
    append(tasks, options, directory, into);
  }

  void append(std::span<const page_task> tasks, const pack_options& options, page_directory& directory,
              parcel& into) override {
    if (options.hash_seed != seed_) {
      key_ = hash_key{options.hash_seed};
      seed_ = options.hash_seed;
    }
    for (const auto& task : tasks) {
      auto* const page = block_.data() + page_count_ * page_size;
      into.pages.push_back(decide(task, page, options, directory, into));
      if (into.pages.back().action == page_action::block && ++page_count_ == block_pages)
        close_block(options.how, into);
    }
    if (page_count_ > 0)
      close_block(options.how, into);
  }

  std::size_t unpack(std::span<const block_task> blocks) override {
    for (auto i = std::size_t{0}; i < blocks.size(); ++i)
      if (!unpack_block(blocks[i], block_))
        return i;
    return blocks.size();
  }

private:
  page_result decide(const page_task& task, std::byte* page, const pack_options& options, page_directory& directory,
                     parcel& into) {
    auto result = page_result{.number = task.number};
    auto mark = page_mark{};
    if (task.sent_before) {
      std::memcpy(page, task.now, page_size);
      if (try_delta(task, page, options.delta_size_max, result, into))
        return result;
      mark = scan(page, key_, by_);
    } else {
      mark = copy_and_scan(task.now, page, key_, by_);
    }
    settle(mark, directory, result);
    if (task.sent != nullptr)
      mark.uniform ? std::memset(task.sent, mark.fill, page_size) : std::memcpy(task.sent, page, page_size);
    return result;
  }

  bool try_delta(const page_task& task, const std::byte* page, std::size_t limit, page_result& result, parcel& into) {
    auto* const out = into.bytes.data() + into.byte_count;
    const auto size = delta_encode(page, task.sent, out, by_);
    if (size > std::min(limit, page_size))
      return false;
    result.action = size == 0 ? page_action::same : page_action::delta;
    if (size > 0) {
      result.begin = static_cast<std::uint32_t>(into.byte_count);
      result.size = static_cast<std::uint32_t>(size);
      delta_apply({out, size}, task.sent);
      into.byte_count += size;
    }
    return true;
  }

  void close_block(packing how, parcel& into) {
    const auto pages = std::span{block_}.first(page_count_ * page_size);
    const auto size = how == packing::lz4 ? lz4_encode(pages, room(into), table_) : pages.size();
    add_block(pages, size, into);
    page_count_ = 0;
  }

  static std::span<std::byte> room(parcel& into) { return std::span{into.bytes}.subspan(into.byte_count); }

  path by_;
  std::string name_;
  hash_key key_;
  std::uint64_t seed_ = 0;
  std::size_t page_count_ = 0;
  lz4_table table_;
  alignas(64) std::array<std::byte, lz4_block_max> block_;
};

} // namespace

std::unique_ptr<resuming_codec> make_resuming_cpu_codec(path by) {
  return std::make_unique<cpu_codec>(by);
}

std::unique_ptr<codec> make_cpu_codec(path by) {
  return make_resuming_cpu_codec(by);
}

} // namespace novacron::kernels
