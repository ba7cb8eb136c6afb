#include "actors/migration/frame.hpp"
#include "actors/migration/greeting.hpp"
#include "kernels/checksum.hpp"
#include "kernels/page.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace novacron;
using namespace novacron::migration;

namespace {

using bytes = std::vector<std::byte>;

bytes of(std::string_view text) {
  const auto* const begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

bytes sealed(frame_writer& by, frame_kind kind, std::string_view payload, std::uint32_t count = 0) {
  auto whole = bytes(frame_head);
  const auto content = of(payload);
  whole.insert(whole.end(), content.begin(), content.end());
  by.seal(kind, count, whole);
  return whole;
}

frame_fault fault_of(const bytes& whole, std::uint16_t stream = 3) {
  auto x = frame{};
  return frame_reader{stream}.next(whole, x);
}

/// A head with one field set to something else, sealed again as an enemy would.
bytes resealed(bytes whole, std::size_t at, std::byte value) {
  whole[at] = value;
  const auto all = std::span<const std::byte>{whole};
  kernels::store(whole.data() + 24, kernels::checksum(all.subspan(frame_head), kernels::checksum(all.first(24))));
  return whole;
}

} // namespace

SCENARIO("the checksum is xxHash's XXH64") {
  CHECK(kernels::checksum({}) == 0xEF46DB3751D8E999);
  CHECK(kernels::checksum(of("a")) == 0xD24EC4F1A98C6E5B);
  CHECK(kernels::checksum(of("abc")) == 0x44BC2CF5AD770999);
  CHECK(kernels::checksum(of("Nobody inspects the spammish repetition")) == 0xFBCEA83C8A378BF1);
}

SCENARIO("a frame is on the wire as doc/migration.md says") {
  auto by = frame_writer{3};
  sealed(by, frame_kind::hello, "");
  const auto whole = sealed(by, frame_kind::pages, "payload", 2);
  const auto head =
      std::string_view{"NVMF\x01\x02\x03\x00\x07\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", 24};
  CHECK(bytes(whole.begin(), whole.begin() + 24) == of(head));
  CHECK(whole.size() == 39);
}

SCENARIO("frames come out as they went in, one behind the other") {
  auto by = frame_writer{3};
  auto stream = sealed(by, frame_kind::hello, "who");
  for (const auto& more : {sealed(by, frame_kind::pages, "what", 1), sealed(by, frame_kind::end, "")})
    stream.insert(stream.end(), more.begin(), more.end());
  auto reader = frame_reader{3};
  auto rest = std::span<const std::byte>{stream};
  for (const auto* const payload : {"who", "what", ""}) {
    auto x = frame{};
    for (auto size = std::size_t{0}; size < frame_head + std::strlen(payload); ++size)
      CHECK(reader.next(rest.first(size), x) == frame_fault::unfinished);
    REQUIRE(reader.next(rest, x) == frame_fault::none);
    CHECK(bytes(x.payload.begin(), x.payload.end()) == of(payload));
    rest = rest.subspan(frame_reader::size_of(x));
  }
  CHECK(rest.empty());
}

SCENARIO("whatever byte of a frame changes, it is refused, and so is the stream from there on") {
  auto by = frame_writer{3};
  const auto whole = sealed(by, frame_kind::pages, "payload", 2);
  CHECK(fault_of(whole) == frame_fault::none);
  for (auto at = std::size_t{0}; at < whole.size(); ++at) {
    CAPTURE(at);
    auto bent = whole;
    bent[at] ^= std::byte{1};
    auto reader = frame_reader{3};
    auto x = frame{};
    const auto found = reader.next(bent, x);
    // A size that grew waits for bytes that do not come.
    if (at >= 8 && at < 11)
      CHECK((found == frame_fault::unfinished || found == frame_fault::damaged));
    else
      CHECK(found > frame_fault::unfinished);
    if (found > frame_fault::unfinished)
      CHECK(reader.next(whole, x) == found);
  }
}

SCENARIO("a frame that is whole but not right is named") {
  auto by = frame_writer{3};
  const auto whole = sealed(by, frame_kind::pages, "payload", 2);
  CHECK(fault_of(resealed(whole, 0, std::byte{'M'})) == frame_fault::not_a_frame);
  CHECK(fault_of(resealed(whole, 4, std::byte{2})) == frame_fault::other_version);
  CHECK(fault_of(resealed(whole, 5, std::byte{0})) == frame_fault::unknown_kind);
  CHECK(fault_of(resealed(whole, 5, std::byte{11})) == frame_fault::unknown_kind);
  CHECK(fault_of(whole, 4) == frame_fault::other_stream);
  CHECK(fault_of(resealed(whole, 10, std::byte{0x50})) == frame_fault::too_large);
  CHECK(fault_of(sealed(by, frame_kind::pages, "")) == frame_fault::out_of_sequence);
  for (auto x = frame_fault::none; x <= frame_fault::damaged; x = static_cast<frame_fault>(static_cast<int>(x) + 1))
    CHECK(!describe(x).empty());
}

SCENARIO("a payload has four megabytes and no more") {
  auto by = frame_writer{3};
  auto whole = bytes(frame_head + frame_payload_max);
  by.seal(frame_kind::pages, 0, whole);
  CHECK(fault_of(whole) == frame_fault::none);
  whole.emplace_back();
  CHECK_THROWS_AS(by.seal(frame_kind::pages, 0, whole), std::length_error);
}

SCENARIO("hello and barrier come out as they went in, and nothing else does") {
  auto x = hello{.page_count = 131072, .hash_seed = 7, .stream_count = 8};
  x.token[5] = std::byte{9};
  const auto written = write(x);
  CHECK(read_hello(written) == x);
  CHECK_FALSE(read_hello(std::span{written}.first(39)));
  for (const auto& [at, value] : {std::pair{33, 0x20}, {36, 0}, {36, 65}, {38, 1}, {23, 1}}) {
    auto bent = written;
    bent[static_cast<std::size_t>(at)] = static_cast<std::byte>(value);
    CHECK_FALSE(read_hello(bent));
  }
  const auto last = barrier{.pass = 5, .last = true};
  auto line = write(last);
  CHECK(read_barrier(line) == last);
  CHECK_FALSE(read_barrier(std::span{line}.first(7)));
  line[4] = std::byte{2};
  CHECK_FALSE(read_barrier(line));
}
