#include "actors/simulation/director.hpp"

#include "actors/simulation/parcel.hpp"

#include <caf/scheduled_actor.hpp>

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
    of_.agenda_.cancel(event::kind::timeout, self->id(), static_cast<std::uint64_t>(type));
    plan(t, {.what = event::kind::timeout, .who = self->ctrl(), .id = static_cast<std::uint64_t>(type), .type = type},
         id);
  }
  void set_multi_timeout(time_point t, caf::abstract_actor* self, caf::atom_value type, std::uint64_t id) override {
    set_ordinary_timeout(t, self, type, id);
  }
  void set_request_timeout(time_point t, caf::abstract_actor* self, caf::message_id id) override {
    plan(t, {.what = event::kind::request_timeout, .who = self->ctrl(), .id = id.integer_value()}, 0);
  }
  void cancel_ordinary_timeout(caf::abstract_actor* self, caf::atom_value type) override {
    of_.agenda_.cancel(event::kind::timeout, self->id(), static_cast<std::uint64_t>(type));
  }
  void cancel_request_timeout(caf::abstract_actor* self, caf::message_id id) override {
    of_.agenda_.cancel(event::kind::request_timeout, self->id(), id.integer_value());
  }
  void cancel_timeouts(caf::abstract_actor*) override {}
  void schedule_message(time_point t, caf::strong_actor_ptr receiver, caf::mailbox_element_ptr content) override {
    plan(t, {.what = event::kind::message, .who = std::move(receiver), .content = std::move(content)}, 0);
  }
  void schedule_message(time_point, caf::group, caf::strong_actor_ptr, caf::message) override {}
  void cancel_all() override { of_.agenda_.clear(); }

private:
  void plan(time_point t, event what, std::uint64_t timeout) {
    const auto& mine = of_.lives_[of_.playing_];
    if (mine.over)
      return;
    auto wait = t - now();
    if (mine.drift_ppm != 0)
      wait = wait * 1'000'000 / (1'000'000 + mine.drift_ppm);
    what.whose = of_.playing_;
    if (what.what == event::kind::timeout)
      what.act = [timeout, who = what.who.get(), type = what.type] {
        who->get()->eq_impl(caf::make_message_id(), caf::strong_actor_ptr{who}, nullptr,
                            caf::timeout_msg{type, timeout});
      };
    of_.agenda_.plan(of_.now_ + std::max<moment>(wait, moment{0}), std::move(what));
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
  become(0);
}

void director::stop() {
  agenda_.clear();
  for (auto* queue : {&jobs_, &last_jobs_})
    while (!queue->empty()) {
      auto* job = queue->front();
      queue->pop_front();
      cleanup_and_release(job);
    }
}

// -- lives -----------------------------------------------------------------------------------------------------------

life_number director::begin(std::uint32_t host) {
  const auto which = static_cast<life_number>(lives_.size());
  auto& fresh = lives_.emplace_back();
  fresh.id = make_identity(which, host);
  fresh.host = host;
  fresh.drift_since = now_;
  return which;
}

life_number director::life_of(const caf::node_id& id) const {
  if (!id || id->implementation_id() != caf::node_id::default_data::class_id)
    return 0;
  const auto number = static_cast<const caf::node_id::default_data&>(*id).process_id();
  return number >= process_base && number - process_base < lives_.size() ? number - process_base : 0;
}

life_number director::life_of(caf::resumable* job) const {
  if (job->subtype() != caf::resumable::scheduled_actor)
    return 0;
  return life_of(static_cast<caf::scheduled_actor*>(job)->node());
}

void director::become(life_number which) {
  // The node id of the system is an ordinary member that is read often and written never: with one thread, it may be.
  if (playing_ != which || system().node() != lives_[which].id)
    const_cast<caf::node_id&>(system().node()) = lives_[which].id;
  playing_ = which;
  unit_->proxy_registry_ptr(lives_[which].proxies);
}

void director::end(life_number which) {
  lives_[which].over = true;
  auto waiting = std::exchange(lives_[which].waiting, {});
  last_jobs_.insert(last_jobs_.end(), waiting.begin(), waiting.end());
  // Those that begin while others end are found in the next round.
  while (!lives_[which].actors.empty()) {
    for (const auto& weak : std::exchange(lives_[which].actors, {}))
      if (const auto one = weak.lock())
        caf::anon_send_exit(caf::actor_cast<caf::actor>(one), caf::exit_reason::kill);
    drain(which);
  }
}

void director::drain(life_number which) {
  std::erase_if(jobs_, [&](caf::resumable* job) {
    const auto mine = life_of(job) == which;
    if (mine)
      last_jobs_.push_back(job);
    return mine;
  });
  while (!last_jobs_.empty()) {
    auto* job = last_jobs_.front();
    last_jobs_.pop_front();
    become(life_of(job));
    run(job);
  }
  become(0);
}

void director::slow_down(life_number which, moment step, bool stuck) {
  auto& x = lives_[which];
  x.step = step;
  x.stuck = stuck;
  x.busy_until = now_;
  await(which);
}

// -- time ------------------------------------------------------------------------------------------------------------

moment director::local_time(life_number which) const {
  const auto& x = lives_[which];
  const auto passed = now_ - x.drift_since;
  return x.local_then + passed + moment{passed.count() / 1'000'000 * x.drift_ppm};
}

void director::drift(life_number which, std::int64_t ppm) {
  auto& x = lives_[which];
  x.local_then = local_time(which);
  x.drift_since = now_;
  x.drift_ppm = ppm;
}

void director::plan(moment delay, life_number whose, std::function<void()> act) {
  agenda_.plan(now_ + delay, {.what = event::kind::act, .whose = whose, .act = std::move(act)});
}

// -- running ---------------------------------------------------------------------------------------------------------

void director::enqueue(caf::resumable* job) {
  const auto whose = life_of(job);
  if (whose != 0) {
    const auto id = static_cast<caf::scheduled_actor*>(job)->id();
    if (id >= met_.size())
      met_.resize(std::max<std::size_t>(id + 1, met_.size() * 2));
    if (!met_[id]) {
      met_[id] = true;
      lives_[whose].actors.emplace_back(static_cast<caf::scheduled_actor*>(job)->ctrl());
    }
    if (lives_[whose].over)
      return last_jobs_.push_back(job);
  }
  jobs_.push_back(job);
}

void director::run(caf::resumable* job) {
  switch (job->resume(unit_.get(), 1)) {
    case caf::resumable::resume_later: return enqueue(job);
    case caf::resumable::done:
    case caf::resumable::awaiting_message: return caf::intrusive_ptr_release(job);
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
    auto* job = x.waiting.front();
    x.waiting.pop_front();
    play(job, whose);
    await(whose);
  });
}

void director::play(caf::resumable* job, life_number whose) {
  lives_[whose].busy_until = now_ + lives_[whose].step;
  ++steps_;
  become(whose);
  note(static_cast<std::uint64_t>(now_.count()) ^ (static_cast<std::uint64_t>(whose) << 40));
  run(job);
}

bool director::run_job() {
  if (jobs_.empty())
    return false;
  if (shuffle_one_in_ != 0 && jobs_.size() > 1 && chance_() % shuffle_one_in_ == 0)
    std::swap(jobs_.front(), jobs_[chance_() % jobs_.size()]);
  auto* job = jobs_.front();
  jobs_.pop_front();
  const auto whose = life_of(job);
  auto& x = lives_[whose];
  if (x.stuck || !x.waiting.empty() || x.busy_until > now_) {
    x.waiting.push_back(job);
    await(whose);
    return true;
  }
  play(job, whose);
  return true;
}

void director::happen(event x) {
  if (x.what == event::kind::nothing || (x.whose != 0 && lives_[x.whose].over))
    return;
  ++timers_;
  become(x.whose);
  switch (x.what) {
    case event::kind::act:
    case event::kind::timeout: return x.act();
    case event::kind::message: return x.who->enqueue(std::move(x.content), nullptr);
    case event::kind::parcel: return deliver(*x.mail);
    case event::kind::request_timeout:
      return x.who->get()->eq_impl(caf::make_message_id(x.id), x.who, nullptr, caf::sec::request_timeout);
    case event::kind::nothing: return;
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
    happen(agenda_.take());
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
