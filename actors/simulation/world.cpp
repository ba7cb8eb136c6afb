#include "actors/simulation/world.hpp"

#include "messages/language.hpp"

#include <caf/logger.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace novacron::simulation {
namespace {

struct system_settings : caf::actor_system_config {
  system_settings() {
    add_language(*this);
    load<director>();
    set("logger.verbosity", caf::atom("quiet"));
  }
};

/// Listens for the answer to one question.
class ear : public node::relay {
public:
  explicit ear(caf::actor_config& settings) : relay{settings} {}
  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit*) override {
    if (what->mid.is_response() && !heard)
      heard = what->move_content_to_message();
  }
  std::optional<caf::message> heard;
};

/// A channel gives a question up after two minutes, and looks at most that often again; then there is nothing that
/// could still answer.
constexpr auto answer_max = moment{std::chrono::minutes{5}};

/// Each part of the world draws from a chance of its own, so that one more draw in one changes nothing in the others.
std::uint64_t chance_for(std::uint64_t seed, std::uint64_t part) {
  auto x = seed * 0x9E3779B97F4A7C15ull + part * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  return x ^ (x >> 31);
}

} // namespace

struct world::language : system_settings {};

struct world::open_question {
  std::shared_ptr<ear> listener;
  std::string whom;
  life_number life = 0;
  moment asked{0};
};

world::world(world_config settings)
    : settings_{settings}, language_{std::make_unique<language>()}, system_{std::make_unique<caf::actor_system>(
                                                                        *language_)},
      chance_{chance_for(settings.seed, 1)}, wires_{chance_for(settings.seed, 2)}, seal_{chance_for(settings.seed, 3)},
      witness_{[this] { return now(); },
               [this](const std::string& instance, std::uint64_t epoch) { return is_leaving(instance, epoch); }} {
  system_->await_actors_before_shutdown(false);
  stage_ = dynamic_cast<director*>(&system_->scheduler());
  // Nobody reads what CAF would log, and it looks up who speaks at every step.
  caf::logger::set_current_actor_system(nullptr);
  stage_->shuffle(chance_for(settings.seed, 4), settings.shuffle_one_in);
  stage_->note(settings.seed);
  settings_.post.planted = settings_.voters.planted = settings_.nodes.planted = settings.planted;
  post_ = std::make_unique<post_office>(*system_, *stage_, wires_, chance_for(settings.seed, 5), settings_.post);
  voters_ = std::make_unique<voters>(*stage_, wires_, chance_for(settings.seed, 6), settings_.voters);
}

world::~world() {
  for (auto& x : machines_)
    if (x.up)
      bring_down(x, false, false);
  stage_->clock().cancel_all();
  nodes_.clear();
  for (auto& x : open_)
    x.listener->retire();
  open_.clear();
}

// -- hosts -----------------------------------------------------------------------------------------------------------

machine& world::add(const host_plan& plan) {
  auto& x = machines_.emplace_back();
  x.number = static_cast<host_number>(machines_.size() - 1);
  x.facts.set_name(plan.name);
  x.facts.set_role(plan.role);
  x.facts.set_zone(plan.zone);
  x.facts.set_region(plan.region);
  for (const auto& [key, value] : plan.labels)
    (*x.facts.mutable_labels())[key] = value;
  *x.facts.mutable_capacity() = plan.capacity;
  x.facts.set_version("virtual");
  x.facts.set_hosts_workloads(plan.workloads);
  by_name_.emplace(plan.name, x.number);
  joins_.push_back(plan.joins);
  nodes_.emplace_back();
  witness_.add(x);
  if (x.is_controller())
    voters_->add(x);
  return x;
}

void world::start() {
  for (auto& x : machines_)
    if (!x.up && x.starts == 0)
      bring_up(x);
}

machine* world::find(std::string_view name) {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &machines_[found->second];
}

virtual_node* world::node_of(const machine& on) {
  return nodes_[on.number].get();
}

void world::bring_up(machine& on) {
  on.life = stage_->begin(on.number);
  post_->open(on.life);
  on.up = true;
  ++on.starts;
  on.facts.set_incarnation(static_cast<std::uint64_t>(settings_.wall_ms) * 1000 + on.starts * 100'000 + on.number);
  if (on.drift_ppm != 0)
    stage_->drift(on.life, on.drift_ppm);
  slow_down(on, on.slowness);
  auto controllers = std::vector<std::string>{};
  for (const auto& x : machines_)
    if (x.is_controller())
      controllers.push_back(x.facts.name());
  stage_->become(on.life);
  nodes_[on.number] = std::make_unique<virtual_node>(
      node_surroundings{*system_, *stage_, *post_, *voters_, seal_, denied_, images_, chance_, witness_,
                        settings_.nodes, [this](const machine& x) { return wall_ms(x); }, joins_[on.number],
                        std::move(controllers)},
      on);
  stage_->become(0);
}

void world::bring_down(machine& on, bool power_lost, bool torn) {
  const auto life = on.life;
  if (on.is_controller())
    voters_->stop(on.number, power_lost);
  post_->unpublish(on.facts.name());
  stage_->end(life);
  post_->close(life, !power_lost);
  nodes_[on.number].reset();
  on.up = false;
  on.life = 0;
  if (!power_lost)
    return;
  on.disk->lose_power(torn);
  lose_runs(on, witness_);
  on.booted = now();
  on.lease = moment{0};
}

void world::crash(machine& on, bool torn) {
  if (on.up)
    bring_down(on, true, torn);
}

void world::kill(machine& on) {
  if (on.up)
    bring_down(on, false, false);
}

void world::restart(machine& on) {
  if (!on.up)
    bring_up(on);
}

void world::slow_down(machine& on, std::uint32_t times) {
  on.slowness = times;
  // What a step takes on a host that is well: about a microsecond, which the world does not count.
  if (on.up)
    stage_->slow_down(on.life, times > 1 ? moment{std::chrono::microseconds{20}} * times : moment{0}, times == 0);
}

void world::skew(machine& on, moment offset, std::int64_t drift_ppm) {
  on.wall_offset = offset;
  on.drift_ppm = drift_ppm;
  if (on.up)
    stage_->drift(on.life, drift_ppm);
}

// -- time ------------------------------------------------------------------------------------------------------------

void world::advance(moment length) {
  stage_->run_until(now() + length);
}

bool world::advance_until(moment limit, const std::function<bool()>& enough) {
  return stage_->run_until(now() + limit, enough);
}

std::int64_t world::wall_ms(const machine& on) const {
  return settings_.wall_ms + std::chrono::duration_cast<std::chrono::milliseconds>(now() + on.wall_offset).count();
}

bool world::is_leaving(const std::string& instance, std::uint64_t epoch) const {
  const auto& all = voters_->truth().all();
  const auto found = all.find("instance/" + instance);
  auto record = wire::Instance{};
  return found != all.end() && record.ParseFromString(found->second.value) && !record.leaving().node().empty() &&
         record.leaving().epoch() == epoch;
}

// -- talking to it ---------------------------------------------------------------------------------------------------

machine* world::controller() {
  const auto leader = voters_->leader();
  if (leader && machines_[*leader].up)
    return &machines_[*leader];
  const auto found = std::ranges::find_if(machines_, [](const machine& x) { return x.up && x.is_controller(); });
  return found == machines_.end() ? nullptr : &*found;
}

std::vector<caf::expected<caf::message>> world::ask(machine& at, const std::vector<std::string>& actors,
                                                    const caf::message& question, moment patience) {
  auto ears = std::vector<std::shared_ptr<ear>>{};
  auto answers = std::vector<caf::expected<caf::message>>{};
  auto* here = node_of(at);
  const auto life = at.life;
  const auto began = now();
  for (const auto& path : actors) {
    answers.emplace_back(caf::make_error(fault::timeout, path + " did not answer in time"));
    stage_->become(life);
    ears.push_back(node::make_relay<ear>(*system_));
    const auto target = here ? here->names().find(path)
                             : caf::expected<caf::actor>{caf::make_error(fault::unreachable, "the host is down")};
    if (!target) {
      ears.back()->heard = caf::make_message(target.error());
      continue;
    }
    caf::actor_cast<caf::strong_actor_ptr>(*target)->enqueue(
        caf::make_mailbox_element(caf::strong_actor_ptr{ears.back()->ctrl()}, caf::make_message_id(1), {}, question),
        nullptr);
  }
  stage_->become(0);
  stage_->run_until(now() + patience,
                    [&] { return std::ranges::all_of(ears, [](const auto& x) { return x->heard.has_value(); }); });
  for (auto i = std::size_t{0}; i < ears.size(); ++i) {
    auto& heard = ears[i]->heard;
    if (!heard && stage_->alive(life)) {
      open_.push_back({ears[i], fmt::format("{} asked {}", at.facts.name(), actors[i]), life, began});
      continue;
    }
    if (heard && heard->match_elements<caf::error>())
      answers[i] = heard->get_as<caf::error>(0);
    else if (heard)
      answers[i] = std::move(*heard);
    ears[i]->retire();
  }
  return answers;
}

std::vector<std::string> world::unanswered() {
  auto found = std::vector<std::string>{};
  std::erase_if(open_, [&](const open_question& x) {
    const auto over = x.listener->heard || !stage_->alive(x.life);
    // A host that is stuck cannot answer, and needs its time again when it goes on.
    const auto late = !over && !stage_->of(x.life).stuck && now() - x.asked > answer_max;
    if (late)
      found.push_back(fmt::format("{} at {:.3f} s, and was never answered", x.whom,
                                  std::chrono::duration<double>(x.asked).count()));
    if (over || late)
      x.listener->retire();
    return over || late;
  });
  return found;
}

} // namespace novacron::simulation
