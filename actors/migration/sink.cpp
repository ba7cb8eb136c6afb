#include "actors/migration/sink.hpp"

#include "actors/migration/crew.hpp"
#include "actors/migration/frame_port.hpp"
#include "actors/migration/greeting.hpp"
#include "actors/migration/page_receiver.hpp"
#include "kernels/page.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

namespace novacron::migration {
namespace {

class reception {
public:
  reception(target_guest& guest, std::vector<std::unique_ptr<channel>> ways, const std::array<std::byte, 16>& token,
            std::stop_token cancel)
      : guest_{guest}, token_{token}, cancel_{std::move(cancel)}, by_stream_(ways.size()) {
    for (auto& way : ways)
      ports_.push_back(std::make_unique<frame_port>(std::move(way)));
  }

  sink_report run() {
    auto wake = std::stop_callback{cancel_, [this] { close(); }};
    try {
      guest_.clear();
      crew_.run(
          ports_.size(), [this](auto i) { receive(*ports_[i]); }, [this] { close(); });
      take_over();
      report_.runs = true;
    } catch (const std::exception& error) {
      report_.reason = cancel_.stop_requested() ? "it was cancelled" : error.what();
      guest_.discard();
      refuse();
      close();
    }
    report_.cpu_seconds = crew_.cpu_seconds();
    return std::move(report_);
  }

private:
  void receive(frame_port& mine) {
    mine.identify();
    const auto scope = welcome(mine);
    auto receiver = page_receiver{guest_, scope};
    try {
      // All that arrived, so that the source knows by one number what is under way.
      for (auto arrived = std::uint64_t{0}; !receiver.complete();) {
        const auto x = mine.receive();
        receiver.apply(x);
        if (x.kind != frame_kind::pages && x.kind != frame_kind::barrier)
          continue;
        arrived += frame_reader::size_of(x);
        auto word = std::array<std::byte, 8>{};
        kernels::store(word.data(), arrived);
        mine.send(frame_kind::applied, word);
      }
    } catch (const migration_error& error) {
      refuse(mine, error.what());
      throw;
    }
    const auto lock = std::lock_guard{mutex_};
    report_.pass_count = std::max(report_.pass_count, receiver.pass_count());
    if (scope.stream == 0)
      state_.assign(receiver.state().begin(), receiver.state().end());
  }

  page_scope welcome(frame_port& port) {
    const auto first = port.receive();
    const auto said = first.kind == frame_kind::hello ? read_hello(first.payload) : std::nullopt;
    if (!said)
      throw migration_error{"who connected did not begin with a hello"};
    if (said->token != token_)
      throw migration_error{"who connected does not know the migration's token"};
    if (said->stream_count != ports_.size() || port.stream() >= said->stream_count)
      throw migration_error{"the source has another number of streams than was agreed"};
    if (said->page_count != guest_.memory().size() / kernels::page_size)
      throw migration_error{"the guest there has another size of memory than here"};
    place(port);
    return {.page_count = said->page_count, .stream = port.stream(), .stream_count = said->stream_count};
  }

  void place(frame_port& port) {
    const auto lock = std::lock_guard{mutex_};
    if (std::exchange(by_stream_[port.stream()], &port) != nullptr)
      throw migration_error{"two connections say that they are the same stream"};
  }

  void take_over() {
    guest_.load(state_);
    auto& first = *by_stream_.front();
    first.send(frame_kind::ready);
    if (first.receive().kind != frame_kind::run)
      throw migration_error{"the source did not say that the guest shall run here"};
    guest_.run();
    try {
      first.send(frame_kind::running);
    } catch (const migration_error&) {
      // The source hears it from others: the guest runs here, and there it stands still.
    }
  }

  static void refuse(frame_port& port, std::string_view why) noexcept {
    try {
      port.send(frame_kind::refused, std::as_bytes(std::span{why}));
    } catch (const migration_error&) {
      // A source that cannot be told sees the end of the stream.
    }
  }
  void refuse() noexcept {
    if (!by_stream_.empty() && by_stream_.front() != nullptr)
      refuse(*by_stream_.front(), report_.reason);
  }

  void close() noexcept {
    for (const auto& each : ports_)
      each->close();
  }

  target_guest& guest_;
  std::array<std::byte, 16> token_;
  std::stop_token cancel_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<frame_port>> ports_;
  std::vector<frame_port*> by_stream_;
  std::vector<std::byte> state_;
  crew crew_;
  sink_report report_;
};

} // namespace

sink_report receive_guest(target_guest& guest, std::vector<std::unique_ptr<channel>> ways,
                          const std::array<std::byte, 16>& token, std::stop_token cancel) {
  return reception{guest, std::move(ways), token, std::move(cancel)}.run();
}

} // namespace novacron::migration
