#include "actors/simulation/player.hpp"

#include "messages/language.hpp"
#include "messages/registry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <tuple>
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
    world_->post().heard = [this](const caf::type_erased_tuple& x) {
      if (const auto name = name_of(x); !name.empty())
        note(score_.arrivals, name);
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
  x.incidents = faults_.told(world_->now());
  return x;
}

void player::run_steps(const std::vector<step>& steps) {
  for (const auto& x : steps)
    x.play(*this);
}

// -- time ------------------------------------------------------------------------------------------------------------

void player::rush::begin(const passed& x) {
  messages.begin(x.now, x.messages);
  connections.begin(x.now, x.connections);
  starts.begin(x.now, x.starts);
}

void player::rush::look(const passed& x) {
  messages.look(x.now, x.messages);
  connections.look(x.now, x.connections);
  starts.look(x.now, x.starts);
}

player::passed player::rush_now() const {
  const auto& counted = world_->post().counted();
  return {world_->now(), counted.delivered, counted.connections, world_->watch().starts()};
}

void player::watch_rush() {
  next_second_ = world_->now() + 1s;
  const auto now = rush_now();
  rush_.look(now);
  rush_of_sample_.look(now);
}

void player::look() {
  if (options_.progress)
    options_.progress(*this);
  if (!options_.keep_samples)
    return;
  auto x = sample{.when = world_->now()};
  for (const auto& host : world_->machines())
    x.hosts_up += host.up ? 1 : 0;
  x.running = static_cast<double>(world_->watch().running());
  std::tie(x.cpu, x.memory) = reserved();
  x.messages = rush_of_sample_.messages.most();
  x.connections = rush_of_sample_.connections.most();
  x.starts = rush_of_sample_.starts.most();
  rush_of_sample_.begin(rush_now());
  const auto desired = fact("workloads.desired");
  x.pending = desired ? std::max(0.0, std::get<double>(*desired) - x.running) : 0;
  score_.samples.push_back(x);
  if (score_.samples.size() < samples_max)
    return;
  // Half as many, twice as far apart.
  auto kept = std::vector<sample>{score_.samples.front()};
  for (auto i = std::size_t{2}; i < score_.samples.size(); i += 2) {
    auto x = score_.samples[i];
    const auto& before = score_.samples[i - 1];
    x.messages = std::max(x.messages, before.messages);
    x.connections = std::max(x.connections, before.connections);
    x.starts = std::max(x.starts, before.starts);
    kept.push_back(x);
  }
  score_.samples = std::move(kept);
  look_every_ *= 2;
}

void player::pass_until(moment when) {
  while (world_->now() < when) {
    auto next = std::min({when, next_look_, next_second_});
    if (!weather_.empty())
      next = std::min(next, weather_.front().begin);
    if (!ends_.empty())
      next = std::min(next, ends_.begin()->first);
    if (!playing_) {
      for (const auto& x : recurring_)
        next = std::min(next, x.next);
      if (!coming_.empty())
        next = std::min(next, coming_.begin()->first);
      if (!leaving_.empty())
        next = std::min(next, leaving_.begin()->first);
    }
    world_->advance(std::max(next - world_->now(), moment{0}));
    while (!ends_.empty() && ends_.begin()->first <= world_->now())
      end_strike(ends_.extract(ends_.begin()).mapped());
    while (!weather_.empty() && weather_.front().begin <= world_->now()) {
      const auto x = weather_.front();
      weather_.erase(weather_.begin());
      begin_strike(x);
    }
    if (next_second_ <= world_->now())
      watch_rush();
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
    while (!coming_.empty() && coming_.begin()->first <= world_->now())
      arrive(coming_.extract(coming_.begin()).mapped());
    while (!leaving_.empty() && leaving_.begin()->first <= world_->now())
      leave(leaving_.extract(leaving_.begin()).mapped());
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
  const auto text = spec.SerializeAsString();
  const auto [known, fresh] = specs_.try_emplace(spec.name(), text);
  note_operation(fresh || known->second == text ? "run" : "change");
  known->second = text;
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
    note_operation("forget-node");
    if (const auto answer = order<wire::Done>(x); !answer)
      score_.reports.push_back(fmt::format("node delete {}: {}", x.node(), explain(answer.error()).text));
  }
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
