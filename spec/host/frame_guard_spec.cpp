#include "actors/host/frame_guard.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using host::frame_verdict;

namespace {

/// As caf/io/basp/header.hpp lays it out.
std::string header(unsigned operation, unsigned flags, std::uint64_t payload, std::uint64_t about,
                   std::uint64_t actor) {
  auto bytes = std::string{static_cast<char>(operation), '\0', '\0', static_cast<char>(flags)};
  auto put = [&](std::uint64_t value, int count) {
    for (auto i = count - 1; i >= 0; --i)
      bytes += static_cast<char>(value >> (8 * i) & 0xff);
  };
  put(payload, 4);
  put(about, 8);
  put(77, 8);
  put(actor, 8);
  return bytes;
}

constexpr auto answer = std::uint64_t{1} << 63 | 5;
constexpr auto largest = std::size_t{1000};

host::frame_finding judge(const std::string& bytes) {
  return host::judge_frame(bytes, largest,
                           [](const host::destination& x) { return x.actor == 42 || (x.actor == 43 && x.is_answer); });
}

} // namespace

SCENARIO("a frame passes when its peer may say it") {
  CHECK(header(2, 0, 0, 0, 42).size() == host::frame_header_bytes);
  WHEN("it is a message") {
    CHECK(judge(header(2, 0, 10, 5, 42)).what == frame_verdict::pass);
    CHECK(judge(header(2, 0, 10, 5, 42)).payload == 10);
    CHECK(judge(header(2, 0, 10, answer, 43)).what == frame_verdict::pass);
  }
  WHEN("it greets, beats, or watches") {
    for (const auto operation : {0u, 1u, 4u, 5u, 6u})
      CHECK(judge(header(operation, 0, 10, 3, 0)).what == frame_verdict::pass);
  }
}

SCENARIO("a frame to an actor that was not made for its peer is read and forgotten") {
  for (const auto& bytes : {header(2, 0, 10, 5, 41), header(2, 0, 10, 5, 43)}) {
    CHECK(judge(bytes).what == frame_verdict::drop);
    CHECK(judge(bytes).why == "stray");
    CHECK(judge(bytes).payload == 10);
  }
  THEN("so is one to an actor by name, which CAF itself sends at each connection") {
    const auto found = judge(header(2, 1, 10, 5, 42));
    CHECK(found.what == frame_verdict::drop);
    CHECK(found.why.empty());
  }
}

SCENARIO("a frame that no honest peer sends ends the connection") {
  CHECK(judge(header(2, 0, largest, 0, 42)).what == frame_verdict::pass);
  CHECK(judge(header(2, 0, largest + 1, 0, 42)).what == frame_verdict::cut);
  CHECK(judge(header(2, 0, 3'000'000'000u, 0, 42)).why == "too_large");
  CHECK(judge(header(0, 0, 3'000'000'000u, 0, 0)).why == "too_large");
  CHECK(judge(header(3, 0, 10, 0, 42)).what == frame_verdict::cut);
  CHECK(judge(header(3, 0, 10, 0, 42)).why == "routed");
  CHECK(judge(header(7, 0, 10, 0, 42)).why == "malformed");
  CHECK(judge(header(255, 0, 0, 0, 42)).what == frame_verdict::cut);
}
