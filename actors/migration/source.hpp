#pragma once

/// Moves a guest away: passes over its memory while it runs, one more with the guest stopped, then its devices.
/// Whatever goes wrong before the target was told to run the guest, it goes on here.

#include "actors/migration/channel.hpp"
#include "actors/migration/dirty_tracker.hpp"
#include "actors/migration/greeting.hpp"
#include "actors/migration/guest.hpp"
#include "actors/migration/page_sender.hpp"
#include "actors/migration/pass_planner.hpp"
#include "kernels/codec.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace novacron::migration {

struct source_settings {
  /// By which the target knows the migration.
  std::array<std::byte, 16> token{};
  /// Which the guest cannot know.
  std::uint64_t hash_seed = 0;
  /// Chosen by what is measured, where none is given.
  std::optional<block_coding> coding;
  pass_limits limits;
  /// What copies of sent pages may take. The guest's size keeps all of them.
  std::uint64_t copies_max = std::uint64_t{1} << 40;
  std::function<std::unique_ptr<kernels::codec>()> make_codec = [] { return kernels::make_cpu_codec(); };
  /// Called when the target is ready, before it is told to run the guest: returns once it is certain that it shall.
  /// Throws a refusal when it is certain that the guest goes on here; after any other exception nobody here knows.
  std::function<void()> decide = [] {};
  /// Told after each pass, the last one too: which it was, what it took, and how many pages were written to meanwhile.
  std::function<void(std::uint32_t, const pass_facts&, std::uint64_t)> passed = [](auto, const auto&, auto) {};
};

/// Where the guest is after an attempt.
enum class whereabouts : std::uint8_t {
  /// It runs here, as before.
  kept,
  /// It runs there, and stays stopped here until it is thrown away.
  moved,
  /// The target was told to run it and did not answer: it stays stopped here until somebody who knows says whether it
  /// runs there.
  unknown,
};

std::string_view name(whereabouts x);

struct source_report {
  whereabouts guest = whereabouts::kept;
  /// Why it was kept, or is not known; empty when it has moved.
  std::string reason;
  /// From the begin to the guest running there, and of these with the guest stopped.
  double seconds = 0;
  double downtime = 0;
  /// Of all threads of the source.
  double cpu_seconds = 0;
  /// On the wire, towards the target.
  std::uint64_t bytes = 0;
  std::vector<pass_facts> passes;
  /// How blocks were coded in the end.
  coding_step coding;
};

/// How many streams are worth it on a host like this one: one for each processor, 2 to 8.
std::uint16_t stream_count_here();

/// `ways` are the streams, connected, at least one. Blocks until it is decided; a stop request ends the attempt at
/// once.
source_report send_guest(source_guest& guest, dirty_tracker& tracker, std::vector<std::unique_ptr<channel>> ways,
                         const source_settings& settings, std::stop_token cancel = {});

} // namespace novacron::migration
