#include "spec/migration/moving_guest.hpp"

#include "kernels/sample.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace novacron::spec {
namespace {

using namespace migration;

constexpr auto page_size = std::size_t{4096};

/// Sends through another channel until its mishap.
class unlucky_channel final : public channel {
public:
  unlucky_channel(std::unique_ptr<channel> way, std::function<void()> sending, mishap trouble)
      : way_{std::move(way)}, sending_{std::move(sending)}, trouble_{std::move(trouble)} {}

  void send(std::span<const std::byte> bytes) override {
    if (sending_)
      sending_();
    const auto left = trouble_.after - std::min(trouble_.after, gone_);
    const auto now = trouble_.what != mishap::kind::none && !over_ && left < bytes.size();
    gone_ += bytes.size();
    if (!now)
      return way_->send(bytes);
    over_ = true;
    auto copy = std::vector<std::byte>{bytes.begin(), bytes.end()};
    if (trouble_.what == mishap::kind::flip)
      copy[left] ^= std::byte{1};
    if (trouble_.what == mishap::kind::cut)
      copy.resize(left);
    way_->send(copy);
    if (trouble_.what == mishap::kind::cut)
      way_->close();
    if (trouble_.what == mishap::kind::call)
      trouble_.call();
  }
  std::size_t receive(std::span<std::byte> into) override { return way_->receive(into); }
  bool readable() override { return way_->readable(); }
  void close() noexcept override { way_->close(); }

private:
  std::unique_ptr<channel> way_;
  std::function<void()> sending_;
  mishap trouble_;
  std::uint64_t gone_ = 0;
  bool over_ = false;
};

} // namespace

moving_guest::moving_guest(std::uint64_t page_count, std::uint16_t stream_count, std::uint32_t seed)
    : memory_(page_count * page_size), touched_{page_count}, dirty_(page_count), parts_(stream_count) {
  auto chance = std::minstd_rand{seed};
  const auto sample = kernels::sample_memory(64, seed);
  for (auto page = std::uint64_t{0}; page < page_count; ++page) {
    parts_[page / range_pages % stream_count].pages.push_back(page);
    // A fifth was touched: with content of a guest, so that there are zeros and copies.
    if (chance() % 5 != 0)
      continue;
    touched_.insert({page, 1});
    std::memcpy(memory_.data() + page * page_size, sample.data() + chance() % 64 * page_size, page_size);
  }
  for (auto& each : parts_)
    each.chance.seed(static_cast<std::uint32_t>(chance()));
}

void moving_guest::write(std::uint16_t stream) {
  auto& mine = parts_[stream];
  if (!runs_ || mine.pages.empty())
    return;
  for (auto left = mine.chance() % (pace_ + 1); left > 0; --left)
    change(mine);
}

// As guests do: a word, a whole page, a page freed, a page copied, a page made as another one was before.
void moving_guest::change(part& mine) {
  const auto any = [&] { return mine.pages[mine.chance() % std::min<std::size_t>(mine.pages.size(), 100)]; };
  const auto number = any();
  auto page = std::span{memory_}.subspan(number * page_size, page_size);
  switch (mine.chance() % 6) {
    case 0: std::ranges::fill(page, std::byte{}); break;
    case 1: std::ranges::fill(page, std::byte{0xCC}); break;
    case 2: std::ranges::copy(std::span{memory_}.subspan(any() * page_size, page_size), page.begin()); break;
    default: kernels::sample_write(page, mine.chance()); break;
  }
  dirty_[number] = 1;
  touched_.insert({number, 1});
}

void moving_guest::stop() {
  // What is written until the very end counts too.
  for (auto& mine : parts_)
    if (!mine.pages.empty())
      change(mine);
  runs_ = false;
}

void moving_guest::save(const std::function<void(std::span<const std::byte>)>& take) {
  const auto words = std::string_view{"devices"};
  take(std::as_bytes(std::span{words}.first(3)));
  take(std::as_bytes(std::span{words}.subspan(3)));
}

void moving_guest::collect(page_set& into) {
  for (auto page = std::uint64_t{0}; page < dirty_.size(); ++page)
    if (std::exchange(dirty_[page], std::uint8_t{0}) != 0)
      into.insert({page, 1});
}

std::pair<std::unique_ptr<channel>, std::unique_ptr<channel>>
make_way(std::function<void()> sending, mishap forth, mishap back, std::chrono::milliseconds patience) {
  auto ends = std::array<int, 2>{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw std::runtime_error{"no sockets"};
  return {
      std::make_unique<unlucky_channel>(make_socket_channel(ends[0], patience), std::move(sending), std::move(forth)),
      std::make_unique<unlucky_channel>(make_socket_channel(ends[1], patience), nullptr, std::move(back))};
}

} // namespace novacron::spec
