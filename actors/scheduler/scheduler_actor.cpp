#include "actors/scheduler/scheduler_actor.hpp"

#include "actors/host/certificate.hpp"
#include "actors/scheduler/orders.hpp"
#include "actors/scheduler/scheduler_assigning_actor.hpp"

#include <fmt/format.h>

namespace novacron::scheduler {
namespace {

using pointer = scheduler_self;

/// Chosen: a client that repeats an order does so within the next thousand.
constexpr std::size_t answered_max = 1024;
/// Chosen: below the time-outs of proxies between a person and the fabric.
constexpr auto wait_max = std::chrono::milliseconds{60'000};
constexpr auto conflicts_max = 5u;

void advance(pointer self);

std::int64_t now_ms(pointer self) {
  const auto& x = self->state;
  return x.settings.wall_ms +
         std::chrono::duration_cast<std::chrono::milliseconds>(self->clock().now() - x.start).count();
}

template <class Promise, class Value>
void answer(Promise& promise, Value&& value) {
  promise.deliver(std::forward<Value>(value));
}

template <class Promise>
void when_ready(pointer self, Promise promise, std::function<void()> run) {
  auto& x = self->state;
  if (x.ready)
    return run();
  if (!x.leads)
    return answer(promise, caf::make_error(fault::not_leader, x.leader));
  if (x.deferred.size() >= x.settings.waiting_max)
    return answer(promise, caf::make_error(fault::overloaded, "too many orders wait for the new leader"));
  x.deferred.push_back([=, run = std::move(run)](const caf::error& why) mutable {
    if (why)
      promise.deliver(why);
    else
      run();
  });
}

// -- news --------------------------------------------------------------------------------------

void serve_readers(pointer self) {
  auto& x = self->state;
  const auto now = self->clock().now();
  std::erase_if(x.readers, [&](event_reader& each) {
    auto found = x.events.read(each.after, each.limit);
    if (found.events_size() == 0 && now < each.until)
      return false;
    each.promise.deliver(std::move(found));
    return true;
  });
}

void publish(pointer self) {
  auto& x = self->state;
  auto fresh = x.book->take_events();
  x.seen.stands(x.book->waiting(), x.ready);
  for (auto& event : fresh) {
    x.seen.happened(event);
    x.events.add(std::move(event), x.book->facts().index, now_ms(self));
  }
  serve_readers(self);
}

// -- the ledger --------------------------------------------------------------------------------

void settle_command(pointer self) {
  auto& x = self->state;
  x.command.reset();
  x.awaited = 0;
  x.attempts = 0;
}

void commit(pointer self) {
  auto& x = self->state;
  const auto reign = x.reigns;
  const auto mine = [=] { return reign == self->state.reigns && self->state.command; };
  self->request(x.ledger, x.settings.answer_max, *x.command)
    .then(
      [=](const wire::LedgerApplied& done) {
        if (!mine())
          return;
        auto& x = self->state;
        if (done.applied()) {
          x.awaited = done.index();
          if (x.book->facts().index >= x.awaited) {
            settle_command(self);
            advance(self);
          }
          return;
        }
        x.book->refused();
        // The news of what changed first comes first; if not, asking again at once would not help.
        x.command.reset();
        self->delayed_send(self, backoff(self, ++x.attempts), look{});
      },
      [=](caf::error&) {
        if (mine())
          self->delayed_send(self, backoff(self, ++self->state.attempts), commit_again{});
      });
}

/// Asks the book for its decisions, and measures how long it took them.
std::vector<wire::LedgerOp> decide(pointer self) {
  auto& x = self->state;
  if (!x.seen.counts())
    return x.book->propose(self->clock().now(), now_ms(self));
  const auto begin = std::chrono::steady_clock::now();
  auto ops = x.book->propose(self->clock().now(), now_ms(self));
  x.seen.decided(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return ops;
}

void propose(pointer self) {
  auto& x = self->state;
  auto ops = decide(self);
  if (ops.empty())
    return;
  auto& command = x.command.emplace();
  command.set_version(1);
  command.set_client(x.client);
  command.set_sequence(++x.sequence);
  command.set_time_ms(now_ms(self));
  // Conditions bind what it writes, not what it looked at: room, for one. Whoever was cut off or stuck meanwhile looked
  // at what is long over.
  command.set_term(x.term);
  for (auto& op : ops)
    *command.add_ops() = std::move(op);
  commit(self);
}

void arm(pointer self) {
  auto& x = self->state;
  auto next = x.command ? std::nullopt : x.book->wake();
  for (const auto& each : x.readers)
    next = next ? std::min(*next, each.until) : each.until;
  if (const auto turn = x.deliveries.wake(); turn && x.ready)
    next = next ? std::min(*next, *turn) : *turn;
  if (!next || (x.armed && *x.armed <= *next))
    return;
  const auto now = self->clock().now();
  x.armed = *next;
  self->delayed_send(self, std::max<duration>(*next - now, duration{0}), look{});
}

/// Does all that can be done now.
void advance(pointer self) {
  auto& x = self->state;
  if (x.ready) {
    if (!x.command)
      propose(self);
    assign(self);
  }
  publish(self);
  arm(self);
}

void watch(pointer self) {
  auto me = caf::actor_cast<ledger_watcher>(caf::actor_cast<caf::strong_actor_ptr>(self));
  self->request(self->state.ledger, self->state.settings.answer_max, wire::LedgerWatch{}, me)
    .then(
      [=](const wire::LedgerEntries& all) {
        if (all.index() >= self->state.book->facts().index && !self->state.ready)
          self->state.book->reset(all);
      },
      [=](caf::error&) { self->delayed_send(self, self->state.settings.retry_delay_max, watch_again{}); });
}

/// A new leader decides nothing before it knows all that was committed before it led.
void read_all(pointer self) {
  const auto reign = self->state.reigns;
  auto question = wire::LedgerRead{};
  question.set_linearizable(true);
  self->request(self->state.ledger, self->state.settings.answer_max, question)
    .then(
      [=](const wire::LedgerEntries& all) {
        auto& x = self->state;
        if (reign != x.reigns || !x.leads)
          return;
        if (all.index() >= x.book->facts().index)
          x.book->reset(all);
        x.book->lead(self->clock().now());
        x.ready = true;
        for (auto& run : std::exchange(x.deferred, {}))
          run(caf::none);
        advance(self);
      },
      [=](caf::error&) {
        if (reign == self->state.reigns)
          self->delayed_send(self, backoff(self, ++self->state.attempts), commit_again{});
      });
}

void led(pointer self, const wire::LedgerLed& news) {
  auto& x = self->state;
  x.leader = news.leader();
  if (x.leads && news.here() && x.term == news.term())
    return;
  x.term = news.term();
  x.leads = news.here();
  x.ready = false;
  ++x.reigns;
  settle_command(self);
  x.deliveries.clear();
  x.until_index.clear();
  x.book->follow();
  if (x.leads) {
    x.client = fmt::format("scheduler/{}/{}/{:x}", x.settings.reconcile.node, x.term, x.chance());
    x.sequence = 0;
    read_all(self);
    return;
  }
  const auto why = caf::make_error(fault::not_leader, x.leader);
  for (auto& run : std::exchange(x.deferred, {}))
    run(why);
  for (auto& each : std::exchange(x.readers, {}))
    each.promise.deliver(why);
}

// -- orders ------------------------------------------------------------------------------------

/// Writes what an order means, and answers when this node sees it written.
template <class Answer>
void carry_out(pointer self, caf::typed_response_promise<Answer> promise, wire::Order identity,
               std::function<order()> decide, std::function<Answer(const order&, std::uint64_t)> word,
               unsigned conflicts = 0) {
  auto& x = self->state;
  auto what = decide();
  if (what.refused)
    return answer(promise, caf::make_error(*what.refused, what.reason));
  if (what.ops.empty())
    return answer(promise, word(what, 0));
  auto command = wire::LedgerCommand{};
  command.set_version(1);
  // A conflict was an answer to this identity: what is tried next is another command.
  const auto named = !identity.client().empty() && conflicts == 0;
  command.set_client(named ? identity.client() : fmt::format("{}/order/{}", x.client, ++x.orders));
  command.set_sequence(named ? identity.sequence() : 1);
  command.set_time_ms(now_ms(self));
  for (const auto& op : what.ops)
    *command.add_ops() = op;
  self->request(x.ledger, x.settings.answer_max, command)
    .then(
      [=](const wire::LedgerApplied& done) mutable {
        auto& x = self->state;
        if (done.applied()) {
          auto words = word(what, done.index());
          if (!x.ready || x.book->facts().index >= done.index())
            promise.deliver(std::move(words));
          else
            x.until_index.emplace(done.index(), [=]() mutable { promise.deliver(std::move(words)); });
        } else if (conflicts < conflicts_max && x.ready) {
          carry_out<Answer>(self, promise, identity, decide, word, conflicts + 1);
        } else {
          promise.deliver(caf::make_error(fault::conflict, done.key() + " was changed by somebody else at the same time"));
        }
      },
      [=](caf::error& why) mutable { promise.deliver(std::move(why)); });
}

wire::Done done_at(const order&, std::uint64_t index) {
  auto answer = wire::Done{};
  answer.set_index(index);
  return answer;
}

void remember(scheduler_state& x, const std::pair<std::string, std::uint64_t>& identity, const wire::Submitted& words) {
  if (identity.first.empty() || !x.answered.emplace(identity, words).second)
    return;
  x.answered_order.push_back(identity);
  if (x.answered_order.size() > answered_max) {
    x.answered.erase(x.answered_order.front());
    x.answered_order.pop_front();
  }
}

void submit(pointer self, const wire::Submit& x, caf::typed_response_promise<wire::Submitted> promise) {
  const auto identity = std::pair{x.order().client(), x.order().sequence()};
  if (const auto found = self->state.answered.find(identity); found != self->state.answered.end())
    return answer(promise, found->second);
  carry_out<wire::Submitted>(
    self, promise, x.order(), 
    [=, asked = x] { return order_submit(self->state.book->facts(), asked, now_ms(self)); },
    [=, name = x.spec().name()](const order& what, std::uint64_t index) {
      auto answer = wire::Submitted{};
      answer.set_name(name);
      answer.set_generation(what.generation);
      answer.set_index(index);
      answer.set_effect(what.effect);
      remember(self->state, identity, answer);
      return answer;
    });
}

/// Answers a question from what is known; only a leader knows.
template <class Answer>
caf::result<Answer> tell(pointer self, std::function<caf::expected<Answer>()> look_up) {
  auto promise = self->make_response_promise<Answer>();
  when_ready(self, promise, [=]() mutable {
    auto answer = look_up();
    if (answer)
      promise.deliver(std::move(*answer));
    else
      promise.deliver(std::move(answer.error()));
  });
  return promise;
}

template <class Question>
caf::result<wire::Done> follow_order(pointer self, const Question& x,
                                     std::function<order(const Question&)> decide) {
  auto promise = self->make_response_promise<wire::Done>();
  when_ready(self, promise, [=] {
    carry_out<wire::Done>(self, promise, x.order(), [=] { return decide(x); }, done_at);
  });
  return promise;
}

/// An order that needs to know no more than what the ledger says.
template <class Question>
caf::result<wire::Done> follow_order(pointer self, const Question& x, order (*decide)(const truth&, const Question&)) {
  return follow_order<Question>(self, x, [=](const Question& y) { return decide(self->state.book->facts(), y); });
}

/// Moves what is better off elsewhere, or says from when on that is done by itself.
caf::result<wire::Plan> rebalance(pointer self, const wire::Rebalance& x) {
  auto promise = self->make_response_promise<wire::Plan>();
  when_ready(self, promise, [=]() mutable {
    auto& here = self->state;
    if (!x.policy().empty() && !policy_weights(x.policy()) && !here.book->facts().policies.contains(x.policy()))
      return answer(promise, caf::make_error(fault::not_found, "there is no policy called " + x.policy()));
    if (!x.policy().empty() && !x.dry_run())
      return answer(promise, caf::make_error(fault::bad_request, "moves are made by the policy that holds; set it first"));
    if (x.has_every_ms())
      return carry_out<wire::Plan>(
        self, promise, x.order(), [=] { return order_rebalance(self->state.book->facts(), x); },
        [=](const order&, std::uint64_t) {
          auto plan = wire::Plan{};
          plan.set_feasible(true);
          plan.set_summary(x.every_ms() == 0 ? std::string{"nothing is moved by itself any more"}
                                             : fmt::format("moves are made by themselves every {} ms", x.every_ms()));
          return plan;
        });
    answer(promise, here.book->rebalance(x));
    advance(self);
  });
  return promise;
}

/// Nobody can guess it: it is drawn from the kernel.
std::string draw_token() {
  constexpr auto bytes = std::size_t{16};
  return host::random_bytes(bytes);
}

caf::result<wire::Migration> migrate(pointer self, const wire::Migrate& x) {
  auto promise = self->make_response_promise<wire::Migration>();
  when_ready(self, promise, [=] {
    carry_out<wire::Migration>(
      self, promise, x.order(), [=, token = self->state.settings.reconcile.draw_token()] {
        return self->state.book->migrate(x, now_ms(self), token);
      },
      [=](const order& what, std::uint64_t) {
        auto words = wire::Migration{};
        // One that is under way already is answered as it is.
        if (what.plan)
          words = *what.plan;
        else if (what.ops.empty())
          words = self->state.book->facts().migrations.at(what.effect).value;
        else
          words.ParseFromString(what.ops.back().value());
        return words;
      });
  });
  return promise;
}

caf::result<wire::Events> read_events(pointer self, const wire::EventsRequest& x) {
  auto promise = self->make_response_promise<wire::Events>();
  when_ready(self, promise, [=]() mutable {
    auto& here = self->state;
    auto found = here.events.read(x.after(), x.limit());
    if (found.events_size() > 0 || x.wait_ms() == 0)
      return answer(promise, std::move(found));
    if (here.readers.size() >= here.settings.waiting_max)
      return answer(promise, caf::make_error(fault::overloaded, "too many wait for events"));
    const auto length = std::min<std::uint64_t>(x.wait_ms(), wait_max.count());
    here.readers.push_back({promise, x.after(), x.limit(),
                            self->clock().now() + std::chrono::milliseconds{static_cast<std::int64_t>(length)}});
    arm(self);
  });
  return promise;
}

void changed(pointer self, const wire::LedgerChanged& x) {
  auto& here = self->state;
  here.book->apply(x);
  if (here.command && here.awaited != 0 && here.book->facts().index >= here.awaited)
    settle_command(self);
  while (!here.until_index.empty() && here.until_index.begin()->first <= here.book->facts().index)
    here.until_index.extract(here.until_index.begin()).mapped()();
  advance(self);
}

scheduler_extended::behavior_type behavior(pointer self, scheduler_config settings, ledger_actor ledger,
                                           agent_lookup agent_of, std::uint64_t seed) {
  auto& here = self->state;
  if (!settings.reconcile.draw_token)
    settings.reconcile.draw_token = draw_token;
  here.settings = settings;
  here.ledger = std::move(ledger);
  here.agent_of = std::move(agent_of);
  here.chance.seed(seed);
  here.book.emplace(settings.reconcile);
  here.deliveries = outbox{settings.assign_bytes_max, settings.assigns_max};
  here.start = self->clock().now();
  here.seen = numbers{settings.numbers};
  watch(self);
  return {
    [=](const wire::Submit& x) -> caf::result<wire::Submitted> {
      auto promise = self->make_response_promise<wire::Submitted>();
      when_ready(self, promise, [=] { submit(self, x, promise); });
      return promise;
    },
    [=](const wire::PlanRequest& x) -> caf::result<wire::Plan> {
      return tell<wire::Plan>(self, [=]() -> caf::expected<wire::Plan> {
        const auto& facts = self->state.book->facts();
        if (!x.drained_node().empty() && !facts.nodes.contains(x.drained_node()))
          return caf::make_error(fault::not_found, "there is no node called " + x.drained_node());
        if (!x.drained_node().empty())
          return self->state.book->plan_drain(x.drained_node());
        auto policies = std::vector<std::string>{};
        for (const auto& [name, policy] : facts.policies)
          policies.push_back(name);
        if (auto wrong = what_is_wrong(x.spec(), policies); !wrong.empty())
          return caf::make_error(fault::bad_request, std::move(wrong));
        return self->state.book->plan(x.spec());
      });
    },
    [=](const wire::Explain& x) -> caf::result<wire::Explanation> {
      return tell<wire::Explanation>(self, [=]() -> caf::expected<wire::Explanation> {
        if (auto found = self->state.book->explain(x.name()))
          return *found;
        return caf::make_error(fault::not_found, "there is no workload or instance called " + x.name());
      });
    },
    [=](const wire::StopWorkload& x) { return follow_order(self, x, order_stop); },
    [=](const wire::DrainNode& x) -> caf::result<wire::Done> {
      return follow_order<wire::DrainNode>(
          self, x, [=](const auto& y) { return order_drain(self->state.book->facts(), y, now_ms(self)); });
    },
    [=](const wire::ForgetNode& x) -> caf::result<wire::Done> {
      return follow_order<wire::ForgetNode>(self, x, [=](const auto& forget) {
        return order_forget(self->state.book->facts(), forget, self->state.book->present(forget.node()));
      });
    },
    [=](const wire::WorkloadListRequest& x) -> caf::result<wire::WorkloadList> {
      return tell<wire::WorkloadList>(self, [=]() -> caf::expected<wire::WorkloadList> {
        auto list = self->state.book->list_workloads(x.name());
        if (!x.name().empty() && list.workloads_size() == 0)
          return caf::make_error(fault::not_found, "there is no workload called " + x.name());
        return list;
      });
    },
    [=](const wire::NodeListRequest& x) -> caf::result<wire::NodeList> {
      return tell<wire::NodeList>(self, [=]() -> caf::expected<wire::NodeList> {
        auto list = self->state.book->list_nodes(x.name());
        if (!x.name().empty() && list.nodes_size() == 0)
          return caf::make_error(fault::not_found, "there is no node called " + x.name());
        return list;
      });
    },
    [=](const wire::EventsRequest& x) { return read_events(self, x); },
    [=](const wire::NodeReport& x) -> caf::result<wire::Done> {
      auto& here = self->state;
      if (!here.leads)
        return caf::make_error(fault::not_leader, here.leader);
      here.book->report(x, self->clock().now(), now_ms(self));
      advance(self);
      return done_at({}, here.book->facts().index);
    },
    [=](const wire::ReportChange& x) -> caf::result<wire::Done> {
      auto& here = self->state;
      if (!here.leads)
        return caf::make_error(fault::not_leader, here.leader);
      if (!here.book->report(x, self->clock().now(), now_ms(self)))
        return caf::make_error(fault::conflict, "that does not change the last report that is here");
      advance(self);
      return done_at({}, here.book->facts().index);
    },
    [=](const wire::TaintNode& x) { return follow_order(self, x, order_taint); },
    [=](const wire::SetQuota& x) { return follow_order(self, x, order_quota); },
    [=](const wire::QuotaListRequest&) -> caf::result<wire::QuotaList> {
      return tell<wire::QuotaList>(
        self, [=]() -> caf::expected<wire::QuotaList> { return self->state.book->list_quotas(); });
    },
    [=](const wire::SetPolicy& x) { return follow_order(self, x, order_policy); },
    [=](const wire::PolicyListRequest&) -> caf::result<wire::PolicyList> {
      return tell<wire::PolicyList>(
        self, [=]() -> caf::expected<wire::PolicyList> { return self->state.book->list_policies(); });
    },
    [=](const wire::Rebalance& x) { return rebalance(self, x); },
    [=](const wire::ScaleFunction& x) { return follow_order(self, x, order_scale); },
    [=](const wire::SetReservation& x) -> caf::result<wire::Done> {
      return follow_order<wire::SetReservation>(
        self, x, [=](const auto& y) { return order_reservation(self->state.book->facts(), y, now_ms(self)); });
    },
    [=](const wire::ReservationListRequest&) -> caf::result<wire::ReservationList> {
      return tell<wire::ReservationList>(
        self, [=]() -> caf::expected<wire::ReservationList> { return self->state.book->list_reservations(); });
    },
    [=](const wire::Migrate& x) { return migrate(self, x); },
    [=](const wire::CancelMigration& x) -> caf::result<wire::Done> {
      return follow_order<wire::CancelMigration>(
          self, x, [=](const auto& y) { return order_cancel(self->state.book->facts(), y, now_ms(self)); });
    },
    [=](const wire::MigrationListRequest& x) -> caf::result<wire::MigrationList> {
      return tell<wire::MigrationList>(self, [=]() -> caf::expected<wire::MigrationList> {
        auto list = self->state.book->list_migrations(x.name());
        if (!x.name().empty() && list.migrations_size() == 0)
          return caf::make_error(fault::not_found, "there is no migration called " + x.name());
        return list;
      });
    },
    [=](const wire::SettleMove& x) -> caf::result<wire::Migration> {
      auto promise = self->make_response_promise<wire::Migration>();
      when_ready(self, promise, [=] {
        carry_out<wire::Migration>(
          self, promise, {}, [=] { return order_settle(self->state.book->facts(), x, now_ms(self)); },
          [name = x.migration()](const order& what, std::uint64_t) {
            auto answer = wire::Migration{};
            answer.set_name(name);
            answer.set_phase(what.effect);
            return answer;
          });
      });
      return promise;
    },
    [=](const wire::NodeArrived& x) {
      self->state.book->arrive(x.facts(), self->clock().now());
      advance(self);
    },
    [=](const wire::NodeDeparted& x) {
      self->state.book->depart(x.name(), x.reason(), self->clock().now());
      advance(self);
    },
    [=](const wire::LedgerChanged& x) { changed(self, x); },
    [=](const wire::LedgerLed& x) {
      led(self, x);
      advance(self);
    },
    [=](look) {
      auto& here = self->state;
      if (here.armed && *here.armed <= self->clock().now())
        here.armed.reset();
      advance(self);
    },
    [=](commit_again) {
      auto& here = self->state;
      if (here.leads && !here.ready)
        read_all(self);
      else if (here.ready && here.command && here.awaited == 0)
        commit(self);
    },
    [=](watch_again) { watch(self); },
    [=](const assign_again& x) {
      if (self->state.deliveries.resume(x.node))
        assign_anew(self, x.node);
      deliver(self, x.node);
    },
  };
}

} // namespace

duration backoff(scheduler_self self, unsigned attempts) {
  const auto& x = self->state.settings;
  auto delay = x.retry_delay;
  for (auto i = 1u; i < attempts && delay < x.retry_delay_max; ++i)
    delay *= 2;
  delay = std::min(delay, x.retry_delay_max);
  // Full jitter above the half, so that nodes that came back together are not asked together.
  return delay / 2 +
         duration{static_cast<duration::rep>(self->state.chance() % static_cast<std::uint64_t>(delay.count() / 2 + 1))};
}

} // namespace novacron::scheduler

namespace novacron {

scheduler_actor spawn_scheduler(caf::actor_system& system, scheduler_config settings, ledger_actor ledger,
                                agent_lookup agent_of, std::uint64_t seed) {
  return system.spawn(scheduler::behavior, std::move(settings), std::move(ledger), std::move(agent_of), seed);
}

} // namespace novacron
