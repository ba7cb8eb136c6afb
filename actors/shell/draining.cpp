#include "actors/shell/draining.hpp"

#include "actors/shell/answers.hpp"
#include "actors/shell/follow.hpp"
#include "actors/shell/views.hpp"

#include <fmt/format.h>

#include <map>
#include <ostream>
#include <string>

namespace novacron::shell {
namespace {

constexpr auto wait_default_ms = std::uint64_t{60'000};

/// "db.0: moves to edge-2 while it runs".
std::string in_words(const v1::PlanStep& x) {
  const auto why = x.reason().empty() ? std::string{} : ": " + x.reason();
  if (x.action() == "migrate")
    return fmt::format("{} moves to {} while it runs", x.instance(), x.node());
  if (x.action() == "move")
    return fmt::format("{} is stopped, and starts on {}{}", x.instance(), x.node(), why);
  if (x.action() == "pending")
    return fmt::format("{} stays until there is room for it elsewhere{}", x.instance(), why);
  return fmt::format("{} ends{}", x.instance(), why);
}

/// What draining would do; without an answer, as from an older controller, nothing is known.
v1::Plan plan_of(const std::string& node, session& with) {
  try {
    return read<v1::Plan>(with.fabric().get(below("nodes", node) + "/drain"));
  } catch (const failure&) {
    return {};
  }
}

int check(const std::string& node, session& with) {
  const auto body = with.fabric().get(below("nodes", node) + "/drain");
  const auto plan = read<v1::Plan>(body);
  emit(with, body, [&] {
    print(with.out, plan_table(plan), with.output);
    if (!with.output.quiet && with.output.as != format::name)
      with.out << harmless(plan.summary()) << '\n';
  });
  return plan.feasible() ? 0 : static_cast<int>(exit_code::conflict);
}

/// Where an instance has come to that is not on the drained node any more.
std::string arrival_of(const std::string& instance, session& with) {
  const auto workload = instance.substr(0, instance.rfind('.'));
  const auto all = read<v1::InstanceList>(with.fabric().get("/v1/instances?workload=" + url_encode(workload)));
  for (const auto& x : all.instances())
    if (x.name() == instance)
      return x.node().empty() ? fmt::format("{} waits for a place: {}", instance, x.reason())
                              : fmt::format("{} is on {}, {}", instance, x.node(), word(x.phase()));
  return instance + " has ended";
}

/// Says what changes on the node, instance by instance.
class watcher {
public:
  explicit watcher(std::string node) : node_{std::move(node)} {}

  /// Whether nothing is there any more.
  bool look(session& with) {
    const auto here = read<v1::InstanceList>(with.fabric().get(with_node("/v1/instances", node_)));
    auto now = std::map<std::string, std::string>{};
    for (const auto& x : here.instances()) {
      if (x.phase() == v1::PHASE_COMPLETED || x.phase() == v1::PHASE_FAILED || x.phase() == v1::PHASE_STOPPED)
        continue;
      auto text = fmt::format("{} is {}", x.name(), word(x.phase()));
      if (!x.reason().empty() && x.reason() != word(x.phase()))
        text += ": " + x.reason();
      now[x.name()] = std::move(text);
    }
    for (const auto& [name, text] : now)
      if (const auto before = seen_.find(name); before == seen_.end() || before->second != text)
        say(text, with);
    for (const auto& [name, text] : seen_)
      if (!now.contains(name))
        say(arrival_of(name, with), with);
    seen_ = std::move(now);
    return read<v1::NodeView>(with.fabric().get(below("nodes", node_))).instances() == 0;
  }

private:
  static void say(const std::string& text, session& with) {
    if (!with.output.quiet)
      with.err << harmless(text) << std::endl;
  }

  std::string node_;
  std::map<std::string, std::string> seen_;
};

} // namespace

int node_drain(const invocation& what, session& with) {
  const auto node = what.argument(0);
  if (what.has("check"))
    return check(node, with);
  const auto for_people = with.output.as == format::table || with.output.as == format::wide;
  const auto plan = for_people && !with.output.quiet ? plan_of(node, with) : v1::Plan{};
  order(with, "POST", below("nodes", node) + ":drain", {{"drained", true}}, fmt::format("{} is being drained", node));
  for (const auto& step : plan.steps())
    with.err << harmless(in_words(step)) << '\n';
  if (!what.has("wait"))
    return 0;
  auto follows = watcher{node};
  wait_until([&] { return follows.look(with); }, fmt::format("nothing runs on {}", node),
             what.milliseconds("timeout", wait_default_ms), with);
  return 0;
}

int node_undrain(const invocation& what, session& with) {
  const auto node = what.argument(0);
  return order(with, "POST", below("nodes", node) + ":drain", {{"drained", false}},
               fmt::format("{} may work again", node));
}

} // namespace novacron::shell
