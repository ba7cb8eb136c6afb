#include "actors/simulation/director.hpp"

#include "actors/simulation/parcel.hpp"

#include <caf/scheduled_actor.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace novacron::simulation {
namespace {

/// Process ids of virtual hosts begin here: above any that a kernel gives (4,194,304), so that none is mistaken.
constexpr std::uint32_t process_base = 1u << 30;

/// Clocks do not begin at zero: the actors take that for "never".
constexpr auto clock_base = std::chrono::hours{24};

caf::node_id make_identity(life_number which, std::uint32_t host) {
  auto bytes = caf::node_id::default_data::host_id_type{};
  std::memcpy(bytes.data(), "virtual", 7);
  std::memcpy(bytes.data() + 8, &host, sizeof host);
  return caf::make_node_id(process_base + which, bytes);
}

/// What an actor keeps to itself: which of its requests wait for an answer. CAF never takes a request's timeout back;
/// it lets it come and finds that there is nothing to do, which is a third of all that happens in a quiet fabric.
struct inside : caf::scheduled_actor {
  /// Whether it puts off all else until an answer is there.
  static bool awaits_one(const caf::scheduled_actor& x) { return !(x.*&inside::awaited_responses_).empty(); }
  /// `request` is numbered as its answer will be.
  static bool awaits(const caf::scheduled_actor& x, caf::message_id request) {
    const auto is_it = [=](const auto& each) { return each.first == request; };
    const auto& one_by_one = x.*&inside::awaited_responses_;
    const auto& any = x.*&inside::multiplexed_responses_;
    return any.find(request) != any.end() || std::any_of(one_by_one.begin(), one_by_one.end(), is_it);
  }
};

class silent_printer : public caf::monitorable_actor {
public:
  explicit silent_printer(caf::actor_config& settings) : monitorable_actor{settings} {}
  void enqueue(caf::mailbox_element_ptr, caf::execution_unit*) override {}
};

} // namespace

/// What actors take for the clock.
class director::clock_face : public caf::actor_clock {
public:
  explicit clock_face(director& of) : of_{of} {}

  time_point now() const noexcept override { return time_point{clock_base} + of_.local_time(of_.playing_); }

  void set_ordinary_timeout(time_point t, caf::abstract_actor* self, caf::atom_value type, std::uint64_t id) override {
    const auto wait = wait_until(t);
    if (!of_.lives_[of_.playing_].over)
      of_.agenda_.plan_timeout(of_.now_ + wait, event{event::alarm{id, type}, self->ctrl(), of_.playing_});
  }
  void set_multi_timeout(time_point t, caf::abstract_actor* self, caf::atom_value type, std::uint64_t id) override {
    set_ordinary_timeout(t, self, type, id);
  }
  void set_request_timeout(time_point t, caf::abstract_actor* self, caf::message_id id) override {
    if (!of_.lives_[of_.playing_].over)
      of_.agenda_.plan_request(of_.now_, wait_until(t), of_.playing_, self->ctrl(), id);
  }
  void cancel_ordinary_timeout(caf::abstract_actor* self, caf::atom_value type) override {
    of_.agenda_.cancel_timeout(self->id(), type);
  }
  // It does not happen when there is an answer.
  void cancel_request_timeout(caf::abstract_actor*, caf::message_id) override {}
  void cancel_timeouts(caf::abstract_actor*) override {}
  void schedule_message(time_point t, caf::strong_actor_ptr receiver, caf::mailbox_element_ptr content) override {
    if (!of_.lives_[of_.playing_].over)
      of_.agenda_.plan(of_.now_ + wait_until(t), event{std::move(content), std::move(receiver), of_.playing_});
  }
  void schedule_message(time_point, caf::group, caf::strong_actor_ptr, caf::message) override {}
  void cancel_all() override { of_.agenda_.clear(); }

private:
  /// How long it is until then, by a clock that is right.
  moment wait_until(time_point t) const {
    const auto& mine = of_.lives_[of_.playing_];
    auto wait = t - now();
    if (mine.drift_ppm != 0)
      wait = wait * 1'000'000 / (1'000'000 + mine.drift_ppm);
    return std::max<moment>(wait, moment{0});
  }

  director& of_;
};

/// Where actors run.
class director::stand : public caf::execution_unit {
public:
  stand(caf::actor_system* system, director& of) : execution_unit{system}, of_{of} {}
  void exec_later(caf::resumable* job) override { of_.enqueue(job); }

private:
  director& of_;
};

director::director(caf::actor_system& system)
    : abstract_coordinator{system}, clock_{std::make_unique<clock_face>(*this)}, unit_{std::make_unique<stand>(&system,
                                                                                                               *this)} {
  lives_.emplace_back();
  lives_[0].id = make_identity(0, 0);
  // Only what is scheduled asks and waits.
  agenda_.open = [](const caf::strong_actor_ptr& who, caf::message_id request) {
    return inside::awaits(*static_cast<const caf::scheduled_actor*>(caf::actor_cast<caf::abstract_actor*>(who)),
                          request);
  };
}

director::~director() = default;

caf::actor_system::module* director::make(caf::actor_system& system, caf::detail::type_list<>) {
  return new director{system};
}

caf::execution_unit& director::unit() {
  return *unit_;
}

caf::actor_clock& director::clock() noexcept {
  return *clock_;
}

void director::start() {
  auto settings = caf::actor_config{unit_.get()};
  utility_actors_[printer_id] =
      caf::make_actor<silent_printer, caf::actor>(system().next_actor_id(), system().node(), &system(), settings);
  const_cast<caf::node_id&>(system().node()) = lives_[0].id;
}

void director::stop() {
  agenda_.clear();
  for (auto* queue : {&jobs_, &last_jobs_})
    while (!queue->empty()) {
      auto* job = queue->front().what;
      queue->pop_front();
      cleanup_and_release(job);
    }
}

// -- lives -----------------------------------------------------------------------------------------------------------

life_number director::begin(std::uint32_t host) {
  const auto which = static_cast<life_number>(lives_.size());
  auto& fresh = lives_.emplace_back();
  fresh.id = fresh.face = make_identity(which, host);
  fresh.host = host;
  // Its clock begins with it.
  fresh.ahead = -now_;
  return which;
}

life_number director::life_of(const caf::node_id& id) const {
  if (!id || id->implementation_id() != caf::node_id::default_data::class_id)
    return 0;
  const auto number = static_cast<const caf::node_id::default_data&>(*id).process_id();
  return number >= process_base && number - process_base < lives_.size() ? number - process_base : 0;
}

void director::become(life_number which) {
  if (playing_ == which)
    return;
  // The node id of the system is an ordinary member that is read often and written never: with one thread, it may be.
  auto& face = const_cast<caf::node_id&>(system().node());
  face.swap(lives_[playing_].face);
  face.swap(lives_[which].face);
  playing_ = which;
  unit_->proxy_registry_ptr(lives_[which].proxies);
}

void director::end(life_number which) {
  lives_[which].over = true;
  auto waiting = std::exchange(lives_[which].waiting, {});
  for (auto* each : waiting)
    last_jobs_.push_back({each, which});
  // Those that begin while others end are found in the next round.
  while (!lives_[which].actors.empty()) {
    for (const auto& weak : std::exchange(lives_[which].actors, {}))
      if (const auto one = weak.lock())
        caf::anon_send_exit(caf::actor_cast<caf::actor>(one), caf::exit_reason::kill);
    drain(which);
  }
}

void director::drain(life_number which) {
  std::erase_if(jobs_, [&](const job& x) {
    if (x.whose == which)
      last_jobs_.push_back(x);
    return x.whose == which;
  });
  while (!last_jobs_.empty()) {
    const auto x = last_jobs_.front();
    last_jobs_.pop_front();
    become(x.whose);
    run(x.what);
  }
  become(0);
}

void director::slow_down(life_number which, moment step, bool stuck) {
  auto& x = lives_[which];
  x.step = step;
  x.stuck = stuck;
  x.busy_until = now_;
  x.hampered = stuck || step > moment{0} || !x.waiting.empty();
  await(which);
}

// -- time ------------------------------------------------------------------------------------------------------------

moment director::local_time(life_number which) const {
  const auto& x = lives_[which];
  const auto gained = x.drift_ppm == 0 ? 0 : (now_ - x.drift_since).count() / 1'000'000 * x.drift_ppm;
  return now_ + x.ahead + moment{gained};
}

void director::drift(life_number which, std::int64_t ppm) {
  auto& x = lives_[which];
  x.ahead = local_time(which) - now_;
  x.drift_since = now_;
  x.drift_ppm = ppm;
}

void director::plan(moment delay, life_number whose, std::function<void()> act) {
  agenda_.plan(now_ + delay, event{std::move(act), whose});
}

// -- running ---------------------------------------------------------------------------------------------------------

director::job director::meet(caf::resumable* what) {
  if (what->subtype() != caf::resumable::scheduled_actor)
    return {what, 0};
  auto* who = static_cast<caf::scheduled_actor*>(what);
  const auto id = who->id();
  if (id >= actors_.size())
    actors_.resize(std::max<std::size_t>(id + 1, actors_.size() * 2));
  if (actors_[id] == 0 && (actors_[id] = life_of(who->node())) != 0)
    lives_[actors_[id]].actors.emplace_back(who->ctrl());
  return {what, actors_[id]};
}

void director::enqueue(caf::resumable* what) {
  const auto x = meet(what);
  (lives_[x.whose].over ? last_jobs_ : jobs_).push_back(x);
}

bool director::run_only(caf::scheduled_actor& who) {
  auto& box = who.mailbox();
  auto& waiting = who.get_normal_queue();
  if (box.closed() || box.size() != 1 || waiting.total_task_size() != 1 || inside::awaits_one(who))
    return false;
  auto only = waiting.take_front();
  if (who.activate(unit_.get(), *only) == caf::scheduled_actor::activation_result::skipped)
    who.push_to_cache(std::move(only));
  return true;
}

void director::run(caf::resumable* what) {
  if (what->subtype() == caf::resumable::scheduled_actor) {
    auto& who = *static_cast<caf::scheduled_actor*>(what);
    if (run_only(who))
      return who.mailbox().try_block() ? caf::intrusive_ptr_release(what) : enqueue(what);
  }
  switch (what->resume(unit_.get(), 1)) {
    case caf::resumable::resume_later: return enqueue(what);
    case caf::resumable::done:
    case caf::resumable::awaiting_message: return caf::intrusive_ptr_release(what);
    default: return;
  }
}

void director::await(life_number whose) {
  auto& x = lives_[whose];
  if (x.stuck || x.waiting.empty() || std::exchange(x.awaited, true))
    return;
  plan(std::max<moment>(x.busy_until - now_, moment{0}), whose, [this, whose] {
    auto& x = lives_[whose];
    x.awaited = false;
    if (x.stuck || x.waiting.empty())
      return;
    auto* what = x.waiting.front();
    x.waiting.pop_front();
    x.hampered = x.step > moment{0} || !x.waiting.empty();
    play({what, whose});
    await(whose);
  });
}

void director::begin_step(life_number whose) {
  if (auto& x = lives_[whose]; x.hampered)
    x.busy_until = now_ + x.step;
  ++steps_;
  become(whose);
  note(static_cast<std::uint64_t>(now_.count()) ^ (static_cast<std::uint64_t>(whose) << 40));
}

void director::play(job x) {
  begin_step(x.whose);
  run(x.what);
}

void director::hand_over(caf::actor_control_block* to, caf::mailbox_element_ptr what) {
  const auto id = to->id();
  const auto whose = id < actors_.size() ? actors_[id] : life_number{0};
  if (whose == 0 || !jobs_.empty() || lives_[whose].over || !lives_[whose].prompt(now_))
    return to->enqueue(std::move(what), nullptr);
  auto* who = static_cast<caf::scheduled_actor*>(to->get());
  // Closed when it has ended, filled when it has more to do.
  if (who->mailbox().closed() || !who->mailbox().blocked())
    return to->enqueue(std::move(what), nullptr);
  // Nobody else need hold it.
  const auto held = caf::strong_actor_ptr{to};
  begin_step(whose);
  if (who->activate(unit_.get(), *what) == caf::scheduled_actor::activation_result::skipped)
    who->push_to_cache(std::move(what));
}

bool director::run_job() {
  if (jobs_.empty())
    return false;
  if (shuffle_one_in_ != 0 && jobs_.size() > 1 && chance_() % shuffle_one_in_ == 0)
    std::swap(jobs_.front(), jobs_[chance_() % jobs_.size()]);
  const auto x = jobs_.front();
  jobs_.pop_front();
  if (lives_[x.whose].prompt(now_)) {
    play(x);
  } else {
    lives_[x.whose].waiting.push_back(x.what);
    await(x.whose);
  }
  return true;
}

void director::happen(event&& x) {
  if (x.what() == event::kind::nothing || (x.whose != 0 && lives_[x.whose].over))
    return;
  ++timers_;
  // Mail finds by itself whose it is.
  if (x.what() != event::kind::mail)
    become(x.whose);
  switch (x.what()) {
    case event::kind::mail: return deliver(*x.take_mail());
    case event::kind::message: return hand_over(x.who.get(), x.take_message());
    case event::kind::act: return x.act()();
    case event::kind::request: return x.who->get()->eq_impl(x.request(), x.who, nullptr, caf::sec::request_timeout);
    case event::kind::timeout: {
      const auto [number, type] = x.timeout();
      return x.who->get()->eq_impl(caf::make_message_id(), x.who, nullptr, caf::timeout_msg{type, number});
    }
    case event::kind::nothing:
    case event::kind::lane: return;
  }
}

bool director::run_until(moment end, const std::function<bool()>& enough) {
  for (;;) {
    while (run_job())
      if (enough && enough())
        return true;
    if (agenda_.empty() || agenda_.next() > end) {
      now_ = std::max(now_, end);
      become(0);
      return enough && enough();
    }
    now_ = std::max(now_, agenda_.next());
    auto first = agenda_.take();
    if (const auto* next = agenda_.ahead())
      next->fetch();
    happen(std::move(first));
    if (enough && enough())
      return true;
  }
}

void director::shuffle(std::uint64_t seed, std::uint32_t one_in) {
  chance_.seed(static_cast<std::minstd_rand::result_type>(seed % 2147483646 + 1));
  shuffle_one_in_ = one_in;
}

void director::note(const char* bytes, std::size_t size) {
  auto word = std::uint64_t{0};
  for (; size >= sizeof word; bytes += sizeof word, size -= sizeof word) {
    std::memcpy(&word, bytes, sizeof word);
    note(word);
  }
  word = size;
  std::memcpy(reinterpret_cast<char*>(&word) + 1, bytes, size);
  note(word);
}

} // namespace novacron::simulation
