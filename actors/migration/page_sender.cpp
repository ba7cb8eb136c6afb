#include "actors/migration/page_sender.hpp"

#include "kernels/page.hpp"
#include "kernels/scan.hpp"

#include <algorithm>
#include <chrono>
#include <string>

namespace novacron::migration {
namespace {

using kernels::page_size;

/// Chosen: a zstd block is full, and what is decided at once still fits into the caches.
constexpr auto batch_min = std::size_t{64};
constexpr auto batch_max = std::size_t{256};
/// With those that are zero, which hardly take anything.
constexpr auto tasks_max = std::size_t{1024};
/// So many frames are in a window.
constexpr auto frames_under_way = 4u;

double seconds() {
  return std::chrono::duration<double>{std::chrono::steady_clock::now().time_since_epoch()}.count();
}

/// Pages of a stream, and where they are among these.
std::uint64_t count_of(const page_scope& x) {
  const auto ranges = (x.page_count + range_pages - 1) / range_pages;
  return (ranges / x.stream_count + 1) * range_pages;
}
std::uint64_t place_of(const page_scope& x, std::uint64_t page) {
  return page / range_pages / x.stream_count * range_pages + page % range_pages;
}

} // namespace

page_sender::page_sender(std::span<const std::byte> memory, const page_scope& scope, const sender_settings& settings,
                         sent_pages& sent, std::unique_ptr<kernels::codec> codec, std::unique_ptr<channel> way)
    : memory_{memory}, scope_{scope}, settings_{settings}, sent_{sent}, codec_{std::move(codec)}, port_{std::move(way),
                                                                                                        scope.stream,
                                                                                                        4096},
      flight_{settings.governor}, ladder_{settings.coding}, index_{count_of(scope)}, known_(count_of(scope)) {}

void page_sender::greet(const hello& x) {
  const auto text = write(x);
  port_.send(frame_kind::hello, text);
}

pass_facts page_sender::send_pass(const page_set& pages, const barrier& x) {
  const auto begin = seconds();
  const auto bytes_before = flight_.sent_all();
  pages_sent_ = 0;
  const auto step = range_pages * scope_.stream_count;
  for (auto first = scope_.stream * range_pages; first < scope_.page_count; first += step)
    pages.for_each(first, std::min(first + range_pages, scope_.page_count), [&](auto page) { add(page); });
  send_batch();
  const auto text = write(x);
  frame_.resize(frame_head);
  frame_.insert(frame_.end(), text.begin(), text.end());
  send_frame(frame_kind::barrier, 0, frame_);
  while (flight_.under_way() > 0)
    take_answer();
  return {.pages = pages_sent_, .bytes = flight_.sent_all() - bytes_before, .seconds = seconds() - begin};
}

// A batch is what a frame's share of the window holds, by the ratio that is believed in.
std::size_t page_sender::batch_size() const {
  const auto costs = ladder_.costs();
  const auto now = static_cast<std::size_t>(std::ranges::find(coding_steps, ladder_.step()) - coding_steps.begin());
  const auto pages = static_cast<double>(flight_.window()) / frames_under_way * costs[now].ratio / page_size;
  return std::clamp(static_cast<std::size_t>(pages) / batch_min * batch_min, batch_min, batch_max);
}

void page_sender::add(std::uint64_t page) {
  const auto* const now = memory_.data() + page * page_size;
  // Of a page that is zero no copy is begun: when it is written to, all of it is new.
  const auto zero = kernels::is_zero(now);
  auto* const copy = sent_.copy_of(page, !zero && ladder_.step().coding != block_coding::raw);
  tasks_.push_back({.number = page, .now = now, .sent = copy, .sent_before = copy != nullptr && sent_.holds(page)});
  content_ += !zero;
  if (content_ >= batch_size() || tasks_.size() >= tasks_max)
    send_batch();
}

void page_sender::send_batch() {
  if (tasks_.empty())
    return;
  const auto begin = seconds();
  auto facts = batch_facts{};
  const auto records = encode(facts);
  facts.encode_seconds = seconds() - begin;
  look_at_link();
  facts.link_rate = gauge_.rate();
  send_frame(frame_kind::pages, records, frame_);
  pages_sent_ += tasks_.size();
  tasks_.clear();
  content_ = 0;
  ladder_.learn(facts);
}

void page_sender::look_at_link() {
  const auto now = port_.look().value_or(link_look{flight_.arrived_all(), flight_.under_way() > 0});
  gauge_.look(now, seconds());
}

// The target forgets what a page of the batch was as soon as the frame changes it, so nothing may refer to that any
// more.
void page_sender::forget_batch() {
  for (const auto& task : tasks_) {
    auto& hash = known_[place_of(scope_, task.number)];
    if (hash != kernels::page_hash{})
      index_.forget(hash, task.number);
    hash = {};
  }
}

void page_sender::remember_batch() {
  for (const auto& page : parcel_.pages)
    if (page.action == kernels::page_action::block)
      known_[place_of(scope_, page.number)] = page.hash;
  for (const auto& task : tasks_)
    if (task.sent != nullptr)
      sent_.filled(task.number);
}

std::uint32_t page_sender::encode(batch_facts& facts) {
  const auto step = ladder_.step();
  forget_batch();
  codec_->pack(tasks_,
               {.how = step.coding == block_coding::lz4 ? kernels::packing::lz4 : kernels::packing::raw,
                .hash_seed = settings_.hash_seed,
                // Without a coding a delta is worth it as long as it is shorter than the page.
                .delta_size_max = step.coding == block_coding::raw ? page_size * 3 / 4 : page_size / 4},
               index_, parcel_);
  remember_batch();
  frame_.resize(frame_head);
  const auto records = write_records(parcel_, frame_);
  const auto blocks_at = frame_.size();
  if (step.coding == block_coding::zstd)
    write_zstd_blocks(parcel_, step.level, zstd_, gathered_, frame_);
  else
    write_blocks(parcel_, frame_);
  for (const auto& block : parcel_.blocks)
    facts.block_pages += std::uint64_t{block.page_count} * page_size;
  facts.block_bytes = frame_.size() - blocks_at;
  return records;
}

void page_sender::send_frame(frame_kind kind, std::uint32_t count, std::span<std::byte> whole) {
  while (flight_.under_way() > 0 && port_.readable())
    take_answer();
  while (!flight_.has_room(whole.size()))
    take_answer();
  flight_.sent(whole.size(), seconds());
  port_.send(kind, count, whole);
}

void page_sender::await(frame_kind kind) {
  while (take_answer() != kind) {
  }
}

frame_kind page_sender::take_answer() {
  const auto x = port_.receive();
  switch (x.kind) {
    case frame_kind::applied:
      if (x.payload.size() != 8 || !flight_.arrived(kernels::load<std::uint64_t>(x.payload.data()), seconds()))
        throw migration_error{"the target acknowledged what it was not sent"};
      break;
    case frame_kind::ready:
    case frame_kind::running: break;
    case frame_kind::refused:
      throw refusal{"the target refused: " +
                    std::string{reinterpret_cast<const char*>(x.payload.data()), x.payload.size()}};
    default: throw migration_error{"the target sent what only a source says"};
  }
  return x.kind;
}

} // namespace novacron::migration
