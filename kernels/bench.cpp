#include "kernels/bench.hpp"

#include "kernels/codec.hpp"
#include "kernels/page_index.hpp"
#include "kernels/sample.hpp"

#include <algorithm>
#include <ctime>
#include <map>
#include <stdexcept>
#include <string_view>

#if defined(__x86_64__)
#include "kernels/intrinsics_x86.hpp"
#endif

namespace novacron::kernels {
namespace {

/// Time that this thread was running: others on the machine do not count as slowness of ours.
double seconds() {
  auto now = timespec{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double median(std::vector<double> all) {
  std::ranges::sort(all);
  return all.empty() ? 0 : all[all.size() / 2];
}

/// Keeps the compiler from leaving out work of which nobody uses the result.
template <class T>
void use(const T& x) {
  asm volatile("" : : "g"(&x) : "memory");
}

std::uint64_t read_scalar(std::span<const std::byte> memory) {
  std::uint64_t sums[8] = {};
  for (auto at = std::size_t{0}; at + 64 <= memory.size(); at += 64)
    for (auto i = std::size_t{0}; i < 8; ++i)
      sums[i] ^= load<std::uint64_t>(memory.data() + at + 8 * i);
  return sums[0] ^ sums[1] ^ sums[2] ^ sums[3] ^ sums[4] ^ sums[5] ^ sums[6] ^ sums[7];
}

#if defined(__x86_64__)
AVX2 std::uint64_t read_avx2(std::span<const std::byte> memory) {
  auto a = _mm256_setzero_si256();
  auto b = a;
  for (const auto *at = memory.data(), *end = at + memory.size(); at < end; at += 64) {
    a = _mm256_xor_si256(a, load256(at));
    b = _mm256_xor_si256(b, load256(at + 32));
  }
  return static_cast<std::uint64_t>(_mm256_extract_epi64(_mm256_xor_si256(a, b), 0));
}

AVX512 std::uint64_t read_avx512(std::span<const std::byte> memory) {
  auto a = _mm512_setzero_si512();
  auto b = a;
  for (const auto *at = memory.data(), *end = at + memory.size(); at < end; at += 128) {
    a = _mm512_xor_si512(a, load512(at));
    b = _mm512_xor_si512(b, load512(at + 64));
  }
  alignas(64) std::uint64_t sums[8];
  _mm512_store_si512(sums, _mm512_xor_si512(a, b));
  return sums[0];
}
#endif

/// Whole pages; every way of reading that this machine has, so that the fastest can be the measure.
std::vector<std::uint64_t (*)(std::span<const std::byte>)> readers() {
  auto all = std::vector<std::uint64_t (*)(std::span<const std::byte>)>{read_scalar};
#if defined(__x86_64__)
  if (best_path() >= path::avx2)
    all.push_back(read_avx2);
  if (best_path() >= path::avx512)
    all.push_back(read_avx512);
#endif
  return all;
}

class bench {
public:
  bench(bench_options options, std::span<const bench_peer> peers)
      : options_{std::move(options)}, peers_{peers.begin(), peers.end()},
        zeros_(options_.page_count * page_size), memory_{options_.memory.empty()
                                                             ? sample_memory(options_.page_count, options_.seed)
                                                             : std::move(options_.memory)},
        index_{memory_.size() / page_size} {
    use(zeros_);
    memory_.resize(memory_.size() / page_size * page_size);
    choose_content();
    changed_ = memory_;
    for (auto at = std::size_t{0}; at < changed_.size(); at += page_size)
      sample_write(std::span{changed_}.subspan(at, page_size), options_.seed + at);
    for (auto at = std::size_t{0}; at < memory_.size(); at += page_size)
      tasks_.push_back({.number = at / page_size, .now = memory_.data() + at});
  }

  std::vector<bench_figure> run() {
    for (auto round = 0u; round <= options_.rounds; ++round) {
      // The first round warms up.
      measure_memory();
      measure_blocks(ours());
      for (const auto& peer : peers_)
        measure_blocks(peer);
      measure_pipeline();
      if (round == 0)
        times_.clear();
    }
    return report();
  }

private:
  /// What the pipeline leaves for the encoder: pages of content, each once.
  void choose_content() {
    const auto key = hash_key{};
    for (auto at = std::size_t{0}; at < memory_.size(); at += page_size) {
      const auto* const page = memory_.data() + at;
      const auto mark = scan(page, key);
      if (!mark.uniform && !index_.find_or_add(mark.hash, at / page_size))
        content_.insert(content_.end(), page, page + page_size);
    }
    index_.clear();
    if (content_.size() < lz4_block_max)
      throw std::invalid_argument{"there is hardly anything in this memory; take one with more content"};
  }

  /// The time for a number of bytes, as seconds per byte.
  template <class F>
  double note(const std::string& name, std::size_t size, F&& work) {
    const auto begin = seconds();
    work();
    const auto took = seconds() - begin;
    times_[name].push_back(took / static_cast<double>(size));
    return took;
  }

  void measure_memory() {
    auto fastest = 1e9;
    for (auto* const reader : readers()) {
      const auto begin = seconds();
      use(reader(memory_));
      fastest = std::min(fastest, seconds() - begin);
    }
    times_["memory_read"].push_back(fastest / static_cast<double>(memory_.size()));
    note("zero_scan", zeros_.size(), [&] { use(zero_count(zeros_)); });
    const auto key = hash_key{};
    note("page_hash", content_.size(), [&] {
      for (auto at = std::size_t{0}; at < content_.size(); at += page_size)
        use(hash(content_.data() + at, key));
    });
    auto room = std::array<std::byte, delta_max>{};
    note("delta", memory_.size(), [&] {
      for (auto at = std::size_t{0}; at < memory_.size(); at += page_size)
        use(delta_encode(changed_.data() + at, memory_.data() + at, room.data()));
    });
    note("copy", memory_.size(), [&] {
      for (auto at = std::size_t{0}; at < memory_.size(); at += page_size) {
        std::memcpy(block_.data() + at % lz4_block_max, memory_.data() + at, page_size);
        use(block_);
      }
    });
  }

  bench_peer ours() {
    return {.name = "lz4",
            .title = "ours",
            .encode = [&](auto in, auto out) { return lz4_encode(in, out, table_); },
            .decode = [&](auto in, auto out) { return lz4_decode(in, out).value_or(0); }};
  }

  void measure_blocks(const bench_peer& by) {
    constexpr auto room = lz4_bound(lz4_block_max) + 1024;
    packed_.resize((content_.size() / lz4_block_max + 1) * room);
    sizes_.clear();
    const auto all = std::span<const std::byte>{content_};
    note(by.name + "_encode", content_.size(), [&] {
      for (auto at = std::size_t{0}; at < all.size(); at += lz4_block_max)
        sizes_.push_back(by.encode(all.subspan(at, std::min(lz4_block_max, all.size() - at)),
                                   std::span{packed_}.subspan(sizes_.size() * room, room)));
    });
    auto failed = std::size_t{0};
    note(by.name + "_decode", content_.size(), [&] {
      for (auto i = std::size_t{0}; i < sizes_.size(); ++i) {
        const auto want = std::min(lz4_block_max, all.size() - i * lz4_block_max);
        failed += by.decode(std::span{packed_}.subspan(i * room, sizes_[i]), block_) != want;
      }
    });
    if (failed > 0)
      throw std::runtime_error{by.name + ": " + std::to_string(failed) + " blocks did not come back"};
    auto sum = std::size_t{0};
    for (const auto size : sizes_)
      sum += size;
    ratios_[by.name] = static_cast<double>(content_.size()) / static_cast<double>(sum);
  }

  void measure_pipeline() {
    index_.clear();
    note("pipeline", memory_.size(), [&] { codec_->pack(tasks_, {}, index_, parcel_); });
    auto taken = parcel_.byte_count;
    taken += parcel_.pages.size() * 9;
    pipeline_ratio_ = static_cast<double>(memory_.size()) / static_cast<double>(taken);
  }

  double rate(const std::string& name) const {
    const auto found = times_.find(name);
    return found == times_.end() ? 0 : 1 / median(found->second);
  }

  /// The slowest stage's part of the pipeline, counted over all the memory.
  double slowest_stage() const {
    const auto whole = static_cast<double>(memory_.size());
    const auto part = static_cast<double>(content_.size());
    return whole / std::max({part / rate("lz4_encode"), whole / rate("page_hash"), whole / rate("copy")});
  }

  std::vector<bench_figure> report() const {
    const auto memory = rate("memory_read");
    auto all = std::vector<bench_figure>{
        {"memory_read", memory, "B/s", "", 0},
        {"zero_scan", rate("zero_scan"), "B/s", "memory read", memory},
        {"page_hash", rate("page_hash"), "B/s", "memory read", memory},
        {"delta", rate("delta"), "B/s", "half of memory read: it reads two pages", memory / 2},
        {"page_copy", rate("copy"), "B/s", "memory read", memory},
        {"pipeline", rate("pipeline"), "B/s", "its slowest stage alone", slowest_stage()},
        {"pipeline_ratio", pipeline_ratio_, "1", "", 0},
    };
    const auto first = peers_.empty() ? std::string{} : peers_[0].name;
    const auto title = peers_.empty() ? std::string{} : peers_[0].title;
    all.push_back({"lz4_encode", rate("lz4_encode"), "B/s", title, rate(first + "_encode")});
    all.push_back({"lz4_decode", rate("lz4_decode"), "B/s", title, rate(first + "_decode")});
    all.push_back({"lz4_ratio", ratios_.at("lz4"), "1", title, first.empty() ? 0 : ratios_.at(first)});
    for (auto i = std::size_t{1}; i < peers_.size(); ++i) {
      const auto& name = peers_[i].name;
      all.push_back({name + "_encode", rate(name + "_encode"), "B/s", "", 0});
      all.push_back({name + "_decode", rate(name + "_decode"), "B/s", "", 0});
      all.push_back({name + "_ratio", ratios_.at(name), "1", "", 0});
    }
    return all;
  }

  bench_options options_;
  std::vector<bench_peer> peers_;
  std::vector<std::byte> zeros_;
  std::vector<std::byte> memory_;
  std::vector<std::byte> changed_;
  std::vector<std::byte> content_;
  std::vector<std::byte> packed_;
  std::vector<std::size_t> sizes_;
  std::array<std::byte, lz4_block_max> block_{};
  lz4_table table_;
  page_index index_;
  std::vector<page_task> tasks_;
  std::unique_ptr<codec> codec_ = make_cpu_codec();
  parcel parcel_;
  std::map<std::string, std::vector<double>> times_;
  std::map<std::string, double> ratios_;
  double pipeline_ratio_ = 0;
};

} // namespace

std::vector<bench_figure> bench_cpu(bench_options options, std::span<const bench_peer> peers) {
  return std::make_unique<bench>(std::move(options), peers)->run();
}

} // namespace novacron::kernels
