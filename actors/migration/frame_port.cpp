#include "actors/migration/frame_port.hpp"

#include "kernels/page.hpp"

#include <algorithm>
#include <string>

namespace novacron::migration {
namespace {

/// Where a frame's head has the number of its stream.
constexpr auto stream_at = std::size_t{6};

} // namespace

frame_port::frame_port(std::unique_ptr<channel> way, std::uint16_t stream, std::size_t payload_max)
    : way_{std::move(way)}, stream_{stream}, writer_{stream}, reader_{stream}, came_(frame_head + payload_max) {}

void frame_port::identify() {
  while (end_ < stream_at + 2)
    read_more();
  stream_ = kernels::load<std::uint16_t>(came_.data() + stream_at);
  writer_ = frame_writer{stream_};
  reader_ = frame_reader{stream_};
}

void frame_port::send(frame_kind kind, std::span<const std::byte> payload) {
  small_.resize(frame_head + payload.size());
  std::ranges::copy(payload, small_.begin() + frame_head);
  send(kind, 0, small_);
}

void frame_port::send(frame_kind kind, std::uint32_t count, std::span<std::byte> whole) {
  writer_.seal(kind, count, whole);
  way_->send(whole);
}

frame frame_port::receive() {
  for (auto x = frame{};;) {
    const auto fault = reader_.next(std::span{came_}.subspan(begin_, end_ - begin_), x);
    if (fault == frame_fault::none) {
      begin_ += frame_reader::size_of(x);
      return x;
    }
    if (fault != frame_fault::unfinished)
      throw migration_error{std::string{describe(fault)}};
    read_more();
  }
}

void frame_port::read_more() {
  if (begin_ == end_)
    begin_ = end_ = 0;
  if (begin_ > 0 && came_.size() - end_ < came_.size() / 2) {
    std::copy(came_.begin() + static_cast<std::ptrdiff_t>(begin_), came_.begin() + static_cast<std::ptrdiff_t>(end_),
              came_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == came_.size())
    throw migration_error{"the other host sent a frame larger than it may be here"};
  const auto count = way_->receive(std::span{came_}.subspan(end_));
  if (count == 0)
    throw migration_error{"the other host closed the connection"};
  end_ += count;
}

} // namespace novacron::migration
