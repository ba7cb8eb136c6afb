#include "actors/scheduler/function_actor.hpp"

#include "actors/scheduler/demand.hpp"
#include "actors/scheduler/function_numbers.hpp"
#include "actors/scheduler/function_pool.hpp"

#include <caf/all.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace novacron::scheduler {

/// Reminders of the actor to itself. They never leave the process.
struct watch_functions {};
struct read_news {
  std::uint64_t reign;
};
struct look_at_function {
  std::string name;
};

} // namespace novacron::scheduler

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::scheduler::watch_functions)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::scheduler::read_news)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::scheduler::look_at_function)

namespace novacron::scheduler {
namespace {

using self_actor = function_actor::extend<caf::reacts_to<watch_functions>, caf::reacts_to<read_news>,
                                          caf::reacts_to<look_at_function>>;

struct seen {
  wire::InstanceStatus status;
  /// Since when it takes calls.
  instant since;
};

struct function {
  wire::WorkloadSpec spec;
  bool stopped = false;
  function_pool pool;
  std::map<unsigned, seen> ready;
  /// Why there is no instance, in the scheduler's words.
  std::string reason;
  bool reading = false;
  bool read_again = false;
  bool scaling = false;
  /// The last order for another number failed: none before this.
  instant scale_after;
  std::optional<instant> armed;
  wire::FunctionView counts;
};

struct call {
  std::string function;
  std::string body;
  caf::typed_response_promise<wire::Invoked> promise;
  instant came;
  instant sent;
  bool cold = false;
};

struct state {
  static inline const char* name = "functions";
  function_config settings;
  ledger_actor ledger;
  scheduler_actor scheduler;
  agent_lookup agent_of;
  bool leads = false;
  std::string leader;
  std::uint64_t reign = 0;
  std::uint64_t news = 0;
  std::map<std::string, function> functions;
  std::set<std::string> away;
  std::map<function_pool::call, call> calls;
  function_pool::call last = 0;
  function_numbers numbers;
};

using pointer = self_actor::stateful_pointer<state>;

pool_rules to_rules(const wire::FunctionRules& x) {
  auto rules = pool_rules{};
  const auto full = with_defaults(x);
  rules.concurrency = full.concurrency();
  rules.instances_min = full.instances_min();
  rules.instances_max = full.instances_max();
  rules.waiting_max = full.waiting_max();
  rules.keep_alive = std::chrono::milliseconds{full.keep_alive_ms()};
  return rules;
}

std::optional<unsigned> ordinal_of(const std::string& instance) {
  auto value = 0u;
  const auto* const end = instance.data() + instance.size();
  const auto read = std::from_chars(instance.data() + instance.rfind('.') + 1, end, value);
  return read.ec == std::errc{} && read.ptr == end ? std::optional{value} : std::nullopt;
}

std::string workload_of(const std::string& instance) {
  return instance.substr(0, instance.rfind('.'));
}

std::uint64_t micros(duration x) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(x).count());
}

void advance(pointer self, const std::string& name);
void read_instances(pointer self, const std::string& name);

// -- calls -------------------------------------------------------------------------------------

void count_standing(pointer self) {
  auto& x = self->state;
  auto waiting = std::size_t{0};
  auto running = std::size_t{0};
  for (const auto& [name, each] : x.functions) {
    waiting += each.pool.waiting();
    running += each.pool.running();
  }
  x.numbers.stand(waiting, running);
}

void refuse(pointer self, function_pool::call which, caf::error why) {
  auto& x = self->state;
  auto gone = x.calls.extract(which);
  if (gone.empty())
    return;
  if (const auto found = x.functions.find(gone.mapped().function); found != x.functions.end())
    found->second.counts.set_refused(found->second.counts.refused() + 1);
  x.numbers.ended("refused");
  gone.mapped().promise.deliver(std::move(why));
}

void handled(pointer self, function_pool::call which, wire::Invoked answer) {
  auto& x = self->state;
  auto over = x.calls.extract(which);
  if (over.empty())
    return;
  auto& one = over.mapped();
  const auto now = self->clock().now();
  answer.set_cold(one.cold);
  answer.set_waited_usec(micros(one.sent - one.came));
  x.numbers.ended(answer.problem().empty() ? "answered" : "failed");
  x.numbers.took(one.cold, std::chrono::duration<double>(now - one.came).count());
  if (const auto found = x.functions.find(one.function); found != x.functions.end()) {
    auto& counts = found->second.counts;
    counts.set_answered(counts.answered() + answer.problem().empty());
    counts.set_failed(counts.failed() + !answer.problem().empty());
    counts.set_cold(counts.cold() + one.cold);
    found->second.pool.ended(which, now);
  }
  one.promise.deliver(std::move(answer));
  advance(self, one.function);
}

void not_handled(pointer self, function_pool::call which, const caf::error& why) {
  auto& x = self->state;
  const auto found = x.calls.find(which);
  if (found == x.calls.end())
    return;
  const auto name = found->second.function;
  const auto of = x.functions.find(name);
  const auto kind = explain(why).kind;
  // Whoever says so has not begun it; of all else nobody knows. That the agent does not run is said in its place, while
  // CAF says of one that ended with the call in its hands that it was lost.
  const auto not_there = kind == fault::unavailable && why.category() == caf::atom("novacron");
  const auto untouched = not_there || kind == fault::conflict || kind == fault::overloaded || kind == fault::not_found;
  if (untouched && of != x.functions.end()) {
    found->second.sent = instant{};
    of->second.reason = explain(why).text;
    of->second.pool.returned(which, self->clock().now());
    read_instances(self, name);
    return advance(self, name);
  }
  auto over = x.calls.extract(found);
  x.numbers.ended(kind == fault::timeout ? "late" : "lost");
  if (of != x.functions.end()) {
    of->second.counts.set_failed(of->second.counts.failed() + 1);
    // News that a node has left takes longer than a call needs to fail there.
    of->second.pool.lost(which, self->clock().now());
  }
  over.mapped().promise.deliver(why);
  advance(self, name);
}

void send_call(pointer self, function& to, function_pool::call which, unsigned ordinal) {
  auto& x = self->state;
  auto& one = x.calls.at(which);
  const auto& instance = to.ready.at(ordinal);
  const auto agent = x.agent_of(instance.status.node());
  if (!agent)
    return not_handled(self, which, caf::make_error(fault::conflict, instance.status.node() + " is not in reach"));
  one.sent = self->clock().now();
  one.cold = instance.since > one.came;
  auto order = wire::CallInstance{};
  order.set_instance(instance.status.name());
  order.set_body(one.body);
  const auto limit = std::chrono::milliseconds{with_defaults(to.spec.function()).timeout_ms()} + x.settings.call_slack;
  self->request(agent, limit, std::move(order))
      .then([=](const wire::Invoked& answer) { handled(self, which, answer); },
            [=](const caf::error& why) { not_handled(self, which, why); });
}

// -- how many there are ------------------------------------------------------------------------

void scale(pointer self, const std::string& name, function& x) {
  const auto wanted = x.pool.wanted(self->clock().now());
  if (x.stopped || x.scaling || wanted == x.spec.replicas() || self->clock().now() < x.scale_after)
    return;
  x.scaling = true;
  auto order = wire::ScaleFunction{};
  order.set_name(name);
  order.set_instances(wanted);
  const auto done = [=](bool well) {
    const auto found = self->state.functions.find(name);
    if (found == self->state.functions.end())
      return;
    found->second.scaling = false;
    if (well) {
      found->second.spec.set_replicas(wanted);
      return advance(self, name);
    }
    const auto pause = self->state.settings.retry_delay;
    found->second.scale_after = self->clock().now() + pause;
    self->delayed_send(self, pause, look_at_function{name});
  };
  self->request(self->state.scheduler, self->state.settings.answer_max, std::move(order))
      .then([=](const wire::Done&) { done(true); }, [=](caf::error&) { done(false); });
}

void arm(pointer self, const std::string& name, function& x) {
  const auto next = x.pool.wake();
  if (!next || (x.armed && *x.armed <= *next))
    return;
  x.armed = *next;
  self->delayed_send(self, std::max<duration>(*next - self->clock().now(), duration{0}), look_at_function{name});
}

/// Does all that can be done for a function now.
void advance(pointer self, const std::string& name) {
  const auto found = self->state.functions.find(name);
  if (found == self->state.functions.end() || !self->state.leads)
    return;
  auto& x = found->second;
  const auto now = self->clock().now();
  for (const auto which : x.pool.give_up(now))
    refuse(
        self, which,
        caf::make_error(fault::timeout,
                        fmt::format("no instance of {} took the call within {} s{}", name,
                                    std::chrono::duration_cast<std::chrono::seconds>(x.pool.rules().patience).count(),
                                    x.reason.empty() ? "" : ": " + x.reason)));
  while (const auto next = x.pool.next(now))
    send_call(self, x, next->first, next->second);
  scale(self, name, x);
  arm(self, name, x);
  count_standing(self);
}

// -- what there is -----------------------------------------------------------------------------

/// What waits for it will not be called any more.
void forget(pointer self, const std::string& name) {
  auto& x = self->state;
  if (x.functions.erase(name) == 0)
    return;
  auto waiting = std::vector<function_pool::call>{};
  for (const auto& [which, each] : x.calls)
    if (each.function == name && each.sent == instant{})
      waiting.push_back(which);
  for (const auto which : waiting)
    refuse(self, which, caf::make_error(fault::not_found, name + " was deleted"));
}

void take_record(pointer self, const wire::WorkloadRecord& record) {
  auto& x = self->state;
  const auto& spec = record.spec();
  const auto known = x.functions.find(spec.name());
  if (spec.kind() != wire::WORKLOAD_KIND_FUNCTION) {
    return forget(self, spec.name());
  }
  const auto rules = to_rules(spec.function());
  if (known == x.functions.end()) {
    x.functions.emplace(spec.name(), function{spec,
                                              record.stopped(),
                                              {rules, spec.replicas(), self->clock().now()},
                                              {},
                                              {},
                                              false,
                                              false,
                                              false,
                                              {},
                                              {},
                                              {}});
    read_instances(self, spec.name());
    return;
  }
  known->second.spec = spec;
  known->second.stopped = record.stopped();
  known->second.pool.follow(rules);
  advance(self, spec.name());
}

void take_view(pointer self, const std::string& name, const wire::WorkloadView& view) {
  auto& x = self->state;
  auto& here = x.functions.at(name);
  const auto now = self->clock().now();
  auto ready = std::map<unsigned, seen>{};
  auto ordinals = std::vector<unsigned>{};
  for (const auto& status : view.instances()) {
    const auto ordinal = ordinal_of(status.name());
    if (!ordinal || status.phase() != wire::PHASE_RUNNING || x.away.contains(status.node()))
      continue;
    const auto former = here.ready.find(*ordinal);
    const auto same = former != here.ready.end() && former->second.status.epoch() == status.epoch();
    ready[*ordinal] = {status, same ? former->second.since : now};
    ordinals.push_back(*ordinal);
  }
  here.reason = view.reason();
  here.ready = std::move(ready);
  here.pool.ready(std::move(ordinals));
  advance(self, name);
}

void read_instances(pointer self, const std::string& name) {
  auto& x = self->state;
  const auto found = x.functions.find(name);
  if (found == x.functions.end() || !x.leads)
    return;
  if (found->second.reading) {
    found->second.read_again = true;
    return;
  }
  found->second.reading = true;
  auto question = wire::WorkloadListRequest{};
  question.set_name(name);
  const auto over = [=](const wire::WorkloadList* list) {
    const auto here = self->state.functions.find(name);
    if (here == self->state.functions.end())
      return;
    here->second.reading = false;
    if (std::exchange(here->second.read_again, false))
      read_instances(self, name);
    if (list && list->workloads_size() == 1)
      take_view(self, name, list->workloads(0));
  };
  self->request(x.scheduler, x.settings.answer_max, std::move(question))
      .then([=](const wire::WorkloadList& list) { over(&list); }, [=](caf::error&) { over(nullptr); });
}

void heed_news(pointer self, const wire::Events& news) {
  auto& x = self->state;
  auto touched = std::set<std::string>{};
  auto all = news.missed();
  for (const auto& each : news.events()) {
    if (each.noun() == "instance") {
      touched.insert(workload_of(each.name()));
    } else if (each.noun() == "node") {
      all = true;
      if (each.verb() == "arrived")
        x.away.erase(each.name());
      else if (each.verb() == "departed" || each.verb() == "lost" || each.verb() == "forgotten")
        x.away.insert(each.name());
    }
  }
  x.news = news.next();
  for (const auto& [name, each] : x.functions)
    if (all || touched.contains(name))
      read_instances(self, name);
}

void read_events(pointer self, std::uint64_t reign) {
  auto& x = self->state;
  if (!x.leads || reign != x.reign)
    return;
  auto question = wire::EventsRequest{};
  question.set_after(x.news);
  question.set_limit(1000);
  question.set_wait_ms(micros(x.settings.news_max) / 1000);
  self->request(x.scheduler, x.settings.news_max + x.settings.answer_max, std::move(question))
      .then(
          [=](const wire::Events& news) {
            if (reign != self->state.reign)
              return;
            heed_news(self, news);
            read_events(self, reign);
          },
          [=](caf::error&) { self->delayed_send(self, self->state.settings.retry_delay, read_news{reign}); });
}

// -- the ledger --------------------------------------------------------------------------------

void take_entry(pointer self, const wire::LedgerEntry& entry) {
  auto record = wire::WorkloadRecord{};
  if (record.ParseFromString(entry.value()))
    take_record(self, record);
}

void watch(pointer self) {
  auto wish = wire::LedgerWatch{};
  wish.set_prefix("workload/");
  const auto me = caf::actor_cast<ledger_watcher>(caf::actor_cast<caf::strong_actor_ptr>(self));
  self->request(self->state.ledger, self->state.settings.answer_max, wish, me)
      .then(
          [=](const wire::LedgerEntries& all) {
            for (const auto& entry : all.entries())
              take_entry(self, entry);
          },
          [=](caf::error&) { self->delayed_send(self, self->state.settings.retry_delay, watch_functions{}); });
}

void changed(pointer self, const wire::LedgerChanged& x) {
  for (const auto& entry : x.written())
    take_entry(self, entry);
  for (const auto& key : x.removed())
    forget(self, key.substr(key.find('/') + 1));
}

void led(pointer self, const wire::LedgerLed& news) {
  auto& x = self->state;
  x.leader = news.leader();
  if (x.leads == news.here())
    return;
  x.leads = news.here();
  ++x.reign;
  const auto now = self->clock().now();
  for (auto& [which, each] : std::exchange(x.calls, {}))
    each.promise.deliver(caf::make_error(each.sent == instant{} ? fault::not_leader : fault::unreachable,
                                         "another controller leads now"));
  x.news = 0;
  x.away.clear();
  for (auto& [name, each] : x.functions) {
    each = {each.spec,
            each.stopped,
            {to_rules(each.spec.function()), each.spec.replicas(), now},
            {},
            {},
            false,
            false,
            false,
            {},
            {},
            {}};
    read_instances(self, name);
  }
  read_events(self, x.reign);
}

// -- questions ---------------------------------------------------------------------------------

void begin_call(pointer self, const wire::Invoke& x, caf::typed_response_promise<wire::Invoked> promise) {
  auto& here = self->state;
  auto& to = here.functions.at(x.function());
  if (to.stopped) {
    here.numbers.ended("refused");
    promise.deliver(caf::make_error(fault::conflict, x.function() + " is stopped; submit it again to have it called"));
    return;
  }
  const auto which = ++here.last;
  const auto now = self->clock().now();
  if (!to.pool.arrive(which, now)) {
    to.counts.set_refused(to.counts.refused() + 1);
    here.numbers.ended("refused");
    promise.deliver(caf::make_error(fault::overloaded,
                                    fmt::format("{} calls of {} wait already", to.pool.waiting(), x.function())));
    return;
  }
  here.calls.emplace(which, call{x.function(), x.body(), std::move(promise), now, {}, false});
  advance(self, x.function());
}

caf::result<wire::Invoked> invoke(pointer self, const wire::Invoke& x) {
  auto& here = self->state;
  if (!here.leads)
    return caf::make_error(fault::not_leader, here.leader);
  if (x.body().size() > call_bytes_max)
    return caf::make_error(fault::bad_request, fmt::format("a call has at most {} bytes", call_bytes_max));
  auto promise = self->make_response_promise<wire::Invoked>();
  if (here.functions.contains(x.function())) {
    begin_call(self, x, promise);
    return promise;
  }
  // Who submitted it may be faster than the news of that.
  auto question = wire::WorkloadListRequest{};
  question.set_name(x.function());
  self->request(here.scheduler, here.settings.answer_max, std::move(question))
      .then(
          [=](const wire::WorkloadList& list) mutable {
            if (list.workloads_size() == 1)
              take_record(self, list.workloads(0).record());
            if (self->state.functions.contains(x.function()))
              begin_call(self, x, promise);
            else
              promise.deliver(caf::make_error(fault::bad_request, x.function() + " is no function"));
          },
          [=](caf::error& why) mutable { promise.deliver(std::move(why)); });
  return promise;
}

wire::FunctionView view_of(pointer self, const std::string& name, function& x) {
  auto view = x.counts;
  view.set_name(name);
  view.set_image(x.spec.program().image());
  view.set_ready(static_cast<std::uint32_t>(x.pool.ready()));
  view.set_wanted(x.stopped ? 0 : x.pool.wanted(self->clock().now()));
  view.set_instances_min(x.pool.rules().instances_min);
  view.set_instances_max(x.pool.rules().instances_max);
  view.set_running(static_cast<std::uint32_t>(x.pool.running()));
  view.set_waiting(static_cast<std::uint32_t>(x.pool.waiting()));
  view.set_state(x.stopped ? "stopped" : "running");
  return view;
}

caf::result<wire::FunctionList> list(pointer self, const std::string& name) {
  auto& here = self->state;
  if (!here.leads)
    return caf::make_error(fault::not_leader, here.leader);
  auto all = wire::FunctionList{};
  for (auto& [each, x] : here.functions)
    if (name.empty() || each == name)
      *all.add_functions() = view_of(self, each, x);
  if (!name.empty() && all.functions_size() == 0)
    return caf::make_error(fault::not_found, "there is no function called " + name);
  return all;
}

self_actor::behavior_type behavior(pointer self, function_config settings, ledger_actor ledger,
                                   scheduler_actor scheduler, agent_lookup agent_of) {
  auto& here = self->state;
  here.numbers = function_numbers{settings.numbers};
  here.settings = std::move(settings);
  here.ledger = std::move(ledger);
  here.scheduler = std::move(scheduler);
  here.agent_of = std::move(agent_of);
  watch(self);
  return {
      [=](const wire::Invoke& x) { return invoke(self, x); },
      [=](const wire::FunctionListRequest& x) { return list(self, x.name()); },
      [=](const wire::LedgerChanged& x) { changed(self, x); },
      [=](const wire::LedgerLed& x) { led(self, x); },
      [=](watch_functions) { watch(self); },
      [=](const read_news& x) { read_events(self, x.reign); },
      [=](const look_at_function& x) {
        const auto found = self->state.functions.find(x.name);
        if (found == self->state.functions.end())
          return;
        found->second.armed.reset();
        advance(self, x.name);
      },
  };
}

} // namespace
} // namespace novacron::scheduler

namespace novacron {

function_actor spawn_functions(caf::actor_system& system, function_config settings, ledger_actor ledger,
                               scheduler_actor scheduler, agent_lookup agent_of) {
  return system.spawn(scheduler::behavior, std::move(settings), std::move(ledger), std::move(scheduler),
                      std::move(agent_of));
}

} // namespace novacron
