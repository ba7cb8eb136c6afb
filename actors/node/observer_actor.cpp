#include "actors/node/observer_actor.hpp"

#include "actors/host/log.hpp"

namespace novacron::node {

/// What observers say to themselves. It never leaves the process.
struct answered {
  std::uint64_t question = 0;
  caf::message answer;
  caf::error problem;
};
struct look_again {
  std::uint64_t trace = 0;
};
struct trace_over {
  std::string actor;
  std::uint64_t lease = 0;
};
/// An actor came to its turn: what it was sent before a certain moment it has taken.
struct caught_up {
  std::uint64_t round = 0;
  std::string actor;
  std::uint64_t taken = 0;
};
struct round_over {
  std::uint64_t round = 0;
};

} // namespace novacron::node

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::look_again)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::trace_over)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::caught_up)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::round_over)

namespace novacron::node {
namespace {

using self_actor = observer_actor::extend<caf::reacts_to<answered>, caf::reacts_to<look_again>, caf::reacts_to<trace_over>,
                                          caf::reacts_to<caught_up>, caf::reacts_to<round_over>>;

/// Takes the answer to one question, of whatever type it is: a typed handler could not.
class ear : public relay {
public:
  ear(caf::actor_config& config, std::function<void(caf::mailbox_element&)> hear) : relay{config}, hear_{std::move(hear)} {}
  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit*) override { hear_(*what); }

private:
  std::function<void(caf::mailbox_element&)> hear_;
};

struct open_question {
  caf::typed_response_promise<wire::Answer> promise;
  std::shared_ptr<ear> listener;
  instant asked;
};

struct open_trace {
  caf::typed_response_promise<wire::Trace> promise;
  wire::TraceRequest request;
  instant until;
};

/// A look at all mailboxes that is under way.
struct mailbox_round {
  std::function<void()> end;
  std::set<std::string> missing;
  std::vector<std::shared_ptr<ear>> listeners;
};

struct rate {
  std::uint64_t messages = 0;
  instant at;
};

struct state {
  static inline const char* name = "observer";
  directory* names = nullptr;
  std::shared_ptr<host::metrics> numbers;
  observer_config settings;
  std::uint64_t next = 0;
  std::map<std::uint64_t, open_question> questions;
  std::map<std::uint64_t, open_trace> traces;
  std::map<std::string, std::uint64_t> leases;
  std::map<std::string, rate> rates;
  std::map<std::uint64_t, mailbox_round> rounds;
  /// How many of the messages sent to an actor it had taken when it was last heard of.
  std::map<std::string, std::uint64_t> taken;
};

using pointer = self_actor::stateful_pointer<state>;

/// Short names of the messages in CAF's description of an actor's interface.
void list_accepted(const caf::strong_actor_ptr& actor, wire::ActorView& view) {
  const auto signatures = caf::actor_cast<caf::abstract_actor*>(actor)->message_types();
  auto accepted = std::set<std::string>{};
  for (const auto& signature : signatures) {
    constexpr auto prefix = std::string_view{"novacron::v1::"};
    // "caf::replies_to<...>::with<...>": what comes after "with" is what it answers.
    const auto inputs = signature.substr(0, signature.find("::with<"));
    for (auto at = inputs.find(prefix); at != inputs.npos; at = inputs.find(prefix, at + 1)) {
      const auto begin = at + prefix.size();
      const auto end = inputs.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", begin);
      accepted.insert(inputs.substr(begin, end == inputs.npos ? end : end - begin));
    }
  }
  for (const auto& x : accepted)
    view.add_accepts(x);
}

double rate_of(pointer self, const post& address) {
  auto& last = self->state.rates[address.title];
  const auto now = self->clock().now();
  const auto passed = std::chrono::duration<double>(now - last.at).count();
  const auto count = address.seen.messages();
  const auto found = last.at == instant{} || passed <= 0 ? 0.0 : static_cast<double>(count - last.messages) / passed;
  // Two people looking at the same time must not turn the rate into noise.
  if (passed > 0.5)
    last = {count, now};
  return found;
}

wire::ActorList list(pointer self) {
  auto found = wire::ActorList{};
  const auto& node = self->state.names->self();
  for (const auto& address : self->state.names->posts()) {
    const auto how = address->described();
    if (how.state == "absent")
      continue;
    auto& view = *found.add_actors();
    const auto slash = address->title.rfind('/');
    view.set_name(node + "/" + address->title);
    view.set_parent(slash == address->title.npos ? node : node + "/" + address->title.substr(0, slash));
    view.set_node(node);
    view.set_state(how.state);
    view.set_restarts(how.restarts);
    view.set_last_failure(how.last_failure);
    const auto sent = address->seen.messages();
    view.set_messages(sent);
    view.set_mailbox(sent - std::min(self->state.taken[address->title], sent));
    view.set_messages_per_second(rate_of(self, *address));
    if (const auto target = address->target())
      list_accepted(target, view);
  }
  return found;
}

/// What is known of actors that are no more would pile up.
void forget_gone(pointer self) {
  auto present = std::set<std::string>{};
  for (const auto& address : self->state.names->posts())
    present.insert(address->title);
  std::erase_if(self->state.taken, [&](const auto& x) { return !present.contains(x.first); });
  std::erase_if(self->state.rates, [&](const auto& x) { return !present.contains(x.first); });
}

std::shared_ptr<post> find(pointer self, const std::string& actor) {
  const auto own = self->state.names->self() + "/";
  return self->state.names->look_up(actor.starts_with(own) ? actor.substr(own.size()) : actor);
}

caf::error not_here(pointer self, const std::string& actor) {
  return caf::make_error(fault::not_found, "no actor called " + actor + " on " + self->state.names->self());
}

caf::result<wire::Answer> ask(pointer self, const wire::Ask& x) {
  const auto whom = find(self, x.actor());
  if (!whom)
    return not_here(self, x.actor());
  // People ask through here, so that it must not become a way around the table of trust.
  if (find_message(x.message()) && !permitted(x.message(), person))
    return caf::make_error(fault::denied, x.message() + " is not for people to say");
  auto message = make_message(x.message(), x.json());
  if (!message)
    return message.error();
  auto& st = self->state;
  const auto number = ++st.next;
  const auto me = caf::actor_cast<caf::actor>(caf::strong_actor_ptr{self->ctrl()});
  auto hear = [me, number](caf::mailbox_element& heard) {
    auto said = heard.copy_content_to_message();
    if (said.size() == 1 && said.match_element<caf::error>(0))
      caf::anon_send(me, answered{number, {}, said.get_as<caf::error>(0)});
    else
      caf::anon_send(me, answered{number, std::move(said), {}});
  };
  auto listener = make_relay<ear>(self->system(), std::move(hear));
  auto promise = self->make_response_promise<wire::Answer>();
  st.questions.emplace(number, open_question{promise, listener, self->clock().now()});
  const auto patience = x.timeout_ms() == 0 ? duration{std::chrono::seconds{10}}
                                            : std::min<duration>(std::chrono::milliseconds{x.timeout_ms()}, st.settings.ask_max);
  self->delayed_send(self, patience, answered{number, {}, caf::make_error(fault::timeout, x.actor() + " did not answer")});
  whom->enqueue(caf::make_mailbox_element(listener->ctrl(), caf::make_message_id(1), {}, std::move(*message)), self->context());
  return promise;
}

void deliver(pointer self, const answered& x) {
  const auto at = self->state.questions.find(x.question);
  if (at == self->state.questions.end())
    return;
  auto open = std::move(at->second);
  self->state.questions.erase(at);
  if (x.problem)
    return void(open.promise.deliver(x.problem));
  auto answer = wire::Answer{};
  answer.set_message(name_of(x.answer));
  answer.set_json(x.answer.empty() ? "{}" : json_of(x.answer));
  answer.set_seconds(std::chrono::duration<double>(self->clock().now() - open.asked).count());
  open.promise.deliver(std::move(answer));
}

wire::Trace traced(pointer self, const std::shared_ptr<post>& whom, const wire::TraceRequest& x) {
  auto found = wire::Trace{};
  found.set_next(x.after());
  const auto now = self->clock().now();
  for (const auto& seen : whom->seen.recorded_after(x.after())) {
    auto& entry = *found.add_messages();
    entry.set_number(seen.number);
    const auto ago = now.time_since_epoch() - seen.time;
    entry.set_time_ms(self->state.settings.wall_clock_ms() - std::chrono::duration_cast<std::chrono::milliseconds>(ago).count());
    entry.set_from(seen.from);
    entry.set_message(seen.message);
    entry.set_json(seen.json);
    found.set_next(seen.number);
  }
  return found;
}

caf::result<wire::Trace> trace(pointer self, const wire::TraceRequest& x) {
  const auto whom = find(self, x.actor());
  if (!whom)
    return not_here(self, x.actor());
  auto& st = self->state;
  whom->seen.record(std::clamp(x.limit(), 1u, st.settings.trace_max));
  const auto lease = ++st.leases[whom->title];
  self->delayed_send(self, st.settings.trace_rest + std::chrono::milliseconds{x.wait_ms()}, trace_over{whom->title, lease});
  auto found = traced(self, whom, x);
  if (found.messages_size() > 0 || x.wait_ms() == 0)
    return found;
  auto promise = self->make_response_promise<wire::Trace>();
  const auto number = ++st.next;
  st.traces.emplace(number, open_trace{promise, x, self->clock().now() + std::chrono::milliseconds{x.wait_ms()}});
  self->delayed_send(self, st.settings.look, look_again{number});
  return promise;
}

void look(pointer self, std::uint64_t number) {
  const auto at = self->state.traces.find(number);
  if (at == self->state.traces.end())
    return;
  auto& open = at->second;
  const auto whom = find(self, open.request.actor());
  auto found = whom ? traced(self, whom, open.request) : wire::Trace{};
  if (whom && found.messages_size() == 0 && self->clock().now() < open.until) {
    self->delayed_send(self, self->state.settings.look, look_again{number});
    return;
  }
  open.promise.deliver(std::move(found));
  self->state.traces.erase(at);
}

caf::result<wire::Done> set_level(const wire::SetLogLevel& x) {
  const auto level = host::parse_level(x.level());
  if (!level)
    return caf::make_error(fault::bad_request, "no log level called " + x.level() + "; there are trace, debug, info, warn, error, off");
  if (x.actor().empty())
    host::set_log_level(*level);
  else
    host::set_log_level(x.actor(), *level);
  return wire::Done{};
}

/// Rooms only: instances come and go, and their names have no bound.
bool is_measured(const post& x) {
  return x.title.find('/') == x.title.npos && x.described().state != "absent";
}

void count_actors(pointer self) {
  auto& all = *self->state.numbers;
  for (const auto& address : self->state.names->posts()) {
    if (!is_measured(*address))
      continue;
    const auto by = host::metrics::labels{{"actor", address->title}};
    const auto sent = address->seen.messages();
    const auto taken = std::min(self->state.taken[address->title], sent);
    all.level("actor_mailbox_length", "Messages that an actor was sent and has not begun with.", by).set(static_cast<double>(sent - taken));
    auto& total = all.count("actor_messages_total", "Messages that an actor was sent through its address.", by);
    total.add(sent - std::min(total.value(), sent));
    auto& failures = all.count("actor_restarts_total", "Times that an actor failed and was started again.", by);
    const auto restarts = std::uint64_t{address->described().restarts};
    failures.add(restarts - std::min(failures.value(), restarts));
  }
}

void end_round(pointer self, std::uint64_t number) {
  if (auto open = self->state.rounds.extract(number))
    open.mapped().end();
}

/// Every event-based actor of CAF answers (sys, get, "info") in its turn, whatever it is busy with otherwise. That tells
/// how far it has come without a look at its mailbox, which belongs to its thread.
void look_at_mailboxes(pointer self, const std::function<bool(const post&)>& which, std::function<void()> end) {
  auto& st = self->state;
  const auto number = ++st.next;
  auto& round = st.rounds[number];
  round.end = std::move(end);
  const auto me = caf::actor_cast<caf::actor>(caf::strong_actor_ptr{self->ctrl()});
  for (const auto& address : st.names->posts()) {
    const auto target = which(*address) ? address->target() : nullptr;
    // The observer itself is at its turn: what is known of its mailbox is that it came to this.
    const auto sent = address->seen.messages();
    if (address->title == "observer")
      st.taken[address->title] = sent;
    if (!target || address->title == "observer")
      continue;
    // What was sent before the question has been taken when it is answered, and what came since is waiting.
    auto hear = [=, title = address->title](caf::mailbox_element&) { caf::anon_send(me, caught_up{number, title, sent}); };
    auto listener = make_relay<ear>(self->system(), std::move(hear));
    round.missing.insert(address->title);
    round.listeners.push_back(listener);
    target->enqueue(caf::make_mailbox_element(listener->ctrl(), caf::make_message_id(1), {}, caf::sys_atom::value,
                                              caf::get_atom::value, std::string{"info"}),
                    nullptr);
  }
  self->delayed_send(self, st.settings.mailbox_patience, round_over{number});
  if (round.missing.empty())
    end_round(self, number);
}

caf::result<wire::Metrics> measure(pointer self) {
  auto promise = self->make_response_promise<wire::Metrics>();
  look_at_mailboxes(self, is_measured, [=]() mutable {
    count_actors(self);
    auto found = wire::Metrics{};
    found.set_text(self->state.numbers->text());
    promise.deliver(std::move(found));
  });
  return promise;
}

caf::result<wire::ActorList> list_after_a_look(pointer self) {
  auto promise = self->make_response_promise<wire::ActorList>();
  look_at_mailboxes(
    self, [](const post& x) { return x.described().state != "absent"; },
    [=]() mutable {
      forget_gone(self);
      promise.deliver(list(self));
    });
  return promise;
}

void hear_of(pointer self, const caught_up& x) {
  auto& taken = self->state.taken[x.actor];
  taken = std::max(taken, x.taken);
  const auto at = self->state.rounds.find(x.round);
  if (at == self->state.rounds.end())
    return;
  at->second.missing.erase(x.actor);
  if (at->second.missing.empty())
    end_round(self, x.round);
}

self_actor::behavior_type observe(pointer self, directory* names, std::shared_ptr<host::metrics> numbers, observer_config settings) {
  self->state.names = names;
  self->state.numbers = std::move(numbers);
  self->state.settings = std::move(settings);
  return {
    [=](const wire::ActorListRequest&) { return list_after_a_look(self); },
    [=](const wire::Ask& x) { return ask(self, x); },
    [=](const wire::TraceRequest& x) { return trace(self, x); },
    [=](const wire::SetLogLevel& x) { return set_level(x); },
    [=](const wire::MetricsRequest&) { return measure(self); },
    [=](const answered& x) { deliver(self, x); },
    [=](const look_again& x) { look(self, x.trace); },
    [=](const trace_over& x) {
      const auto whom = self->state.names->look_up(x.actor);
      if (self->state.leases[x.actor] == x.lease && whom)
        whom->seen.record(0);
    },
    [=](const caught_up& x) { hear_of(self, x); },
    [=](const round_over& x) { end_round(self, x.round); },
  };
}

} // namespace

observer_actor spawn_observer(caf::actor_system& system, directory& names, std::shared_ptr<host::metrics> numbers,
                              observer_config settings) {
  return system.spawn(observe, &names, std::move(numbers), std::move(settings));
}

} // namespace novacron::node
