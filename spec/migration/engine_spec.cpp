#include "actors/migration/sink.hpp"
#include "actors/migration/source.hpp"
#include "spec/migration/moving_guest.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

using namespace novacron;
using namespace novacron::migration;
using namespace novacron::spec;

namespace {

constexpr auto token = std::array<std::byte, 16>{std::byte{7}};

/// A migration between two pieces of memory.
struct journey {
  std::uint64_t page_count = 3 * range_pages + 77;
  std::uint16_t stream_count = 3;
  std::uint32_t seed = 1;
  source_settings settings{.token = token, .hash_seed = 99};
  unsigned pace = 3;
  bool refuses = false;
  /// Of one stream.
  std::uint16_t unlucky = 0;
  mishap forth;
  mishap back;
  std::stop_source cancel_source;
  std::stop_source cancel_sink;

  std::unique_ptr<moving_guest> here;
  std::unique_ptr<arriving_guest> there;
  source_report sent;
  sink_report received;

  journey& run() {
    here = std::make_unique<moving_guest>(page_count, stream_count, seed);
    there = std::make_unique<arriving_guest>(page_count);
    here->set_pace(pace);
    there->refuses = refuses;
    auto ours = std::vector<std::unique_ptr<channel>>{};
    auto theirs = std::vector<std::unique_ptr<channel>>{};
    for (auto i = std::uint16_t{0}; i < stream_count; ++i) {
      const auto hit = i == unlucky;
      auto [a, b] =
          make_way([this, i] { here->write(i); }, hit ? forth : mishap{}, hit ? back : mishap{},
                   // With a length that was damaged each end waits for the other.
                   std::chrono::seconds{forth.what == mishap::kind::flip || back.what == mishap::kind::flip ? 2 : 60});
      ours.push_back(std::move(a));
      theirs.insert(theirs.begin(), std::move(b));
    }
    auto sink =
        std::jthread{[&] { received = receive_guest(*there, std::move(theirs), token, cancel_sink.get_token()); }};
    sent = send_guest(*here, *here, std::move(ours), settings, cancel_source.get_token());
    return *this;
  }

  bool same_memory() const { return std::ranges::equal(here->memory(), there->memory()); }

  /// What must hold whatever happened: the guest is in one place, whole.
  void check_one_guest() const {
    INFO("seed ", seed, ", ", sent.reason, " / ", received.reason);
    REQUIRE(there->runs() == received.runs);
    REQUIRE(there->runs() != there->discarded());
    REQUIRE_FALSE((here->runs() && there->runs()));
    if (there->runs())
      REQUIRE(same_memory());
    if (sent.guest == whereabouts::moved)
      REQUIRE((there->runs() && !here->runs()));
    if (sent.guest == whereabouts::kept)
      REQUIRE((here->runs() && !there->runs()));
    // Not to know is possible only after the word to run was given, and then the guest stands still here.
    if (sent.guest == whereabouts::unknown)
      REQUIRE_FALSE(here->runs());
  }
};

int rounds(int usual) {
  const auto* const told = std::getenv("NOVACRON_ROUNDS");
  return told == nullptr ? usual : std::atoi(told);
}

} // namespace

SCENARIO("a guest that writes while it is moved arrives as it was") {
  for (const auto coding : {std::optional<block_coding>{}, std::optional{block_coding::raw},
                            std::optional{block_coding::lz4}, std::optional{block_coding::zstd}}) {
    auto x = journey{};
    x.settings.coding = coding;
    x.run();
    INFO(x.sent.reason, " / ", x.received.reason);
    CHECK(x.sent.guest == whereabouts::moved);
    CHECK(x.received.runs);
    CHECK(x.same_memory());
    CHECK(x.there->state().size() == 7);
    CHECK(x.sent.passes.size() == x.received.pass_count);
    CHECK(x.sent.bytes > 0);
    CHECK(x.sent.cpu_seconds > 0);
    x.check_one_guest();
  }
}

SCENARIO("pages are deltas, references and copies of copies, and none is lost") {
  for (auto seed = 1; seed <= rounds(100); ++seed) {
    auto chance = std::minstd_rand{static_cast<std::uint32_t>(seed)};
    auto x = journey{.page_count = 1 + chance() % 2500,
                     .stream_count = static_cast<std::uint16_t>(1 + chance() % 8),
                     .seed = static_cast<std::uint32_t>(seed),
                     .pace = static_cast<unsigned>(chance() % 40)};
    x.settings.copies_max = chance() % 3 == 0 ? chance() % 200 * 4096 : std::uint64_t{1} << 40;
    if (chance() % 2 == 0)
      x.settings.coding = static_cast<block_coding>(chance() % 3);
    // Many passes, so that deltas follow deltas.
    x.settings.limits = {.downtime_max = 1e-9,
                         .handover = 0,
                         .downtime_forced = 1e9,
                         .pass_max = static_cast<std::uint32_t>(2 + chance() % 6)};
    x.run();
    INFO("seed ", seed, ": ", x.sent.reason, " / ", x.received.reason);
    REQUIRE(x.sent.guest == whereabouts::moved);
    x.check_one_guest();
  }
}

SCENARIO("whatever happens to a stream, the guest runs once, and whole") {
  auto outcomes = std::array<int, 3>{};
  for (auto seed = 1; seed <= rounds(200); ++seed) {
    auto chance = std::minstd_rand{static_cast<std::uint32_t>(seed * 7919)};
    auto x = journey{.page_count = 1 + chance() % 1500,
                     .stream_count = static_cast<std::uint16_t>(1 + chance() % 4),
                     .seed = static_cast<std::uint32_t>(seed)};
    x.unlucky = static_cast<std::uint16_t>(chance() % x.stream_count);
    auto& trouble = chance() % 4 == 0 ? x.back : x.forth;
    // Often near the begin or among the last words; a journey without any is the whole of it.
    trouble.after = chance() % (chance() % 2 == 0 ? 4000 : 300'000);
    if (&trouble == &x.back)
      trouble.after = chance() % 2000;
    switch (chance() % 4) {
      case 0: trouble.what = mishap::kind::cut; break;
      case 1: trouble.what = mishap::kind::flip; break;
      case 2:
        trouble.what = mishap::kind::call;
        trouble.call = [stop = x.cancel_source]() mutable { stop.request_stop(); };
        break;
      default:
        trouble.what = mishap::kind::call;
        trouble.call = [stop = x.cancel_sink]() mutable { stop.request_stop(); };
    }
    x.run();
    x.check_one_guest();
    ++outcomes[static_cast<std::size_t>(x.sent.guest)];
  }
  MESSAGE("kept ", outcomes[0], ", moved ", outcomes[1], ", unknown ", outcomes[2]);
  CHECK(outcomes[0] > 0);
  CHECK(outcomes[1] > 0);
}

SCENARIO("a stream that breaks at any byte of a small migration harms nobody") {
  const auto whole = journey{.page_count = 40, .stream_count = 1, .pace = 0}.run().sent.bytes + 400;
  for (auto at = std::uint64_t{0}; at < whole; at += 1 + whole / static_cast<std::uint64_t>(rounds(60))) {
    for (const auto kind : {mishap::kind::cut, mishap::kind::flip}) {
      auto x = journey{.page_count = 40, .stream_count = 1, .pace = 0, .forth = {.what = kind, .after = at}};
      x.run();
      INFO("at byte ", at);
      x.check_one_guest();
    }
  }
}

SCENARIO("a guest that outruns its link stays where it is") {
  auto x = journey{.stream_count = 1, .pace = 400};
  x.settings.limits = {.downtime_max = 1e-9, .handover = 0, .downtime_forced = 1e-9, .pass_max = 4};
  x.run();
  CHECK(x.sent.guest == whereabouts::kept);
  CHECK(x.sent.reason.find("faster than the link") != std::string::npos);
  x.check_one_guest();
}

SCENARIO("a target that cannot run the guest gives it back") {
  auto x = journey{.refuses = true};
  x.run();
  CHECK(x.sent.guest == whereabouts::kept);
  CHECK(x.sent.reason.find("the guest did not start") != std::string::npos);
  x.check_one_guest();
}

SCENARIO("a target takes no guest that it does not expect") {
  auto x = journey{};
  x.settings.token = {};
  x.run();
  CHECK(x.sent.guest == whereabouts::kept);
  CHECK(x.received.reason.find("token") != std::string::npos);
  x.check_one_guest();
}

SCENARIO("a cancel is obeyed at once") {
  auto x = journey{.page_count = 20'000};
  auto asked = std::chrono::steady_clock::time_point{};
  x.forth = {.what = mishap::kind::call, .after = 50'000, .call = [&] {
               asked = std::chrono::steady_clock::now();
               x.cancel_source.request_stop();
             }};
  x.run();
  CHECK(x.sent.guest == whereabouts::kept);
  CHECK(x.sent.reason == "it was cancelled");
#ifndef NOVACRON_SANITIZED
  // A second is promised, and kept in spec/reality; a host that builds meanwhile gets more.
  CHECK(std::chrono::steady_clock::now() - asked < std::chrono::seconds{5});
#endif
  x.check_one_guest();
}
