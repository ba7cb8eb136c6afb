#include "actors/shell/checkpoints.hpp"

#include "actors/shell/answers.hpp"
#include "actors/shell/follow.hpp"
#include "actors/shell/lasting.hpp"
#include "actors/shell/parse.hpp"
#include "actors/shell/units.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <ostream>
#include <vector>

namespace novacron::shell {
namespace {

using nlohmann::json;

constexpr auto wait_default_ms = std::uint64_t{60'000};
constexpr auto checkpoints_path = "/v1/checkpoints";

bool is_over(v1::Phase x) {
  return x == v1::PHASE_STOPPED || x == v1::PHASE_COMPLETED || x == v1::PHASE_FAILED;
}

bool is_there(v1::Phase x) {
  return x == v1::PHASE_RUNNING || x == v1::PHASE_PAUSED;
}

bool has_ended(const v1::WorkloadView& x) {
  return std::ranges::all_of(x.instances(), [](const auto& i) { return is_over(i.phase()); });
}

v1::CheckpointList all_of(session& with, const std::string& node = {}) {
  return read<v1::CheckpointList>(with.fabric().get(with_node(checkpoints_path, node)));
}

std::optional<v1::WorkloadView> find_workload(const std::string& name, session& with) {
  try {
    return read<v1::WorkloadView>(with.fabric().get(below("workloads", name)));
  } catch (const failure& x) {
    if (x.code != exit_code::not_found)
      throw;
    return {};
  }
}

lines checkpoint_page(const v1::Checkpoint& x, std::int64_t now) {
  return {{"name", x.name()},
          {"node", x.node()},
          {"workload", x.spec().name()},
          {"instance", x.instance()},
          {"kind", word(x.spec().kind())},
          {"tenant", x.spec().tenant()},
          {"image", x.spec().program().image()},
          {"size", print_bytes(x.size_bytes())},
          {"made", fmt::format("{} ({} ago)", print_time(x.made_ms()), print_age(now - x.made_ms()))},
          {"stood still", fmt::format("{} ms", x.frozen_ms())},
          {"output so far", fmt::format("{} bytes", x.log_offset())},
          {"usable", x.unusable().empty() ? "yes" : "no: " + x.unusable()}};
}

/// What is submitted begins there, where the checkpoint lies.
v1::WorkloadSpec spec_from(const v1::Checkpoint& from) {
  auto spec = from.spec();
  spec.set_checkpoint(from.name());
  (*spec.mutable_placement()->mutable_require())["node"] = from.node();
  return spec;
}

bool publishes_ports(const v1::WorkloadSpec& spec) {
  return std::ranges::any_of(spec.network().ports(), [](const auto& x) { return x.host() > 0; });
}

/// The instance of the checkpoint that has not ended, if it is there.
const v1::InstanceStatus* present(const v1::WorkloadView& now, const std::string& instance) {
  for (const auto& x : now.instances())
    if (x.name() == instance && !is_over(x.phase()))
      return &x;
  return nullptr;
}

/// What is there is put back where it is, if it can be.
restoring plan_in_place(const v1::InstanceStatus& x, const v1::Checkpoint& from) {
  const auto& workload = from.spec().name();
  if (x.node() != from.node())
    throw failure{exit_code::conflict,
                  fmt::format("{0} runs on {1}, and checkpoint {2} lies on {3}; stop it first (`stop {4}`), then it "
                              "begins there, or restore it beside: --as=NAME",
                              x.name(), x.node(), from.name(), from.node(), workload)};
  if (!is_there(x.phase()))
    throw failure{exit_code::conflict,
                  fmt::format("{} is {}; wait until it runs, or stop it first (`stop {}`): it begins from the "
                              "checkpoint then",
                              x.name(), word(x.phase()), workload)};
  return {.in_place = true, .spec = {}};
}

int put_back(const v1::Checkpoint& from, const invocation& what, session& with) {
  auto wanted = v1::RestoreInstance{};
  wanted.set_checkpoint(from.name());
  const auto answer = lasting(below("instances", from.instance()) + ":restore", json_of(wanted), what, with);
  return emit(with, answer, [&] {
    const auto done = read<v1::Restored>(answer);
    with.out << fmt::format("{} on {} runs from checkpoint {} again; it was away for {} ms\n",
                            harmless(done.instance()), harmless(done.node()), harmless(done.checkpoint()),
                            done.frozen_ms());
  });
}

} // namespace

table checkpoint_table(const v1::CheckpointList& x, std::int64_t now) {
  auto out = table{.columns = {{"NAME"},
                               {"NODE"},
                               {"WORKLOAD"},
                               {"KIND"},
                               {"SIZE", false, true},
                               {"STOOD STILL", false, true},
                               {"AGE", false, true},
                               {"USABLE"}},
                   .rows = {},
                   .noun = "checkpoint"};
  for (const auto& i : x.checkpoints())
    out.rows.push_back({i.name(), i.node(), i.spec().name(), word(i.spec().kind()), print_bytes(i.size_bytes()),
                        fmt::format("{} ms", i.frozen_ms()), print_age(now - i.made_ms()),
                        i.unusable().empty() ? "yes" : "no: " + i.unusable()});
  return out;
}

v1::Checkpoint choose_checkpoint(const v1::CheckpointList& all, const std::string& workload, const std::string& name,
                                 const std::string& node) {
  auto fitting = std::vector<v1::Checkpoint>{};
  auto known = std::vector<std::string>{};
  for (const auto& x : all.checkpoints()) {
    if ((!node.empty() && x.node() != node) || (!workload.empty() && x.spec().name() != workload))
      continue;
    known.push_back(x.name());
    if (name.empty() || x.name() == name)
      fitting.push_back(x);
  }
  const auto where = node.empty() ? std::string{} : " on " + node;
  if (fitting.empty() && name.empty())
    throw failure{
        exit_code::not_found,
        fmt::format("there is no checkpoint of {}{}; `workload checkpoint {}` makes one", workload, where, workload)};
  if (fitting.empty())
    throw failure{exit_code::not_found,
                  fmt::format("there is no checkpoint '{}'{}{}{}", name, workload.empty() ? "" : " of " + workload,
                              where, did_you_mean(name, known))};
  if (name.empty())
    return *std::ranges::max_element(fitting, {}, [](const auto& x) { return x.made_ms(); });
  if (fitting.size() > 1)
    throw failure{exit_code::conflict, fmt::format("there is a checkpoint {} on {} and on {}; say which: --node={}",
                                                   name, fitting[0].node(), fitting[1].node(), fitting[0].node())};
  return fitting.front();
}

restoring plan_restoring(const v1::Checkpoint& from, const std::optional<v1::WorkloadView>& now,
                         const std::string& another) {
  const auto& workload = from.spec().name();
  if (!from.unusable().empty())
    throw failure{exit_code::conflict,
                  fmt::format("nothing can be restored from checkpoint {}: {}", from.name(), from.unusable())};
  const auto ended = !now || has_ended(*now);
  if (another == workload && !ended)
    throw failure{exit_code::conflict,
                  fmt::format("{0} runs already: take another name for --as, or leave it out to put "
                              "{0} itself back, which loses what it has done since",
                              workload)};
  if (!another.empty() && another != workload) {
    if (!ended && publishes_ports(from.spec()))
      throw failure{
          exit_code::conflict,
          fmt::format("{0} publishes ports of the host, which {1} could not have as long as {0} runs; stop that "
                      "first (`stop {0}`)",
                      workload, another)};
    auto plan = restoring{.in_place = false, .spec = spec_from(from)};
    plan.spec.set_name(another);
    plan.spec.set_replicas(1);
    return plan;
  }
  if (const auto* here = now ? present(*now, from.instance()) : nullptr)
    return plan_in_place(*here, from);
  if (!ended || from.spec().replicas() > 1)
    throw failure{exit_code::conflict,
                  fmt::format("{} has other instances than {}, which is not there to be put back; restore it beside: "
                              "--as=NAME",
                              workload, from.instance())};
  return {.in_place = false, .spec = spec_from(from)};
}

int workload_checkpoint(const invocation& what, session& with) {
  const auto instance = instance_name(what.argument(0), with);
  const auto workload = instance.substr(0, instance.rfind('.'));
  auto wanted = v1::CheckpointInstance{};
  wanted.set_name(what.get("name"));
  wanted.set_pause(what.has("stop"));
  const auto answer = lasting(below("instances", instance) + ":checkpoint", json_of(wanted), what, with);
  const auto made = read<v1::Checkpoint>(answer);
  if (what.has("stop"))
    with.fabric().order("POST", below("workloads", workload) + ":stop", {});
  return emit(with, answer, [&] {
    if (with.output.quiet || with.output.as == format::name)
      with.out << (with.output.quiet ? "" : "checkpoint/") << made.name() << '\n';
    else
      with.out << fmt::format("checkpoint {} of {} on {}: {}; {}\n", harmless(made.name()), harmless(made.instance()),
                              harmless(made.node()), print_bytes(made.size_bytes()),
                              what.has("stop") ? "it is stopped"
                                               : fmt::format("it stood still for {} ms and runs on", made.frozen_ms()));
  });
}

int workload_restore(const invocation& what, session& with) {
  const auto workload = what.argument(0);
  const auto all = all_of(with, what.get("node"));
  say_unanswered(all, with);
  const auto from = choose_checkpoint(all, workload, what.get("checkpoint"), what.get("node"));
  const auto plan = plan_restoring(from, find_workload(workload, with), what.get("as"));
  if (plan.in_place)
    return put_back(from, what, with);
  const auto& name = plan.spec.name();
  if (name != workload)
    if (const auto taken = find_workload(name, with); taken && !has_ended(*taken))
      throw failure{exit_code::conflict,
                    fmt::format("there is a workload {} already, and it runs; take another name", name)};
  const auto answer = with.fabric().order("PUT", below("workloads", name), json_of(plan.spec), {});
  emit(with, answer, [&] {
    if (!with.output.quiet)
      with.err << fmt::format("{} begins on {} from checkpoint {}\n", harmless(name), harmless(from.node()),
                              harmless(from.name()));
  });
  if (what.has("detach") || (!what.has("wait") && !with.terminal))
    return 0;
  return wait_for({read<v1::Submitted>(answer)}, what.milliseconds("timeout", wait_default_ms), with);
}

int checkpoint_list(const invocation& what, session& with) {
  return list<v1::CheckpointList>(with, with_node(checkpoints_path, what.get("node")), [&](const auto& x) {
    say_unanswered(x, with);
    return checkpoint_table(x, with.now());
  });
}

int checkpoint_show(const invocation& what, session& with) {
  const auto found = choose_checkpoint(all_of(with, what.get("node")), {}, what.argument(0), what.get("node"));
  return emit(with, json_of(found), [&] {
    if (with.output.quiet || with.output.as == format::name)
      with.out << found.name() << '\n';
    else
      print(with.out, checkpoint_page(found, with.now()), with.output);
  });
}

int checkpoint_delete(const invocation& what, session& with) {
  const auto found = choose_checkpoint(all_of(with, what.get("node")), {}, what.argument(0), what.get("node"));
  return order(with, "DELETE", with_node(below("checkpoints", found.name()), found.node()), {},
               fmt::format("checkpoint {} is deleted", found.name()));
}

} // namespace novacron::shell
