#include "kernels/device/bench.hpp"

#include "kernels/device/batch.hpp"
#include "kernels/page_index.hpp"
#include "kernels/sample.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <map>
#include <span>
#include <string>
#include <thread>
#include <utility>

namespace novacron::kernels::device {
namespace {

double median(std::vector<double> all) {
  std::ranges::sort(all);
  return all.empty() ? 0 : all[all.size() / 2];
}

/// The kernels are fed whole orders of this many pages, so that memory for what they write is bounded.
constexpr auto order_pages_max = std::size_t{65536};

/// One codec with its part of the memory, as a stream of a migration has it.
class stream {
public:
  stream(const std::shared_ptr<engine>& by, const device_codec_options& options, std::span<std::byte> from,
         std::span<std::byte> to, std::span<parcel> parcels)
      : codec_{make_device_codec(by, options)}, from_{from}, to_{to}, attached_{from, to} {
    for (auto& x : parcels)
      attached_.push_back(x.bytes);
    for (const auto memory : attached_)
      codec_->attach(memory);
  }

  ~stream() {
    for (const auto memory : attached_)
      codec_->detach(memory);
  }

  /// What has to be sent of these pages, in as many parcels as there are.
  void pack(std::size_t first, std::size_t count, std::span<parcel> parcels) {
    auto index = page_index{count};
    const auto each = (count + parcels.size() - 1) / parcels.size();
    const auto last = first + count;
    for (auto& x : parcels) {
      tasks_.clear();
      for (const auto end = std::min(first + each, last); first < end; ++first)
        tasks_.push_back({.number = first, .now = from_.data() + first * page_size});
      codec_->pack(tasks_, {}, index, x);
    }
    stayed();
  }

  /// Names the places of the blocks' pages; how many pages there are.
  std::size_t lay_out(std::span<const parcel> parcels) {
    auto page_count = std::size_t{0};
    places_.assign(parcels.size(), {});
    blocks_.assign(parcels.size(), {});
    for (auto i = std::size_t{0}; i < parcels.size(); ++i) {
      const auto& x = parcels[i];
      for (const auto& page : x.pages)
        if (page.action == page_action::block)
          places_[i].push_back(to_.data() + page.number * page_size);
      auto used = std::size_t{0};
      for (const auto& block : x.blocks) {
        blocks_[i].push_back({.bytes = x.part(block.begin, block.size),
                              .raw = block.raw,
                              .pages = std::span{places_[i]}.subspan(used, block.page_count)});
        used += block.page_count;
      }
      page_count += used;
    }
    return page_count;
  }

  void unpack() {
    for (const auto& some : blocks_)
      if (codec_->unpack(some) != some.size())
        throw device_fault{"blocks that the codec made did not come back"};
    stayed();
  }

private:
  /// The processor's figures would be no figures of the device.
  void stayed() const {
    if (!codec_->name().starts_with("cuda "))
      throw device_fault{std::string{codec_->name()}};
  }

  std::unique_ptr<codec> codec_;
  std::span<std::byte> from_;
  std::span<std::byte> to_;
  std::vector<std::span<std::byte>> attached_;
  std::vector<page_task> tasks_;
  std::vector<std::vector<std::byte*>> places_;
  std::vector<std::vector<block_task>> blocks_;
};

/// All at once, each in a thread; the first that fails is thrown when all are done.
template <class F>
void at_once(std::size_t count, F&& work) {
  auto failed = std::vector<std::exception_ptr>(count);
  {
    auto threads = std::vector<std::jthread>{};
    for (auto i = std::size_t{0}; i < count; ++i)
      threads.emplace_back([&, i] {
        try {
          work(i);
        } catch (...) {
          failed[i] = std::current_exception();
        }
      });
  }
  for (const auto& x : failed)
    if (x)
      std::rethrow_exception(x);
}

class bench {
public:
  bench(std::shared_ptr<engine> by, const device_bench_options& options)
      : by_{std::move(by)}, options_{options}, size_{options.page_count * page_size},
        order_pages_{std::min(options.page_count, order_pages_max)}, index_{options.page_count},
        host_{sample_memory(options.page_count, options.seed)}, target_(size_) {
    by_->enter();
    device_ = by_->take(memory_kind::device, size_);
    other_ = by_->take(memory_kind::device, size_);
    for (auto* const memory : {&host_, &target_})
      by_->attach(*memory);
    const auto share = (options.page_count + options.stream_count - 1) / options.stream_count;
    parcels_.resize(options.stream_count * ((share + pack_pages_max - 1) / pack_pages_max));
    for (auto& x : parcels_)
      make_room(x, (options.page_count + parcels_.size() - 1) / parcels_.size() + 1);
    streams_.reserve(options.stream_count);
    for (auto i = std::size_t{0}; i < options.stream_count; ++i)
      streams_.push_back(std::make_unique<stream>(by_, options.codec, host_, target_, parcels_));
  }

  ~bench() {
    streams_.clear();
    for (auto* const memory : {&host_, &target_})
      by_->detach(memory->data());
  }

  std::vector<bench_figure> run() {
    auto x = line{*by_};
    prepare(x);
    for (auto round = 0u; round <= options_.rounds; ++round) {
      // The first round warms up.
      measure_floors(x);
      measure_kernels(x);
      measure_streams("", 1);
      measure_streams("_" + std::to_string(streams_.size()), streams_.size());
      if (round == 0)
        times_.clear();
    }
    return report();
  }

private:
  template <class F>
  void note(const std::string& name, std::size_t size, F&& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    times_[name].push_back(took / static_cast<double>(size));
  }

  /// Orders over memory of the device: `device_` holds the pages, `other_` what was sent of them before.
  void prepare(line& x) {
    const auto blocks = order_pages_ / block_pages;
    jobs_ = by_->take(memory_kind::host, order_pages_ * sizeof(page_job));
    findings_ = by_->take(memory_kind::host, order_pages_ * sizeof(page_finding));
    copies_ = by_->take(memory_kind::device, order_pages_ * page_size);
    scratch_ = by_->take(memory_kind::device, order_pages_ * delta_room);
    deltas_ = by_->take(memory_kind::host, order_pages_ * std::size_t{1024});
    encode_jobs_ = by_->take(memory_kind::host, blocks * sizeof(encode_job));
    block_findings_ = by_->take(memory_kind::host, blocks * sizeof(block_finding));
    together_ = by_->take(memory_kind::device, blocks * block_room);
    made_ = by_->take(memory_kind::device, blocks * block_room);
    out_ = by_->take(memory_kind::host, blocks * lz4_block_max);
    taken_ = by_->take(memory_kind::device, 16);
    zero_ = by_->take(memory_kind::host, 16);
    std::memset(zero_.as(), 0, 16);
    decode_jobs_ = by_->take(memory_kind::host, blocks * sizeof(decode_job));
    good_ = by_->take(memory_kind::host, blocks * sizeof(std::uint32_t));
    blocks_ = by_->take(memory_kind::device, blocks * lz4_block_max);
    in_ = by_->take(memory_kind::device, blocks * block_room);
    x.copy(device_.as(), host_.data(), size_);
    // What was sent before differs in some words of every page.
    for (auto at = std::size_t{0}; at < size_; at += page_size) {
      std::memcpy(target_.data() + at, host_.data() + at, page_size);
      sample_write(std::span{target_.data() + at, page_size}, options_.seed + at);
    }
    x.copy(other_.as(), target_.data(), size_);
    x.wait();
    choose_content();
  }

  /// What is left for the encoder: pages of content, each once.
  void choose_content() {
    const auto key = hash_key{};
    for (auto i = std::size_t{0}; i < order_pages_; ++i) {
      const auto mark = scan(host_.data() + i * page_size, key);
      if (!mark.uniform && !index_.find_or_add(mark.hash, i))
        content_.push_back(static_cast<std::uint32_t>(i));
    }
    index_.clear();
    content_.resize(content_.size() / block_pages * block_pages);
    auto* const jobs = encode_jobs_.as<encode_job>();
    for (auto i = std::size_t{0}; i < content_.size() / block_pages; ++i) {
      jobs[i].count = block_pages;
      std::copy_n(content_.data() + i * block_pages, block_pages, jobs[i].pages);
    }
  }

  void measure_floors(line& x) {
    note("bus_in", size_, [&] {
      x.copy(device_.as(), host_.data(), size_);
      x.wait();
    });
    note("bus_out", size_, [&] {
      x.copy(target_.data(), device_.as(), size_);
      x.wait();
    });
    const auto part = order_pages_ * page_size;
    note("memory", 2 * part, [&] {
      x.copy(copies_.as(), device_.as(), part);
      x.wait();
    });
  }

  void examine(line& x, const std::string& name, const std::byte* now, const std::byte* sent) {
    auto* const jobs = jobs_.as<page_job>();
    for (auto i = std::size_t{0}; i < order_pages_; ++i)
      jobs[i] = {now + i * page_size, sent != nullptr ? sent + i * page_size : nullptr};
    const auto order = examine_order{.jobs = jobs,
                                     .findings = findings_.as<page_finding>(),
                                     .pages = copies_.as(),
                                     .taken = taken_.as<std::uint32_t>(),
                                     .scratch = scratch_.as(),
                                     .deltas = deltas_.as(),
                                     .count = static_cast<std::uint32_t>(order_pages_),
                                     .delta_limit = 1024,
                                     .delta_step = 1024,
                                     .key = words_of(0)};
    note(name, order_pages_ * page_size, [&] {
      x.examine(order);
      x.wait();
    });
  }

  void measure_kernels(line& x) {
    examine(x, "scan", device_.as(), nullptr);
    examine(x, "delta", device_.as(), other_.as());
    examine(x, "scan_in", host_.data(), nullptr);
    const auto blocks = static_cast<std::uint32_t>(content_.size() / block_pages);
    if (blocks == 0)
      return;
    const auto bytes = content_.size() * page_size;
    x.copy(taken_.as(), zero_.as(), sizeof(std::uint32_t));
    x.wait();
    note("encode", bytes, [&] {
      x.encode({.jobs = encode_jobs_.as<encode_job>(),
                .findings = block_findings_.as<block_finding>(),
                .pages = device_.as(),
                .together = together_.as(),
                .scratch = made_.as(),
                .out = out_.as(),
                .taken = taken_.as<std::uint32_t>(),
                .count = blocks,
                .raw = 0});
      x.wait();
    });
    const auto* const found = block_findings_.as<block_finding>();
    auto size = std::size_t{0};
    auto end = std::size_t{0};
    for (auto i = 0u; i < blocks; ++i) {
      auto& job = decode_jobs_.as<decode_job>()[i];
      job = {.bytes = blocks_.as() + found[i].begin, .size = found[i].size, .count = block_pages, .raw = found[i].raw};
      size += found[i].size;
      end = std::max(end, std::size_t{found[i].begin} + found[i].size);
    }
    ratio_ = static_cast<double>(bytes) / static_cast<double>(size);
    decode(x, "decode", copies_.as(), blocks, end);
    decode(x, "decode_out", target_.data(), blocks, end);
  }

  void decode(line& x, const std::string& name, std::byte* to, std::uint32_t blocks, std::size_t end) {
    for (auto i = 0u; i < blocks; ++i)
      for (auto k = std::size_t{0}; k < block_pages; ++k)
        decode_jobs_.as<decode_job>()[i].pages[k] = to + (i * block_pages + k) * page_size;
    x.copy(blocks_.as(), out_.as(), end);
    x.wait();
    note(name, blocks * lz4_block_max, [&] {
      x.decode({.jobs = decode_jobs_.as<decode_job>(),
                .good = good_.as<std::uint32_t>(),
                .in = in_.as(),
                .scratch = made_.as(),
                .count = blocks});
      x.wait();
    });
    if (std::count(good_.as<std::uint32_t>(), good_.as<std::uint32_t>() + blocks, 1u) != blocks)
      throw device_fault{"blocks that the device made did not come back"};
  }

  /// From memory of the host to what has to be sent of it, and back into memory of the host, in parcels and streams as
  /// a migration has them.
  void measure_streams(const std::string& name, std::size_t count) {
    const auto share = [&](auto whole, std::size_t i) { return whole * i / count; };
    const auto parcels = [&](std::size_t i) {
      const auto begin = share(parcels_.size(), i);
      return std::span{parcels_}.subspan(begin, share(parcels_.size(), i + 1) - begin);
    };
    note("pack" + name, size_, [&] {
      at_once(count, [&](std::size_t i) {
        const auto begin = share(options_.page_count, i);
        streams_[i]->pack(begin, share(options_.page_count, i + 1) - begin, parcels(i));
      });
    });
    auto page_count = std::size_t{0};
    for (auto i = std::size_t{0}; i < count; ++i)
      page_count += streams_[i]->lay_out(parcels(i));
    if (page_count > 0)
      note("unpack" + name, page_count * page_size,
           [&] { at_once(count, [&](std::size_t i) { streams_[i]->unpack(); }); });
  }

  double rate(const std::string& name) const {
    const auto found = times_.find(name);
    const auto time = found == times_.end() ? 0 : median(found->second);
    return time > 0 ? 1 / time : 0;
  }

  std::vector<bench_figure> report() const {
    const auto memory = rate("memory");
    const auto all = "_" + std::to_string(streams_.size());
    return {
        {"device_bus_in", rate("bus_in"), "B/s", "", 0},
        {"device_bus_out", rate("bus_out"), "B/s", "", 0},
        {"device_memory", memory, "B/s", "", 0},
        // It reads each page and writes its copy; a delta reads two and writes one.
        {"device_scan", rate("scan"), "B/s", "half of the device's memory copy", memory / 2},
        {"device_delta", rate("delta"), "B/s", "a third of the device's memory copy", memory / 3},
        {"device_encode", rate("encode"), "B/s", "copying in from the host", rate("bus_in")},
        {"device_decode", rate("decode"), "B/s", "copying out to the host", rate("bus_out")},
        {"device_ratio", ratio_, "1", "", 0},
        {"device_scan_in", rate("scan_in"), "B/s", "copying in from the host", rate("bus_in")},
        {"device_decode_out", rate("decode_out"), "B/s", "copying out to the host", rate("bus_out")},
        {"device_pack", rate("pack"), "B/s", "copying in from the host", rate("bus_in")},
        {"device_unpack", rate("unpack"), "B/s", "copying out to the host", rate("bus_out")},
        {"device_pack" + all, rate("pack" + all), "B/s", "copying in from the host", rate("bus_in")},
        {"device_unpack" + all, rate("unpack" + all), "B/s", "copying out to the host", rate("bus_out")},
    };
  }

  std::shared_ptr<engine> by_;
  device_bench_options options_;
  std::size_t size_;
  std::size_t order_pages_;
  page_index index_;
  std::vector<std::byte> host_;
  std::vector<std::byte> target_;
  lease device_, other_;
  lease jobs_, findings_, copies_, scratch_, deltas_;
  lease encode_jobs_, block_findings_, together_, made_, out_, taken_, zero_;
  lease decode_jobs_, good_, blocks_, in_;
  std::vector<std::uint32_t> content_;
  std::vector<std::unique_ptr<stream>> streams_;
  std::vector<parcel> parcels_;
  std::map<std::string, std::vector<double>> times_;
  double ratio_ = 0;
};

} // namespace

std::vector<bench_figure> bench_device(const std::shared_ptr<engine>& by, const device_bench_options& options) {
  return std::make_unique<bench>(by, options)->run();
}

} // namespace novacron::kernels::device
