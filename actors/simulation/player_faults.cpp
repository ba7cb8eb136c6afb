/// What a scenario does to its world: faults of its own and of the weather, and the work that comes from traces.

#include "actors/simulation/player.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace novacron::simulation {

const std::vector<std::string>& player::operations() {
  static const auto all = [] {
    auto names =
        std::vector<std::string>{"run", "change", "stop", "delete", "drain", "undrain", "forget-node", "restart"};
    for (const auto kind : all_fault_kinds())
      names.emplace_back(to_string(kind));
    return names;
  }();
  return all;
}

namespace {

/// So that no cut is called like a fault of the weather.
constexpr auto cut_prefix = "cut ";
/// Chosen: how long after its time a job of a trace is looked at, and again while it is not over.
constexpr auto leave_pause = moment{std::chrono::minutes{1}};

} // namespace

// -- faults ----------------------------------------------------------------------------------------------------------

std::string player::names_of(const host_set& whom) const {
  const auto all = whom.all();
  auto text = std::string{};
  for (auto i = std::size_t{0}; i < std::min<std::size_t>(all.size(), 3); ++i)
    text += (i == 0 ? "" : ", ") + what_.plan.hosts[all[i]].name;
  return all.size() > 3 ? fmt::format("{} and {} more", text, all.size() - 3) : text;
}

void player::note(coverage_table& into, const std::string& what) const {
  for (const auto kind : all_fault_kinds())
    if (auto name = std::string{to_string(kind)}; faults_.at_work(name))
      ++into[{what, std::move(name)}];
}

void player::begin_fault(const std::string& what, const std::string& whom, const std::string& name,
                         const host_set& hosts) {
  note_operation(what);
  faults_.begin(world_->now(), what, whom, name, hosts);
  rush_.begin(rush_now());
}

void player::end_fault(const std::string& name) {
  faults_.end(world_->now(), name);
  rush_.begin(rush_now());
}

void player::end_fault_on(const std::string& what, const host_set& hosts) {
  faults_.end_on(world_->now(), what, hosts);
  rush_.begin(rush_now());
}

void player::cut(const host_set& a, const host_set& b, bool one_way, const std::string& name) {
  world_->wires().cut(name, a, b, one_way);
  world_->rewire();
  begin_fault(one_way ? "cut one-way" : "cut", name, std::string{cut_prefix} + name, {});
}

void player::heal(const std::string& name) {
  world_->wires().heal(name);
  world_->rewire();
  if (name.empty())
    faults_.end_all(world_->now(), {"cut", "cut one-way"});
  else
    faults_.end(world_->now(), std::string{cut_prefix} + name);
  rush_.begin(rush_now());
}

void player::crash(const host_set& whom, bool torn) {
  for (const auto number : whom.all())
    world_->crash(world_->machines()[number], torn);
  begin_fault("crash", names_of(whom), "", whom);
}

void player::kill(const host_set& whom) {
  for (const auto number : whom.all())
    world_->kill(world_->machines()[number]);
  begin_fault("kill", names_of(whom), "", whom);
}

void player::restart(const host_set& whom) {
  note_operation("restart");
  for (const auto number : whom.all()) {
    auto& x = world_->machines()[number];
    // A node that runs is started anew, as a person would.
    if (x.up)
      world_->kill(x);
    world_->restart(x);
  }
  end_fault_on("crash", whom);
  end_fault_on("kill", whom);
}

void player::slow(const host_set& whom, std::uint32_t times) {
  for (const auto number : whom.all())
    world_->slow_down(world_->machines()[number], times);
  // However slow they were before, they are not any more.
  end_fault_on("slow", whom);
  end_fault_on("stuck", whom);
  if (times != 1)
    begin_fault(times == 0 ? "stuck" : "slow", names_of(whom), "", whom);
}

void player::fill_disk(const host_set& whom, bool full) {
  for (const auto number : whom.all())
    world_->machines()[number].disk->fill(full);
  if (full)
    begin_fault("full disk", names_of(whom), "", whom);
  else
    end_fault_on("full disk", whom);
}

void player::skew(const host_set& whom, moment offset, std::int64_t drift_ppm) {
  for (const auto number : whom.all())
    world_->skew(world_->machines()[number], offset, drift_ppm);
  end_fault_on("skew", whom);
  if (offset != moment{0} || drift_ppm != 0)
    begin_fault("skew", names_of(whom), "", whom);
}

void player::shape(const host_set& a, const host_set& b, const way_quality& quality) {
  world_->wires().shape("scenario", a, b, quality);
}

void player::behave(const std::string& image, const image_behavior& how) {
  world_->images()[image] = how;
}

host_set player::some_of(const host_set& whom, std::size_t count) {
  auto all = whom.all();
  auto found = host_set{};
  for (; count > 0 && !all.empty(); --count) {
    const auto at = world_->chance()() % all.size();
    found.add(all[at]);
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return found;
}

// -- weather ---------------------------------------------------------------------------------------------------------

void player::begin_weather(const climate& what, moment length) {
  auto drawn =
      draw_weather(what, options_.seed * 1'000'003 + strikes_drawn_, length,
                   static_cast<host_number>(world_->machines().size()), world_->truth().members(), strikes_drawn_);
  strikes_drawn_ += static_cast<std::uint32_t>(drawn.size()) + 1;
  stormy_ = true;
  for (auto& x : drawn) {
    x.begin += world_->now();
    if (!options_.spared.contains(x.number))
      weather_.push_back(x);
  }
  std::ranges::stable_sort(weather_, {}, &strike::begin);
}

void player::begin_strike(const strike& x) {
  struck_.push_back(x.number);
  auto& host = world_->machines()[x.whom];
  auto one = host_set{};
  auto others = host_set{};
  one.add(x.whom);
  for (auto i = host_number{0}; i < world_->machines().size(); ++i)
    if (i != x.whom && (x.other == x.whom || x.other == i))
      others.add(i);
  const auto name = fmt::format("weather {}", x.number);
  auto quality = world_->wires().usual;
  switch (x.what) {
    case fault_kind::cut:
    case fault_kind::cut_one_way: world_->wires().cut(name, one, others, x.what == fault_kind::cut_one_way); break;
    case fault_kind::crash: world_->crash(host, x.torn); break;
    case fault_kind::kill: world_->kill(host); break;
    case fault_kind::slow: world_->slow_down(host, static_cast<std::uint32_t>(x.amount)); break;
    case fault_kind::stuck: world_->slow_down(host, 0); break;
    case fault_kind::full_disk: host.disk->fill(true); break;
    case fault_kind::skew: world_->skew(host, std::chrono::seconds{x.amount}, 0); break;
    case fault_kind::loss: quality.lost = static_cast<std::uint32_t>(x.amount); break;
    case fault_kind::doubling: quality.doubled = static_cast<std::uint32_t>(x.amount); break;
    case fault_kind::delay: quality.latency += std::chrono::milliseconds{x.amount}; break;
  }
  if (quality != world_->wires().usual)
    world_->wires().shape(name, one, others, quality);
  world_->rewire();
  begin_fault(std::string{to_string(x.what)}, host.facts.name(), name, {});
  ends_.emplace(x.begin + x.length, x);
}

void player::end_strike(const strike& x) {
  if (x.what == fault_kind::crash || x.what == fault_kind::kill)
    note_operation("restart");
  auto& host = world_->machines()[x.whom];
  const auto name = fmt::format("weather {}", x.number);
  switch (x.what) {
    case fault_kind::crash:
    case fault_kind::kill: world_->restart(host); break;
    case fault_kind::slow:
    case fault_kind::stuck: world_->slow_down(host, 1); break;
    case fault_kind::full_disk: host.disk->fill(false); break;
    // The clock is set right, which is one more jump.
    case fault_kind::skew: world_->skew(host, moment{0}, 0); break;
    default: break;
  }
  world_->wires().heal(name);
  world_->wires().smooth(name);
  world_->rewire();
  end_fault(name);
}

// -- traces ----------------------------------------------------------------------------------------------------------

void player::replay(const std::vector<traced_job>& jobs) {
  for (const auto& x : jobs)
    coming_.emplace(world_->now() + x.begin, x);
}

void player::arrive(const traced_job& x) {
  auto how = image_behavior{};
  how.run_min = how.run_max = x.length;
  behave(x.spec.program().image(), how);
  submit(x.spec);
  ++jobs_came_;
  leaving_.emplace(world_->now() + x.length + leave_pause, x.spec.name());
}

void player::leave(const std::string& job) {
  const auto& all = world_->truth().truth().all();
  auto record = wire::WorkloadRecord{};
  const auto found = all.find("workload/" + job);
  // Somebody else forgot it.
  if (found == all.end() || !record.ParseFromString(found->second.value))
    return;
  if (record.outcome() == wire::PHASE_UNSPECIFIED && !record.stopped())
    return void(leaving_.emplace(world_->now() + leave_pause, job));
  jobs_forgotten_ += record.outcome() == wire::PHASE_COMPLETED ? 1 : 0;
  stop(job, true);
}

} // namespace novacron::simulation
