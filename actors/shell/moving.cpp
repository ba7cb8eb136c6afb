#include "actors/shell/moving.hpp"

#include "actors/shell/answers.hpp"
#include "actors/shell/units.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <ostream>
#include <string>

namespace novacron::shell {
namespace {

using nlohmann::json;

/// Between two looks at a move that is waited for.
constexpr auto look_interval_ms = 200;

std::string seconds_in_words(double x) {
  return x < 1 ? fmt::format("{:.0f} ms", x * 1000) : fmt::format("{:.1f} s", x);
}

std::string rate_in_words(std::uint64_t x) {
  return print_bytes(x) + "/s";
}

/// "moving, 78 %, 96.1 MiB, 44 MiB/s, 3.1:1, 12 MiB/s dirtied".
std::string progress_in_words(const v1::MoveProgress& x) {
  auto text = x.phase();
  if (x.part() > 0)
    text += fmt::format(", {:.0f} %", x.part() * 100);
  if (x.bytes() > 0)
    text += ", " + print_bytes(x.bytes());
  if (x.bytes_per_second() > 0)
    text += ", " + rate_in_words(x.bytes_per_second());
  if (x.ratio() > 0)
    text += fmt::format(", {:.1f}:1", x.ratio());
  if (x.dirty_bytes_per_second() > 0)
    text += fmt::format(", {} dirtied", rate_in_words(x.dirty_bytes_per_second()));
  if (x.seconds_left() > 0)
    text += fmt::format(", {} left", seconds_in_words(x.seconds_left()));
  return text;
}

std::string state_in_words(const v1::Migration& x) {
  if (x.phase() == "moving")
    return progress_in_words(x.progress());
  if (x.phase() == "kept")
    return x.reason();
  return fmt::format(
      "{}, stood still {}, {} in {} pass{}", seconds_in_words(static_cast<double>(x.ended_ms() - x.began_ms()) / 1000),
      seconds_in_words(x.still_seconds()), print_bytes(x.bytes()), x.passes(), x.passes() == 1 ? "" : "es");
}

/// "2.4 s, 31 MiB, standing still for 18 ms (from 3 earlier moves)".
std::string expected_in_words(const v1::MoveEstimate& x) {
  const auto from = x.moves() == 0   ? std::string{"what is usual"}
                    : x.moves() == 1 ? "one earlier move"
                                     : fmt::format("{} earlier moves", x.moves());
  return fmt::format("{}, {}, standing still for {} (from {})", seconds_in_words(x.seconds()), print_bytes(x.bytes()),
                     seconds_in_words(x.still_seconds()), from);
}

/// Until it is over; 0 when it has moved.
int follow_move(session& with, const std::string& name) {
  auto shown = std::string{};
  const auto tell = [&](const std::string& line) {
    if (line != shown && !with.output.quiet)
      with.err << (with.terminal ? "\r\x1b[K" : "") << harmless(line) << (with.terminal ? "" : "\n") << std::flush;
    shown = line;
  };
  const auto end_line = [&] {
    if (with.terminal && !shown.empty() && !with.output.quiet)
      with.err << std::endl;
  };
  try {
    for (;;) {
      const auto body = with.fabric().get(below("migrations", name));
      const auto now = read<v1::Migration>(body);
      tell(fmt::format("{}: {} to {}: {}", now.instance(), now.source(), now.target(), state_in_words(now)));
      if (now.phase() != "moving")
        end_line();
      if (now.phase() == "moved")
        return emit(with, body, [] {});
      if (now.phase() == "kept")
        throw failure{exit_code::failed, fmt::format("{} stays on {}: {}", now.instance(), now.source(), now.reason())};
      with.pause(look_interval_ms);
    }
  } catch (const interrupted&) {
    with.err << fmt::format("\nstopped watching; the move goes on (`novacron migration show {0}`, `novacron migration "
                            "cancel {0}`)",
                            name)
             << std::endl;
    throw;
  }
}

} // namespace

int migrate(const invocation& what, session& with) {
  if (!what.has("to"))
    throw failure{exit_code::usage, "say where to, as in --to=edge-2 (`node list` shows the nodes)"};
  const auto body = json{{"node", what.get("to")},
                         {"streams", what.number("streams", 0)},
                         {"codec", what.get("codec", "auto")},
                         {"downtime_ms", what.milliseconds("max-downtime", 0)},
                         {"only_check", what.has("check")}};
  const auto answer = with.fabric().order("POST", below("instances", what.argument(0)) + ":migrate", body.dump());
  const auto begun = read<v1::Migration>(answer);
  if (what.has("check"))
    return emit(with, answer, [&] {
      with.out << fmt::format("{} can move from {} to {}; expected: {}\n", harmless(begun.instance()),
                              harmless(begun.source()), harmless(begun.target()), expected_in_words(begun.expected()));
    });
  if (what.has("wait"))
    return follow_move(with, begun.name());
  return emit(with, answer, [&] {
    with.out << fmt::format("{} is on its way to {}; `novacron migration show {}` says how far it is\n",
                            harmless(begun.instance()), harmless(begun.target()), harmless(begun.name()));
  });
}

int migration_list(const invocation&, session& with) {
  return list<v1::MigrationList>(with, "/v1/migrations", [](const auto& x) {
    auto out = table{.columns = {{"NAME"}, {"INSTANCE"}, {"FROM"}, {"TO"}, {"STATE"}, {"BEGAN"}, {"HOW"}},
                     .rows = {},
                     .noun = "migration"};
    for (const auto& m : x.migrations())
      out.rows.push_back(
          {m.name(), m.instance(), m.source(), m.target(), m.phase(), print_time(m.began_ms()), state_in_words(m)});
    return out;
  });
}

int migration_show(const invocation& what, session& with) {
  return show<v1::Migration>(
      with, below("migrations", what.argument(0)), what.argument(0), [&](const v1::Migration& x) {
        const auto time = [](std::int64_t ms) { return ms > 0 ? print_time(ms) : std::string{}; };
        print(with.out,
              lines{{"name", x.name()},
                    {"instance", x.instance()},
                    {"from", x.source()},
                    {"to", x.target()},
                    {"state", x.phase()},
                    {"how", state_in_words(x)},
                    {"expected", x.has_expected() ? expected_in_words(x.expected()) : ""},
                    {"began", time(x.began_ms())},
                    {"ended", time(x.ended_ms())}},
              with.output);
      });
}

int migration_cancel(const invocation& what, session& with) {
  return order(with, "POST", below("migrations", what.argument(0)) + ":cancel", {},
               fmt::format("{} is cancelled; what it was about goes on where it is", what.argument(0)));
}

} // namespace novacron::shell
