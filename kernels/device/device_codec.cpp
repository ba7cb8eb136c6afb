#include "kernels/device/device_codec.hpp"

#include "kernels/device/batch.hpp"
#include "kernels/packer.hpp"

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <utility>

namespace novacron::kernels::device {
namespace {

class device_codec final : public codec {
public:
  device_codec(std::shared_ptr<engine> by, device_codec_options options)
      : by_{std::move(by)}, options_{options}, name_{"cuda " + by_->name()} {
    options_.line_count = std::max<std::size_t>(options_.line_count, 2);
    options_.batch_pages = std::max(options_.batch_pages, block_pages);
  }

  ~device_codec() override { leave(); }

  std::string_view name() const override { return name_; }

  void attach(std::span<std::byte> memory) override {
    guarded([&] {
      by_->enter();
      if (by_->attach(memory))
        attached_.add(memory);
    });
  }

  void detach(std::span<std::byte> memory) override {
    guarded([&] {
      by_->enter();
      if (attached_.remove(memory.data()))
        by_->detach(memory.data());
    });
  }

  void pack(std::span<const page_task> tasks, const pack_options& options, page_directory& directory,
            parcel& into) override {
    prepare(into, tasks.size());
    guarded([&] { pack_on_device(tasks, options, directory, into); }, &directory);
    if (const auto done = into.pages.size(); done < tasks.size())
      twin_->append(tasks.subspan(done), options, directory, into);
  }

  std::size_t unpack(std::span<const block_task> blocks) override {
    auto good = std::optional<std::size_t>{};
    guarded([&] { good = unpack_on_device(blocks); });
    return good ? *good : twin_->unpack(blocks);
  }

private:
  /// Does it if there still is a device, and gives the device up if it fails. What was decided and not collected will
  /// be decided again: the guest may have written to those pages since.
  template <class F>
  void guarded(F&& work, page_directory* directory = nullptr) {
    if (by_ == nullptr)
      return;
    try {
      work();
    } catch (const device_fault& x) {
      name_ = std::string{twin_->name()} + " (" + name_ + ": " + x.what() + ")";
      for (auto& batch : packing_)
        if (directory != nullptr)
          batch.forget(*directory);
      leave();
    }
  }

  /// Nothing that the device may still be doing reaches the caller's memory afterwards.
  void leave() {
    if (by_ == nullptr)
      return;
    by_->settle();
    for (const auto& memory : attached_.all())
      by_->detach(memory.data());
    attached_.all().clear();
    packing_.clear();
    unpacking_.clear();
    by_.reset();
  }

  void pack_on_device(std::span<const page_task> tasks, const pack_options& options, page_directory& directory,
                      parcel& into) {
    by_->enter();
    if (options.hash_seed != seed_ || !words_) {
      words_ = words_of(options.hash_seed);
      seed_ = options.hash_seed;
    }
    const auto lines = options_.line_count;
    const auto batches = (tasks.size() + options_.batch_pages - 1) / options_.batch_pages;
    while (packing_.size() < std::min(lines, batches))
      packing_.emplace_back(*by_);
    auto* const room =
        attached_.holds(into.bytes.data()) && attached_.holds(into.bytes.data(), tasks.size() * page_size)
            ? into.bytes.data()
            : nullptr;
    for (auto i = std::size_t{0}; i < batches + lines; ++i) {
      if (i >= lines && i - lines < batches)
        packing_[i % lines].collect(into);
      if (i < batches) {
        const auto at = i * options_.batch_pages;
        packing_[i % lines].begin(tasks.subspan(at, std::min(options_.batch_pages, tasks.size() - at)), options,
                                  *words_, attached_, room != nullptr ? room + at * page_size : nullptr);
      }
      if (i >= 1 && i - 1 < batches)
        packing_[(i - 1) % lines].settle(directory);
    }
  }

  std::size_t unpack_on_device(std::span<const block_task> blocks) {
    by_->enter();
    const auto lines = options_.line_count;
    const auto together = options_.batch_pages / block_pages;
    const auto batches = (blocks.size() + together - 1) / together;
    while (unpacking_.size() < std::min(lines, batches))
      unpacking_.emplace_back(*by_);
    auto good = blocks.size();
    for (auto i = std::size_t{0}; i < batches + lines; ++i) {
      // All that was begun is waited for, also behind a bad block: the device writes into the caller's pages.
      if (i >= lines && i - lines < batches) {
        const auto at = (i - lines) * together;
        const auto count = std::min(together, blocks.size() - at);
        if (const auto done = unpacking_[i % lines].collect(); done < count)
          good = std::min(good, at + done);
      }
      if (i < batches) {
        const auto at = i * together;
        unpacking_[i % lines].begin(blocks.subspan(at, std::min(together, blocks.size() - at)), attached_);
      }
    }
    return good;
  }

  /// Lives longer than the batches, which hold memory of it.
  std::shared_ptr<engine> by_;
  std::unique_ptr<resuming_codec> twin_ = make_resuming_cpu_codec();
  device_codec_options options_;
  std::string name_;
  std::optional<key_words> words_;
  std::uint64_t seed_ = 0;
  attached_memory attached_;
  std::deque<pack_batch> packing_;
  std::deque<unpack_batch> unpacking_;
};

} // namespace

std::unique_ptr<codec> make_device_codec(std::shared_ptr<engine> by, device_codec_options options) {
  return std::make_unique<device_codec>(std::move(by), options);
}

} // namespace novacron::kernels::device

namespace novacron::kernels {

std::unique_ptr<codec> make_codec() {
  auto why = std::string{};
  if (auto found = device::find_engine(why))
    return device::make_device_codec(std::move(found));
  return make_cpu_codec();
}

} // namespace novacron::kernels
