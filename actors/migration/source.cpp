#include "actors/migration/source.hpp"

#include "actors/migration/crew.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>

namespace novacron::migration {
namespace {

using clock = std::chrono::steady_clock;

double since(clock::time_point begin) {
  return std::chrono::duration<double>{clock::now() - begin}.count();
}

/// One attempt.
class attempt {
public:
  attempt(source_guest& guest, dirty_tracker& tracker, std::vector<std::unique_ptr<channel>> ways,
          const source_settings& settings, std::stop_token cancel)
      : guest_{guest}, tracker_{tracker}, settings_{settings}, cancel_{std::move(cancel)},
        page_count_{guest.memory().size() / kernels::page_size}, sent_{page_count_, settings.copies_max},
        stream_count_{static_cast<std::uint16_t>(ways.size())} {
    for (auto& way : ways)
      streams_.push_back(std::make_unique<page_sender>(
          guest.memory(),
          page_scope{.page_count = page_count_,
                     .stream = static_cast<std::uint16_t>(streams_.size()),
                     .stream_count = stream_count_},
          sender_settings{.coding = settings.coding, .hash_seed = settings.hash_seed, .governor = rate_governor{}},
          sent_, settings.make_codec(), std::move(way)));
  }

  source_report run() {
    const auto begin = clock::now();
    auto wake = std::stop_callback{cancel_, [this] { close(); }};
    try {
      greet();
      move_memory();
      hand_over();
      report_.guest = whereabouts::moved;
    } catch (const std::exception& error) {
      close();
      if (dynamic_cast<const refusal*>(&error) != nullptr)
        told_ = false;
      report_.reason = cancel_.stop_requested() ? "it was cancelled" : error.what();
      give_up();
    }
    report_.seconds = since(begin);
    if (stopped_)
      report_.downtime = since(*stopped_);
    for (const auto& each : streams_)
      report_.bytes += each->bytes();
    report_.cpu_seconds = crew_.cpu_seconds();
    report_.coding = streams_.front()->step();
    return std::move(report_);
  }

private:
  void greet() {
    const auto x = hello{.token = settings_.token,
                         .page_count = page_count_,
                         .hash_seed = settings_.hash_seed,
                         .stream_count = stream_count_};
    for (const auto& each : streams_)
      each->greet(x);
  }

  // What was written before the first look is found by looking at all that is populated after it.
  void move_memory() {
    auto planner = pass_planner{settings_.limits};
    auto dirty = page_set{page_count_};
    tracker_.collect(dirty);
    dirty.clear();
    guest_.add_populated(dirty);
    for (;;) {
      const auto facts = send_pass(dirty, false);
      dirty.clear();
      tracker_.collect(dirty);
      const auto written = dirty.size();
      settings_.passed(pass_ - 1, facts, written);
      const auto next = planner.after(facts, written);
      if (next == next_pass::outrun)
        throw migration_error{"the guest writes to its memory faster than the link carries it; allow a longer "
                              "standstill (--max-downtime), or move it when it does less"};
      if (next == next_pass::last)
        break;
    }
    stopped_ = clock::now();
    guest_.stop();
    tracker_.collect(dirty);
    const auto facts = send_pass(dirty, true);
    settings_.passed(pass_ - 1, facts, 0);
  }

  pass_facts send_pass(const page_set& pages, bool last) {
    check_cancel();
    const auto begin = clock::now();
    auto parts = std::vector<pass_facts>(streams_.size());
    const auto word = barrier{.pass = pass_++, .last = last};
    crew_.run(
        streams_.size(), [&](std::size_t i) { parts[i] = streams_[i]->send_pass(pages, word); }, [this] { close(); });
    auto all = pass_facts{.seconds = since(begin)};
    for (const auto& part : parts) {
      all.pages += part.pages;
      all.bytes += part.bytes;
    }
    report_.passes.push_back(all);
    return all;
  }

  void hand_over() {
    check_cancel();
    auto& first = *streams_.front();
    guest_.save([&](auto part) { send_state(first, part); });
    for (const auto& each : streams_)
      each->send(frame_kind::end);
    first.await(frame_kind::ready);
    check_cancel();
    // From here on the guest may run there: only its word, or its end, brings it back.
    told_ = true;
    settings_.decide();
    first.send(frame_kind::run);
    first.await(frame_kind::running);
  }

  static void send_state(page_sender& to, std::span<const std::byte> part) {
    constexpr auto piece = std::size_t{256} << 10;
    for (; !part.empty(); part = part.subspan(std::min(piece, part.size())))
      to.send_state(part.first(std::min(piece, part.size())));
  }

  void give_up() {
    report_.guest = told_ ? whereabouts::unknown : whereabouts::kept;
    if (!stopped_ || told_)
      return;
    try {
      guest_.resume();
    } catch (const std::exception& error) {
      report_.reason += "; and the guest could not be resumed: " + std::string{error.what()};
    }
  }

  void check_cancel() const {
    if (cancel_.stop_requested())
      throw migration_error{"it was cancelled"};
  }

  void close() noexcept {
    for (const auto& each : streams_)
      each->close();
  }

  source_guest& guest_;
  dirty_tracker& tracker_;
  const source_settings& settings_;
  std::stop_token cancel_;
  std::uint64_t page_count_;
  sent_pages sent_;
  std::uint16_t stream_count_;
  std::vector<std::unique_ptr<page_sender>> streams_;
  crew crew_;
  std::uint32_t pass_ = 0;
  std::optional<clock::time_point> stopped_;
  bool told_ = false;
  source_report report_;
};

} // namespace

std::string_view name(whereabouts x) {
  switch (x) {
    case whereabouts::kept: return "kept";
    case whereabouts::moved: return "moved";
    case whereabouts::unknown: return "unknown";
  }
  return "unknown";
}

std::uint16_t stream_count_here() {
  return static_cast<std::uint16_t>(std::clamp(std::thread::hardware_concurrency(), 2u, 8u));
}

source_report send_guest(source_guest& guest, dirty_tracker& tracker, std::vector<std::unique_ptr<channel>> ways,
                         const source_settings& settings, std::stop_token cancel) {
  return attempt{guest, tracker, std::move(ways), settings, std::move(cancel)}.run();
}

} // namespace novacron::migration
