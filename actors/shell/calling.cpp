#include "actors/shell/calling.hpp"

#include "actors/shell/answers.hpp"
#include "actors/shell/units.hpp"
#include "messages/wire/function.pb.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <string>

namespace novacron::shell {
namespace {

/// As long as a call can take: it waits for an instance, and then for the handler.
constexpr auto call_max = std::chrono::seconds{120};

std::string range(const v1::FunctionView& x) {
  return fmt::format("{}-{}", x.instances_min(), x.instances_max());
}

table function_table(const v1::FunctionList& x) {
  auto out = table{.columns = {{"NAME"},
                               {"STATE"},
                               {"INSTANCES", false, true},
                               {"WANTED", false, true},
                               {"RANGE", false, true},
                               {"RUNNING", false, true},
                               {"WAITING", false, true},
                               {"ANSWERED", false, true},
                               {"FAILED", false, true},
                               {"COLD", true, true},
                               {"REFUSED", true, true},
                               {"IMAGE", true}},
                   .rows = {},
                   .noun = "function"};
  for (const auto& f : x.functions())
    out.rows.push_back({f.name(), f.state(), std::to_string(f.ready()), std::to_string(f.wanted()), range(f),
                        std::to_string(f.running()), std::to_string(f.waiting()), std::to_string(f.answered()),
                        std::to_string(f.failed()), std::to_string(f.cold()), std::to_string(f.refused()), f.image()});
  return out;
}

lines function_page(const v1::FunctionView& x) {
  return {{"name", x.name()},
          {"state", x.state()},
          {"image", x.image()},
          {"instances", fmt::format("{} ready, {} wanted, {} allowed", x.ready(), x.wanted(), range(x))},
          {"calls", fmt::format("{} running, {} waiting", x.running(), x.waiting())},
          {"so far", fmt::format("{} answered ({} of all waited for a start), {} failed, {} refused", x.answered(),
                                 x.cold(), x.failed(), x.refused())}};
}

} // namespace

int function_list(const invocation&, session& with) {
  return list<v1::FunctionList>(with, "/v1/functions", function_table);
}

int function_show(const invocation& what, session& with) {
  return show<v1::FunctionView>(with, below("functions", what.argument(0)), what.argument(0),
                                [&](const auto& x) { print(with.out, function_page(x), with.output); });
}

int function_invoke(const invocation& what, session& with) {
  const auto data = what.get("data");
  const auto body = data == "-" ? with.read_file("-") : data;
  const auto patience = what.has("timeout") ? std::chrono::milliseconds{0} : std::chrono::milliseconds{call_max};
  const auto name = what.argument(0);
  const auto answer = with.fabric().post(below("functions", name) + ":invoke?whole=true", body, patience);
  const auto call = read<v1::Invoked>(answer);
  if (!call.problem().empty())
    throw failure{exit_code::failed, fmt::format("{}: {}; see `novacron logs {}`", call.instance(),
                                                 harmless(call.problem()), call.instance())};
  return emit(with, answer, [&] {
    with.out << call.body();
    if (with.terminal)
      with.err << fmt::format(
          "{}{} answered in {}, {}\n", call.body().empty() || call.body().ends_with('\n') ? "" : "\n", call.instance(),
          print_seconds(static_cast<double>(call.ran_usec()) / 1e6), call.cold() ? "after a cold start" : "warm");
  });
}

} // namespace novacron::shell
