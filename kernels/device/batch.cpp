#include "kernels/device/batch.hpp"

#include "kernels/delta.hpp"
#include "kernels/packer.hpp"
#include "kernels/scan_steps.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace novacron::kernels::device {
namespace {

std::size_t blocks_of(std::size_t page_count) {
  return (page_count + block_pages - 1) / block_pages;
}

constexpr std::uint32_t quads(std::size_t size) {
  return static_cast<std::uint32_t>((size + 15) / 16 * 16);
}

/// Chosen: a copy costs some microseconds, in which a page could have come over the bus a dozen times.
constexpr auto row_pages_min = std::size_t{32};

bool begins_a_quad(const std::byte* at) {
  return reinterpret_cast<std::uintptr_t>(at) % 16 == 0;
}

/// Memory that grows with the largest batch, and is kept.
std::byte* grown(lease& memory, engine& by, memory_kind kind, std::size_t size) {
  if (memory.size() < size)
    memory = by.take(kind, size);
  return memory.as();
}

template <class T>
T* grown_host(lease& memory, engine& by, std::size_t count) {
  return reinterpret_cast<T*>(grown(memory, by, memory_kind::host, count * sizeof(T)));
}

template <class T>
T* grown_device(lease& memory, engine& by, std::size_t count) {
  return reinterpret_cast<T*>(grown(memory, by, memory_kind::device, count * sizeof(T)));
}

} // namespace

bool attached_memory::remove(const std::byte* begin) {
  return std::erase_if(all_, [&](const auto& x) { return x.data() == begin; }) > 0;
}

bool attached_memory::holds(const std::byte* from, std::size_t size) const {
  const auto* const begin = from - reinterpret_cast<std::uintptr_t>(from) % 16;
  const auto* const end = begin + quads(static_cast<std::size_t>(from - begin) + size);
  return std::ranges::any_of(all_, [&](const auto& x) { return begin >= x.data() && end <= x.data() + x.size(); });
}

bool attached_memory::holds(const std::byte* page) const {
  return begins_a_quad(page) && holds(page, page_size);
}

key_words words_of(std::uint64_t hash_seed) {
  const auto key = hash_key{hash_seed};
  const auto* const secret = key.secret.data();
  auto words = key_words{};
  for (auto i = std::size_t{0}; i < 24; ++i)
    words.stripe[i] = load<std::uint64_t>(secret + 8 * i);
  for (auto i = std::size_t{0}; i < 8; ++i) {
    words.last[i] = load<std::uint64_t>(secret + last_offset + 8 * i);
    words.low[i] = load<std::uint64_t>(secret + low_offset + 8 * i);
    words.high[i] = load<std::uint64_t>(secret + high_offset + 8 * i);
  }
  return words;
}

void pack_batch::begin(std::span<const page_task> tasks, const pack_options& options, const key_words& key,
                       const attached_memory& attached, std::byte* room) {
  tasks_ = tasks;
  room_ = room;
  options_ = options;
  delta_limit_ = static_cast<std::uint32_t>(std::min(options.delta_size_max, page_size));
  delta_step_ = quads(delta_limit_);
  results_.clear();
  const auto count = tasks.size();
  auto* const pages = grown_device<std::byte>(pages_, by_, count * page_size);
  stage(attached);
  send_ahead(pages);
  line_.examine({
      .jobs = jobs_.as<page_job>(),
      .findings = grown_host<page_finding>(findings_, by_, count),
      .pages = pages,
      .taken = grown_device<std::uint32_t>(taken_, by_, 1),
      .scratch = any_sent_ ? grown_device<std::byte>(scratch_, by_, count * delta_room) : nullptr,
      .deltas = any_sent_ ? grown_host<std::byte>(deltas_, by_, count * delta_step_) : nullptr,
      .count = static_cast<std::uint32_t>(count),
      .delta_limit = delta_limit_,
      .delta_step = delta_step_,
      .key = key,
  });
}

/// Names for each page a place that the device reaches.
void pack_batch::stage(const attached_memory& attached) {
  const auto count = tasks_.size();
  auto* const jobs = grown_host<page_job>(jobs_, by_, count);
  any_sent_ = false;
  for (auto i = std::size_t{0}; i < count; ++i) {
    const auto& task = tasks_[i];
    // What the caller keeps a copy of is copied in any case, and must be what the device saw.
    if (task.sent == nullptr && attached.holds(task.now)) {
      jobs[i] = {task.now, nullptr};
      continue;
    }
    auto* const now = grown_host<std::byte>(now_, by_, count * page_size) + i * page_size;
    std::memcpy(now, task.now, page_size);
    jobs[i] = {now, nullptr};
    if (!task.sent_before)
      continue;
    any_sent_ = true;
    if (attached.holds(task.sent)) {
      jobs[i].sent = task.sent;
    } else {
      auto* const sent = grown_host<std::byte>(sent_, by_, count * page_size) + i * page_size;
      std::memcpy(sent, task.sent, page_size);
      jobs[i].sent = sent;
    }
  }
}

/// Pages in a row are copied by the device's copy engine, so that its multiprocessors do not wait for the bus.
void pack_batch::send_ahead(std::byte* pages) {
  auto* const jobs = jobs_.as<page_job>();
  const auto count = tasks_.size();
  for (auto begin = std::size_t{0}; begin < count;) {
    auto end = begin + 1;
    while (end < count && jobs[end].now == jobs[end - 1].now + page_size)
      ++end;
    if (end - begin >= row_pages_min) {
      line_.copy(pages + begin * page_size, jobs[begin].now, (end - begin) * page_size);
      for (auto i = begin; i < end; ++i)
        jobs[i].now = pages + i * page_size;
    }
    begin = end;
  }
}

void pack_batch::settle(page_directory& directory) {
  line_.wait();
  content_.clear();
  for (auto i = std::size_t{0}; i < tasks_.size(); ++i)
    decide(i, directory);
  block_count_ = blocks_of(content_.size());
  if (block_count_ > 0)
    encode();
}

void pack_batch::decide(std::size_t index, page_directory& directory) {
  const auto& task = tasks_[index];
  const auto& found = findings_.as<page_finding>()[index];
  auto& result = results_.emplace_back(page_result{.number = task.number});
  if (task.sent_before && found.delta_size != delta_none) {
    result.action = found.delta_size == 0 ? page_action::same : page_action::delta;
    result.size = found.delta_size;
    return;
  }
  kernels::settle({.hash = {found.hash_low, found.hash_high}, .uniform = found.uniform != 0, .fill = found.fill},
                  directory, result);
  if (result.action == page_action::block)
    content_.push_back(static_cast<std::uint32_t>(index));
}

void pack_batch::encode() {
  auto* const jobs = grown_host<encode_job>(blocks_, by_, block_count_);
  for (auto i = std::size_t{0}; i < block_count_; ++i) {
    const auto first = i * block_pages;
    const auto count = std::min(block_pages, content_.size() - first);
    jobs[i].count = static_cast<std::uint32_t>(count);
    std::copy_n(content_.data() + first, count, jobs[i].pages);
  }
  const auto order = encode_order{
      .jobs = jobs,
      .findings = grown_host<block_finding>(block_findings_, by_, block_count_),
      .pages = pages_.as(),
      .together = grown_device<std::byte>(together_, by_, block_count_ * block_room),
      .scratch = grown_device<std::byte>(made_, by_, block_count_ * block_room),
      .out = room_ != nullptr ? room_ : grown_host<std::byte>(out_, by_, block_count_ * lz4_block_max),
      .taken = taken_.as<std::uint32_t>(),
      .count = static_cast<std::uint32_t>(block_count_),
      .raw = options_.how == packing::raw ? 1u : 0u,
  };
  line_.encode(order);
}

void pack_batch::collect(parcel& into) {
  if (block_count_ > 0)
    line_.wait();
  collect_blocks(into);
  const auto place = [&] { return static_cast<std::uint32_t>(into.byte_count); };
  for (auto i = std::size_t{0}; i < tasks_.size(); ++i) {
    auto& result = results_[i];
    auto* const sent = tasks_[i].sent;
    if (result.action == page_action::delta) {
      const auto* const delta = deltas_.as() + i * delta_step_;
      result.begin = place();
      std::memcpy(into.bytes.data() + into.byte_count, delta, result.size);
      into.byte_count += result.size;
      delta_apply({delta, result.size}, sent);
    } else if (sent != nullptr && result.action == page_action::fill) {
      std::memset(sent, result.fill, page_size);
    } else if (sent != nullptr && result.action != page_action::same) {
      std::memcpy(sent, now_.as() + i * page_size, page_size);
    }
    into.pages.push_back(result);
  }
  results_.clear();
  block_count_ = 0;
}

void pack_batch::collect_blocks(parcel& into) {
  const auto begin = room_ != nullptr ? static_cast<std::size_t>(room_ - into.bytes.data()) : into.byte_count;
  auto end = begin;
  for (auto i = std::size_t{0}; i < block_count_; ++i) {
    const auto& found = block_findings_.as<block_finding>()[i];
    const auto at = room_ != nullptr ? begin + found.begin : end;
    if (room_ == nullptr)
      std::memcpy(into.bytes.data() + at, out_.as() + found.begin, found.size);
    into.blocks.push_back({.begin = static_cast<std::uint32_t>(at),
                           .size = found.size,
                           .page_count = blocks_.as<encode_job>()[i].count,
                           .raw = found.raw != 0});
    end = std::max(end, at + found.size);
  }
  into.byte_count = end;
}

void pack_batch::forget(page_directory& directory) {
  for (const auto& x : results_)
    if (x.action == page_action::block)
      directory.forget(x.hash, x.number);
  results_.clear();
}

/// Others are for the processor: blocks of no pages or too many, and such as waste more than any encoder would.
bool unpack_batch::fits(const block_task& block) const {
  return !block.pages.empty() && block.pages.size() <= block_pages && block.bytes.size() <= lz4_bound(lz4_block_max);
}

void unpack_batch::begin(std::span<const block_task> blocks, const attached_memory& attached) {
  blocks_ = blocks;
  auto size = std::size_t{0};
  for (const auto& block : blocks)
    if (fits(block))
      size += quads(block.bytes.size());
  grown_host<std::byte>(in_, by_, size);
  grown_host<decode_job>(jobs_, by_, blocks.size());
  grown_host<std::byte>(staged_, by_, blocks.size() * lz4_block_max);
  auto taken = std::size_t{0};
  for (auto i = std::size_t{0}; i < blocks.size(); ++i)
    put(i, attached, taken);
  const auto order = decode_order{
      .jobs = jobs_.as<decode_job>(),
      .good = grown_host<std::uint32_t>(good_, by_, blocks.size()),
      .in = grown_device<std::byte>(device_in_, by_, blocks.size() * block_room),
      .scratch = grown_device<std::byte>(scratch_, by_, blocks.size() * block_room),
      .count = static_cast<std::uint32_t>(blocks.size()),
  };
  line_.decode(order);
}

void unpack_batch::put(std::size_t index, const attached_memory& attached, std::size_t& taken) {
  const auto& block = blocks_[index];
  auto& job = jobs_.as<decode_job>()[index];
  job = {.bytes = in_.as() + taken, .raw = block.raw ? 1u : 0u};
  if (!fits(block))
    return;
  job.size = static_cast<std::uint32_t>(block.bytes.size());
  job.count = static_cast<std::uint32_t>(block.pages.size());
  if ((!block.raw || begins_a_quad(block.bytes.data())) && attached.holds(block.bytes.data(), block.bytes.size())) {
    job.bytes = block.bytes.data();
  } else if (!block.bytes.empty()) {
    std::memcpy(in_.as() + taken, block.bytes.data(), block.bytes.size());
    taken += quads(block.bytes.size());
  }
  for (auto i = std::size_t{0}; i < block.pages.size(); ++i)
    job.pages[i] =
        attached.holds(block.pages[i]) ? block.pages[i] : staged_.as() + index * lz4_block_max + i * page_size;
}

std::size_t unpack_batch::collect() {
  line_.wait();
  auto scratch = std::vector<std::byte>{};
  for (auto i = std::size_t{0}; i < blocks_.size(); ++i) {
    const auto& block = blocks_[i];
    if (!fits(block)) {
      scratch.resize(lz4_block_max);
      if (!unpack_block(block, scratch))
        return i;
      continue;
    }
    if (good_.as<std::uint32_t>()[i] == 0)
      return i;
    const auto& job = jobs_.as<decode_job>()[i];
    for (auto k = std::size_t{0}; k < block.pages.size(); ++k)
      if (job.pages[k] != block.pages[k])
        std::memcpy(block.pages[k], job.pages[k], page_size);
  }
  return blocks_.size();
}

} // namespace novacron::kernels::device
