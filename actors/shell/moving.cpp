#include "actors/shell/moving.hpp"

#include "actors/host/files.hpp"
#include "actors/shell/answers.hpp"
#include "actors/shell/move_picture.hpp"
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

double seconds_of(const v1::Migration& x) {
  return static_cast<double>(x.ended_ms() - x.began_ms()) / 1000;
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
  return fmt::format("{}, stood still {}, {} in {} pass{}", seconds_in_words(seconds_of(x)),
                     seconds_in_words(x.still_seconds()), print_bytes(x.bytes()), x.passes(),
                     x.passes() == 1 ? "" : "es");
}

/// What each pass over the memory was.
table course_table(const v1::Migration& x) {
  auto out = table{.columns = {{"PASS", false, true},
                               {"TOOK", false, true},
                               {"MEMORY", false, true},
                               {"BYTES", false, true},
                               {"RATE", false, true},
                               {"WRITTEN MEANWHILE", false, true}},
                   .rows = {},
                   .noun = "pass"};
  for (const auto& pass : x.course())
    out.rows.push_back(
        {std::to_string(out.rows.size() + 1), seconds_in_words(pass.seconds()), print_bytes(pass.pages() * 4096),
         print_bytes(pass.bytes()),
         pass.seconds() > 0
             ? rate_in_words(static_cast<std::uint64_t>(static_cast<double>(pass.bytes()) / pass.seconds()))
             : "",
         print_bytes(pass.written() * 4096)});
  return out;
}

/// "2.4 s (mostly 1.9 s to 3.0 s), 31 MiB, standing still for 18 ms (from 3 earlier moves)".
std::string expected_in_words(const v1::MoveEstimate& x) {
  const auto from = x.moves() == 0   ? std::string{"what is usual"}
                    : x.moves() == 1 ? "one earlier move"
                                     : fmt::format("{} earlier moves", x.moves());
  const auto range = x.seconds_high() > 0 ? fmt::format(" (mostly {} to {})", seconds_in_words(x.seconds_low()),
                                                        seconds_in_words(x.seconds_high()))
                                          : std::string{};
  return fmt::format("{}{}, {}, standing still for {} (from {})", seconds_in_words(x.seconds()), range,
                     print_bytes(x.bytes()), seconds_in_words(x.still_seconds()), from);
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

/// Writes the picture of a move; says what it did to who watches.
void keep_picture(const v1::Migration& x, const std::string& file, session& with) {
  const auto drawn = draw_move(x);
  if (drawn.empty())
    throw failure{exit_code::conflict,
                  fmt::format("nothing is known of the passes of {}: they are told when it is over, and only if it had "
                              "begun to send",
                              x.name())};
  try {
    host::replace_file(file, drawn);
  } catch (const std::exception& problem) {
    throw failure{exit_code::failed, fmt::format("{} cannot be written: {}", file, problem.what())};
  }
  if (!with.output.quiet)
    with.err << fmt::format("drawn into {}\n", file);
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
  return list<v1::MigrationList>(with, "/v1/migrations?state=moving", [](const auto& x) {
    auto out = table{.columns = {{"NAME"}, {"INSTANCE"}, {"FROM"}, {"TO"}, {"BEGAN"}, {"CAUSE", true}, {"HOW"}},
                     .rows = {},
                     .noun = "migration"};
    for (const auto& m : x.migrations())
      out.rows.push_back(
          {m.name(), m.instance(), m.source(), m.target(), print_time(m.began_ms()), m.cause(), state_in_words(m)});
    return out;
  });
}

int migration_history(const invocation&, session& with) {
  return list<v1::MigrationList>(with, "/v1/migrations?state=over", [](const auto& x) {
    auto out = table{.columns = {{"NAME"},
                                 {"FROM"},
                                 {"TO"},
                                 {"STATE"},
                                 {"ENDED"},
                                 {"BYTES", false, true},
                                 {"TOOK", false, true},
                                 {"EXPECTED", false, true},
                                 {"STILL", false, true},
                                 {"EXPECTED STILL", false, true},
                                 {"PASSES", true, true},
                                 {"CAUSE", true},
                                 {"WHY"}},
                     .rows = {},
                     .noun = "migration"};
    const auto of = [](double seconds) { return seconds > 0 ? seconds_in_words(seconds) : std::string{}; };
    for (const auto& m : x.migrations())
      out.rows.push_back({m.name(), m.source(), m.target(), m.phase(), print_time(m.ended_ms()),
                          m.bytes() > 0 ? print_bytes(m.bytes()) : "", of(seconds_of(m)), of(m.expected().seconds()),
                          of(m.still_seconds()), of(m.expected().still_seconds()), std::to_string(m.passes()),
                          m.cause(), m.reason()});
    return out;
  });
}

int migration_show(const invocation& what, session& with) {
  const auto body = with.fabric().get(below("migrations", what.argument(0)));
  const auto x = read<v1::Migration>(body);
  if (what.has("plot"))
    keep_picture(x, what.get("plot"), with);
  return emit(with, body, [&] {
    if (with.output.quiet || with.output.as == format::name) {
      with.out << x.name() << '\n';
      return;
    }
    const auto time = [](std::int64_t ms) { return ms > 0 ? print_time(ms) : std::string{}; };
    print(with.out,
          lines{{"name", x.name()},
                {"instance", x.instance()},
                {"from", x.source()},
                {"to", x.target()},
                {"cause", x.cause()},
                {"state", x.phase()},
                {"how", state_in_words(x)},
                {"expected", x.has_expected() ? expected_in_words(x.expected()) : ""},
                {"began", time(x.began_ms())},
                {"ended", time(x.ended_ms())}},
          with.output);
    if (x.course().empty())
      return;
    with.out << '\n';
    print(with.out, course_table(x), with.output);
  });
}

int migration_cancel(const invocation& what, session& with) {
  return order(with, "POST", below("migrations", what.argument(0)) + ":cancel", {},
               fmt::format("{} is cancelled; what it was about goes on where it is", what.argument(0)));
}

} // namespace novacron::shell
