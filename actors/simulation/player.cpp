#include "actors/simulation/player.hpp"

#include "messages/language.hpp"
#include "messages/registry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

namespace novacron::simulation {

using namespace std::chrono_literals;

namespace {

/// How long a person tries before giving up.
constexpr auto order_patience = moment{90s};
constexpr auto order_pause = moment{500ms};
constexpr auto samples_max = std::size_t{2000};
/// How long after the last fault of a weather everything must be as it is wanted: a lost node is known after 10 s, a
/// link that is down is tried again every 10 s, a failing instance waits for a minute at most.
constexpr auto settled_within = moment{5min};

bool not_now(const caf::error& x) {
  const auto kind = explain(x).kind;
  return kind == fault::unreachable || kind == fault::unavailable || kind == fault::timeout ||
         kind == fault::not_leader || kind == fault::overloaded || kind == fault::storage || kind == fault::unspecified;
}

} // namespace

player::player(const scenario& what, play_options options) : what_{what}, options_{std::move(options)} {
  world_ = build_world(what.plan, options_.seed);
  score_.scenario = what.name;
  score_.seed = options_.seed;
  for (const auto& x : what.steps)
    length_ += x.length;
  if (options_.coverage)
    world_->post().heard = [this](const caf::message& x) {
      if (auto name = name_of(x.content()); !name.empty())
        note_operation(std::move(name));
    };
}

player::~player() = default;

outcome player::play() {
  play_on();
  return result();
}

void player::play_on() {
  for (const auto& x : what_.steps) {
    step_began_ = world_->now();
    step_length_ = x.length;
    x.play(*this);
    length_played_ += x.length;
    step_length_ = moment{0};
  }
  settle();
  check_rules();
}

void player::play_more(const std::vector<step>& steps) {
  run_steps(steps);
  check_rules();
}

moment player::ahead() const {
  const auto played = std::min(step_length_, world_->now() - step_began_);
  return std::max(moment{0}, length_ - length_played_ - played);
}

outcome player::result() {
  auto x = score_;
  x.hash = world_->stage().trace();
  x.virtual_time = world_->now();
  x.steps = world_->stage().steps();
  x.events = world_->stage().steps() + world_->stage().timers();
  x.messages = world_->post().counted();
  x.orders = orders_.asked_count();
  x.acknowledged = orders_.acknowledged_count();
  x.violations = world_->watch().violations();
  x.strikes = struck_;
  for (auto& each : x.incidents)
    if (each.end.count() == 0)
      each.end = world_->now();
  return x;
}

void player::run_steps(const std::vector<step>& steps) {
  for (const auto& x : steps)
    x.play(*this);
}

// -- time ------------------------------------------------------------------------------------------------------------

void player::look() {
  if (options_.progress)
    options_.progress(*this);
  if (!options_.keep_samples)
    return;
  auto x = sample{.when = world_->now()};
  const auto& watch = world_->watch();
  auto has = wire::Resources{};
  auto cpu = 0.0;
  auto memory = 0.0;
  auto cpu_there = 0.0;
  auto memory_there = 0.0;
  for (const auto& host : world_->machines()) {
    x.hosts_up += host.up ? 1 : 0;
    if (!host.facts.hosts_workloads())
      continue;
    cpu += static_cast<double>(watch.used_on(host.number).cpu_milli());
    memory += static_cast<double>(watch.used_on(host.number).memory_bytes());
    cpu_there += static_cast<double>(host.facts.capacity().cpu_milli());
    memory_there += static_cast<double>(host.facts.capacity().memory_bytes());
  }
  x.running = static_cast<double>(watch.running());
  x.cpu = cpu_there > 0 ? cpu / cpu_there : 0;
  x.memory = memory_there > 0 ? memory / memory_there : 0;
  x.messages = static_cast<double>(world_->post().counted().delivered);
  x.restarts = static_cast<double>(watch.starts());
  const auto desired = fact("workloads.desired");
  x.pending = desired ? std::max(0.0, std::get<double>(*desired) - x.running) : 0;
  score_.samples.push_back(x);
  if (score_.samples.size() < samples_max)
    return;
  // Half as many, twice as far apart.
  auto kept = std::vector<sample>{};
  for (auto i = std::size_t{0}; i < score_.samples.size(); i += 2)
    kept.push_back(score_.samples[i]);
  score_.samples = std::move(kept);
  look_every_ *= 2;
}

void player::pass_until(moment when) {
  while (world_->now() < when) {
    auto next = std::min(when, next_look_);
    if (!weather_.empty())
      next = std::min(next, weather_.front().begin);
    if (!ends_.empty())
      next = std::min(next, ends_.begin()->first);
    if (!playing_)
      for (const auto& x : recurring_)
        next = std::min(next, x.next);
    world_->advance(std::max(next - world_->now(), moment{0}));
    while (!ends_.empty() && ends_.begin()->first <= world_->now())
      end_strike(ends_.extract(ends_.begin()).mapped());
    while (!weather_.empty() && weather_.front().begin <= world_->now()) {
      const auto x = weather_.front();
      weather_.erase(weather_.begin());
      begin_strike(x);
    }
    if (next_look_ <= world_->now()) {
      next_look_ = world_->now() + look_every_;
      look();
    }
    // What recurs is not begun again while it is being played.
    if (std::exchange(playing_, true))
      continue;
    for (auto i = std::size_t{0}; i < recurring_.size(); ++i)
      if (recurring_[i].next <= world_->now()) {
        recurring_[i].next = world_->now() + recurring_[i].period;
        const auto steps = recurring_[i].steps;
        run_steps(steps);
      }
    playing_ = false;
  }
}

void player::advance(moment length) {
  pass_until(world_->now() + length);
}

void player::until(const expression& what, moment limit, const position& where, const std::string& text) {
  const auto end = world_->now() + limit;
  const auto stride = std::clamp<moment>(limit / 600, 50ms, 10s);
  auto error = std::string{};
  const auto facts = [this](const std::string& name) { return fact(name); };
  ++score_.expectations;
  while (!what.holds(facts, error)) {
    if (world_->now() >= end) {
      world_->watch().accuse("until", fmt::format("{}:{}: {} did not come true within {} s: {}", where.file, where.line,
                                                  text, limit.count() / 1'000'000'000,
                                                  error.empty() ? in_words(what.explain(facts)) : error));
      return;
    }
    pass_until(std::min(end, world_->now() + stride));
    error.clear();
  }
}

std::string player::in_words(const std::string& facts) const {
  const auto left = facts.find("converged") == facts.npos ? std::string{} : unsettled();
  return left.empty() ? facts : facts + ": " + left;
}

void player::expect(const expression& what, const position& where, const std::string& text) {
  auto error = std::string{};
  const auto facts = [this](const std::string& name) { return fact(name); };
  ++score_.expectations;
  if (!what.holds(facts, error))
    world_->watch().accuse("expect", fmt::format("{}:{}: {} does not hold: {}", where.file, where.line, text,
                                                 error.empty() ? in_words(what.explain(facts)) : error));
}

void player::every(moment period, std::vector<step> steps) {
  recurring_.push_back({period, world_->now() + period, std::move(steps)});
}

void player::report(const std::string& text) {
  score_.reports.push_back(text);
}

// -- orders ----------------------------------------------------------------------------------------------------------

template <class Answer, class Order>
caf::expected<Answer> player::order(const Order& what) {
  const auto end = world_->now() + order_patience;
  auto last = caf::error{caf::make_error(fault::unreachable, "no controller runs")};
  for (;;) {
    if (auto* at = world_->controller()) {
      auto answer = std::move(world_->ask(*at, {"scheduler"}, caf::make_message(what), 10s).front());
      if (answer && answer->template match_elements<Answer>())
        return answer->template get_as<Answer>(0);
      last = answer ? caf::make_error(fault::unspecified, "another answer than promised") : answer.error();
      if (!not_now(last))
        return last;
    }
    if (world_->now() >= end)
      return last;
    pass_until(world_->now() + order_pause);
  }
}

void player::submit(const wire::WorkloadSpec& spec) {
  auto x = wire::Submit{};
  x.mutable_order()->set_client("scenario");
  x.mutable_order()->set_sequence(++sequence_);
  *x.mutable_spec() = spec;
  orders_.asked(spec.name(), order_book::wish::run);
  note_operation("run");
  const auto answer = order<wire::Submitted>(x);
  if (answer)
    return orders_.acknowledged(spec.name(), order_book::wish::run, answer->generation());
  orders_.unsure(spec.name());
  score_.reports.push_back(fmt::format("run {}: {}", spec.name(), explain(answer.error()).text));
}

void player::stop(const std::string& workload, bool forget) {
  auto x = wire::StopWorkload{};
  x.mutable_order()->set_client("scenario");
  x.mutable_order()->set_sequence(++sequence_);
  x.set_name(workload);
  x.set_forget(forget);
  const auto wish = forget ? order_book::wish::forget : order_book::wish::stop;
  orders_.asked(workload, wish);
  note_operation(forget ? "delete" : "stop");
  const auto answer = order<wire::Done>(x);
  if (answer)
    return orders_.acknowledged(workload, wish, 0);
  orders_.unsure(workload);
  score_.reports.push_back(
      fmt::format("{} {}: {}", forget ? "delete" : "stop", workload, explain(answer.error()).text));
}

void player::drain(const host_set& whom, bool drained) {
  for (const auto number : whom.all()) {
    auto x = wire::DrainNode{};
    x.mutable_order()->set_client("scenario");
    x.mutable_order()->set_sequence(++sequence_);
    x.set_node(world_->machines()[number].facts.name());
    x.set_drained(drained);
    note_operation(drained ? "drain" : "undrain");
    if (const auto answer = order<wire::Done>(x); !answer)
      score_.reports.push_back(
          fmt::format("{} {}: {}", drained ? "drain" : "undrain", x.node(), explain(answer.error()).text));
  }
}

void player::forget_node(const host_set& whom) {
  for (const auto number : whom.all()) {
    auto x = wire::ForgetNode{};
    x.mutable_order()->set_client("scenario");
    x.mutable_order()->set_sequence(++sequence_);
    x.set_node(world_->machines()[number].facts.name());
    note_operation("node delete");
    if (const auto answer = order<wire::Done>(x); !answer)
      score_.reports.push_back(fmt::format("node delete {}: {}", x.node(), explain(answer.error()).text));
  }
}

// -- faults ----------------------------------------------------------------------------------------------------------

std::string player::names_of(const host_set& whom) const {
  const auto all = whom.all();
  auto text = std::string{};
  for (auto i = std::size_t{0}; i < std::min<std::size_t>(all.size(), 3); ++i)
    text += (i == 0 ? "" : ", ") + what_.plan.hosts[all[i]].name;
  return all.size() > 3 ? fmt::format("{} and {} more", text, all.size() - 3) : text;
}

void player::mark_began(std::string what, std::string whom) {
  score_.incidents.push_back({world_->now(), moment{0}, std::move(what), std::move(whom)});
}

void player::mark_ended(const std::string& what, const std::string& whom) {
  for (auto& x : score_.incidents)
    if (x.what == what && x.whom == whom && x.end.count() == 0)
      x.end = world_->now();
}

void player::cut(const host_set& a, const host_set& b, bool one_way, const std::string& name) {
  world_->wires().cut(name, a, b, one_way);
  world_->rewire();
  ++faults_now_[one_way ? fault_kind::cut_one_way : fault_kind::cut];
  mark_began("cut", name);
}

void player::heal(const std::string& name) {
  world_->wires().heal(name);
  world_->rewire();
  if (name.empty()) {
    faults_now_.erase(fault_kind::cut);
    faults_now_.erase(fault_kind::cut_one_way);
  }
  for (auto& x : score_.incidents)
    if (x.what == "cut" && x.end.count() == 0 && (name.empty() || x.whom == name))
      x.end = world_->now();
}

void player::crash(const host_set& whom, bool torn) {
  for (const auto number : whom.all())
    world_->crash(world_->machines()[number], torn);
  ++faults_now_[fault_kind::crash];
  mark_began("down", names_of(whom));
}

void player::kill(const host_set& whom) {
  for (const auto number : whom.all())
    world_->kill(world_->machines()[number]);
  ++faults_now_[fault_kind::kill];
  mark_began("down", names_of(whom));
}

void player::restart(const host_set& whom) {
  for (const auto number : whom.all()) {
    auto& x = world_->machines()[number];
    // A node that runs is started anew, as a person would.
    if (x.up)
      world_->kill(x);
    world_->restart(x);
  }
  mark_ended("down", names_of(whom));
}

void player::slow(const host_set& whom, std::uint32_t times) {
  for (const auto number : whom.all())
    world_->slow_down(world_->machines()[number], times);
  if (times == 1)
    mark_ended("slow", names_of(whom));
  else
    mark_began("slow", names_of(whom));
}

void player::fill_disk(const host_set& whom, bool full) {
  for (const auto number : whom.all())
    world_->machines()[number].disk->fill(full);
  if (full)
    mark_began("full disk", names_of(whom));
  else
    mark_ended("full disk", names_of(whom));
}

void player::skew(const host_set& whom, moment offset, std::int64_t drift_ppm) {
  for (const auto number : whom.all())
    world_->skew(world_->machines()[number], offset, drift_ppm);
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
  ++faults_now_[x.what];
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
  mark_began(std::string{to_string(x.what)}, host.facts.name());
  ends_.emplace(x.begin + x.length, x);
}

void player::end_strike(const strike& x) {
  --faults_now_[x.what];
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
  mark_ended(std::string{to_string(x.what)}, host.facts.name());
}

void player::note_operation(const std::string& what) {
  for (const auto& [kind, count] : faults_now_)
    if (count > 0)
      ++score_.coverage[{what, std::string{to_string(kind)}}];
}

// -- rules -----------------------------------------------------------------------------------------------------------

void player::check_rules() {
  for (auto& x : orders_.lost(world_->truth().truth()))
    world_->watch().accuse("lost order", std::move(x));
  if (auto x = world_->truth().disagreement(); !x.empty())
    world_->watch().accuse("ledger", std::move(x));
  for (auto& x : world_->unanswered())
    world_->watch().accuse("request", std::move(x));
}

bool player::disturbed() const {
  return !weather_.empty() || !ends_.empty() || world_->wires().cuts() > 0 ||
         std::ranges::any_of(world_->machines(),
                             [](const machine& x) { return !x.up || x.slowness != 1 || x.disk->full(); });
}

/// After a weather everything comes right again, also when the scenario does not ask for it.
void player::settle() {
  if (!stormy_)
    return;
  recurring_.clear();
  while (!weather_.empty() || !ends_.empty())
    pass_until(world_->now() + 1s);
  if (disturbed())
    return;
  const auto end = world_->now() + settled_within;
  while (!unsettled().empty() && world_->now() < end)
    pass_until(std::min(end, world_->now() + 500ms));
  if (const auto left = unsettled(); !left.empty())
    world_->watch().accuse("convergence",
                           fmt::format("{} s after the last fault {}", settled_within.count() / 1'000'000'000, left));
}

} // namespace novacron::simulation
