#include "actors/state/ledger_actor.hpp"

#include "actors/host/log.hpp"
#include "actors/state/ledger_client.hpp"
#include "actors/state/ledger_numbers.hpp"
#include "actors/state/ledger_process.hpp"
#include "actors/state/records.hpp"

#include <caf/all.hpp>

#include <map>
#include <random>
#include <utility>
#include <variant>

namespace novacron::ledger {

/// What another thread found out, to be handled in the actor's turn. It never leaves the process.
struct turn {
  std::function<void()> run;
};

} // namespace novacron::ledger

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::ledger::turn)

namespace novacron::ledger {
namespace {

using namespace std::chrono_literals;
using inner = ledger_actor::extend<caf::reacts_to<turn>>;
/// Those that only the node that leads can do.
using order = std::variant<wire::LedgerCommand, wire::LedgerRead, wire::LedgerAdd, wire::LedgerRemove>;

/// An election takes a third of a second: asking more often than this only makes noise.
constexpr auto retry_after = 20ms;
/// The longest one peer is waited for before another one is asked.
constexpr auto hop_patience = 2s;
constexpr std::uint32_t hops_max = 2;

struct waiting {
  order what;
  caf::response_promise promise;
  caf::actor_clock::time_point deadline;
  /// How many ledgers passed it on before. Only the first one tries again, only the second passes it on once more.
  std::uint32_t hops = 0;
  caf::actor_clock::time_point since;
};

struct watching {
  std::string prefix;
  ledger_watcher who;
};

struct late_watch {
  watching one;
  caf::typed_response_promise<wire::LedgerEntries> promise;
};

struct state {
  static inline const char* name = "ledger";
  config settings;
  std::unique_ptr<ledger_process> process;
  std::unique_ptr<local_ledger> local;
  std::map<std::uint64_t, waiting> orders;
  std::uint64_t last_order = 0;
  std::string own_client;
  std::uint64_t own_sequence = 0;
  std::size_t next_peer = 0;
  /// What the node's own ledger holds, also while its process is away.
  std::map<std::string, records::record, std::less<>> mirror;
  std::uint64_t mirror_index = 0;
  bool mirror_there = false;
  wire::LedgerLed led;
  std::vector<watching> watchers;
  std::vector<late_watch> late_watchers;
  numbers seen;
};

using pointer = inner::stateful_pointer<state>;

/// Sends `what` to the actor from any thread, as long as it lives.
struct back_home {
  caf::actor_addr address;
  void operator()(std::function<void()> what) const {
    if (const auto here = caf::actor_cast<inner>(address))
      caf::anon_send(here, turn{std::move(what)});
  }
};

back_home home_of(pointer self) { return {caf::actor_cast<caf::actor_addr>(self)}; }

caf::error error_of(fault kind, const std::string& text) { return caf::make_error(kind, text); }

// --- watching

wire::LedgerEntries mirrored(const state& s, const std::string& prefix) {
  auto found = wire::LedgerEntries{};
  found.set_index(s.mirror_index);
  for (auto i = s.mirror.lower_bound(prefix); i != s.mirror.end() && i->first.starts_with(prefix); ++i) {
    auto& entry = *found.add_entries();
    entry.set_key(i->first);
    entry.set_value(i->second.value);
    entry.set_revision(i->second.revision);
  }
  return found;
}

wire::LedgerChanged below(const wire::LedgerChanged& all, const std::string& prefix) {
  auto some = wire::LedgerChanged{};
  some.set_index(all.index());
  for (const auto& entry : all.written())
    if (entry.key().starts_with(prefix))
      *some.add_written() = entry;
  for (const auto& key : all.removed())
    if (key.starts_with(prefix))
      some.add_removed(key);
  return some;
}

void tell_changed(pointer self, const wire::LedgerChanged& changed) {
  for (const auto& watcher : self->state.watchers)
    if (auto some = below(changed, watcher.prefix); some.written_size() + some.removed_size() > 0)
      self->send(watcher.who, std::move(some));
}

void tell_led(pointer self) {
  for (const auto& watcher : self->state.watchers)
    self->send(watcher.who, self->state.led);
}

wire::LedgerEntries begin_watch(pointer self, watching one) {
  self->monitor(one.who);
  self->send(self, turn{[=] { self->send(one.who, self->state.led); }});
  auto now = mirrored(self->state, one.prefix);
  self->state.watchers.push_back(std::move(one));
  return now;
}

void mirror_change(pointer self, const wire::LedgerChanged& changed) {
  auto& s = self->state;
  s.mirror_index = changed.index();
  for (const auto& entry : changed.written())
    s.mirror.insert_or_assign(entry.key(), records::record{entry.value(), entry.revision()});
  for (const auto& key : changed.removed())
    s.mirror.erase(key);
  s.seen.holds(s.mirror.size(), s.mirror_index);
  tell_changed(self, changed);
}

/// The whole state, after a (re)start of the process: watchers are told only what differs.
/// A ledger that is given from outside has one life.
std::uint64_t starts_of(const state& s) { return s.process ? s.process->starts() : 1; }

void mirror_all(pointer self, const wire::LedgerEntries& all) {
  auto& s = self->state;
  // A process that reads its log again begins with less than it had; what it had comes as changes.
  if (s.mirror_there && all.index() < s.mirror_index)
    return;
  mirror_change(self, difference(s.mirror, all));
  s.seen.started(starts_of(s));
  s.mirror_there = true;
  for (auto& late : std::exchange(s.late_watchers, {}))
    late.promise.deliver(begin_watch(self, std::move(late.one)));
}

void follow(pointer self) {
  const auto home = home_of(self);
  auto on_turn = [home, self](auto react) {
    return [=](const auto& x) { home([=] { react(self, x); }); };
  };
  self->state.local->watch({
      .state = on_turn([](pointer here, const wire::LedgerEntries& x) { mirror_all(here, x); }),
      .changed = on_turn([](pointer here, const wire::LedgerChanged& x) {
        if (x.index() > here->state.mirror_index)
          mirror_change(here, x);
      }),
      .led = on_turn([](pointer here, const wire::LedgerLed& x) {
        here->state.led = x;
        here->state.seen.leads(x.here());
        tell_led(here);
      }),
      .lost = [home, self] {
        home([=] {
          self->state.led.clear_leader();
          self->state.led.set_here(false);
          self->state.seen.leads(false);
          tell_led(self);
        });
      },
  });
}

// --- orders

void attempt(pointer self, std::uint64_t id);

/// An order has its answer.
void count(pointer self, const waiting& one, const char* result) {
  if (std::holds_alternative<wire::LedgerCommand>(one.what))
    self->state.seen.answered(result, std::chrono::duration<double>(self->clock().now() - one.since).count());
  self->state.seen.waits(self->state.orders.size());
}

const char* result_of(const wire::LedgerApplied& x) { return x.applied() ? "applied" : "conflict"; }
const char* result_of(const wire::LedgerEntries&) { return "applied"; }

void failed(pointer self, std::uint64_t id, fault kind, const std::string& text, const std::string& leader) {
  const auto found = self->state.orders.find(id);
  if (found == self->state.orders.end())
    return;
  auto& one = found->second;
  const auto elsewhere = kind == fault::not_leader || kind == fault::unavailable || kind == fault::unreachable ||
                         kind == fault::timeout;
  if (elsewhere && one.hops == 0 && self->clock().now() + retry_after < one.deadline) {
    self->delayed_send(self, retry_after, turn{[=] { attempt(self, id); }});
    return;
  }
  one.promise.deliver(error_of(kind, leader.empty() || kind != fault::not_leader ? text : leader + " leads"));
  count(self, self->state.orders.extract(found).mapped(), "failed");
}

template <class T>
void succeeded(pointer self, std::uint64_t id, const T& value) {
  if (auto found = self->state.orders.extract(id)) {
    count(self, found.mapped(), result_of(value));
    found.mapped().promise.deliver(value);
  }
}

template <class T>
answered<T> answer_to(pointer self, std::uint64_t id) {
  return [home = home_of(self), self, id](answer<T> x) {
    home([=] { x.ok ? succeeded(self, id, x.value) : failed(self, id, x.kind, x.text, x.leader); });
  };
}

void ask_here(pointer self, std::uint64_t id, const order& what) {
  auto& local = *self->state.local;
  struct {
    local_ledger& local;
    pointer self;
    std::uint64_t id;
    void operator()(const wire::LedgerCommand& x) { local.propose(x, answer_to<wire::LedgerApplied>(self, id)); }
    void operator()(const wire::LedgerRead& x) { local.read(x, answer_to<wire::LedgerEntries>(self, id)); }
    void operator()(const wire::LedgerAdd& x) { local.add(x, answer_to<wire::LedgerApplied>(self, id)); }
    void operator()(const wire::LedgerRemove& x) { local.remove(x, answer_to<wire::LedgerApplied>(self, id)); }
  } ask{local, self, id};
  std::visit(ask, what);
}

template <class Answer, class Message>
void ask_there(pointer self, std::uint64_t id, const caf::actor& peer, Message what, duration limit, std::uint32_t hops) {
  what.set_hops(hops);
  self->request(caf::actor_cast<ledger_actor>(peer), limit, std::move(what))
      .then([=](const Answer& x) { succeeded(self, id, x); },
            [=](const caf::error& x) {
              const auto why = explain(x);
              failed(self, id, why.kind, why.text, {});
            });
}

/// The node to ask next: who leads, else one after the other; empty when that is this node.
std::string whom_to_ask(state& s, std::uint32_t hops) {
  const auto here = s.local && s.led.leader() == s.settings.server.node;
  if (hops >= hops_max || here)
    return {};
  if (!s.led.leader().empty() || s.local || hops > 0 || s.settings.peers.empty())
    return s.led.leader();
  return s.settings.peers[s.next_peer++ % s.settings.peers.size()];
}

void attempt(pointer self, std::uint64_t id) {
  auto& s = self->state;
  const auto found = s.orders.find(id);
  if (found == s.orders.end())
    return;
  auto& one = found->second;
  const auto node = whom_to_ask(s, one.hops);
  if (node.empty())
    return s.local ? ask_here(self, id, one.what) : failed(self, id, fault::unavailable, "no ledger is known", {});
  const auto peer = s.settings.peer ? s.settings.peer(node) : caf::actor{};
  if (!peer)
    return failed(self, id, fault::unreachable, node + " cannot be reached", {});
  const auto limit = std::min<duration>(one.deadline - self->clock().now(), hop_patience);
  struct {
    pointer self;
    std::uint64_t id;
    caf::actor peer;
    duration limit;
    std::uint32_t hops;
    void operator()(const wire::LedgerCommand& x) { ask_there<wire::LedgerApplied>(self, id, peer, x, limit, hops); }
    void operator()(const wire::LedgerRead& x) { ask_there<wire::LedgerEntries>(self, id, peer, x, limit, hops); }
    void operator()(const wire::LedgerAdd& x) { ask_there<wire::LedgerApplied>(self, id, peer, x, limit, hops); }
    void operator()(const wire::LedgerRemove& x) { ask_there<wire::LedgerApplied>(self, id, peer, x, limit, hops); }
  } ask{self, id, peer, limit, one.hops + 1};
  std::visit(ask, one.what);
}

template <class Answer, class Order>
caf::result<Answer> accept(pointer self, Order what) {
  auto& s = self->state;
  if (s.orders.size() >= s.settings.waiting_max)
    return error_of(fault::overloaded, "too many orders wait for the ledger");
  auto promise = self->make_response_promise<Answer>();
  const auto id = ++s.last_order;
  const auto hops = what.hops();
  // Whoever passed it on tries again by itself.
  const auto patience = hops == 0 ? s.settings.patience : duration{hop_patience};
  const auto now = self->clock().now();
  s.orders.emplace(id, waiting{std::move(what), promise, now + patience, hops, now});
  s.seen.waits(s.orders.size());
  attempt(self, id);
  return promise;
}

caf::result<wire::LedgerApplied> accept_command(pointer self, wire::LedgerCommand command) {
  auto& s = self->state;
  if (command.client().empty()) {
    command.set_client(s.own_client);
    command.set_sequence(++s.own_sequence);
  }
  command.set_version(command_version);
  if (const auto why = refusal(command); !why.empty())
    return error_of(fault::bad_request, why);
  return accept<wire::LedgerApplied>(self, std::move(command));
}

// --- what only this node's own process can do

template <class Answer, class Begin>
caf::result<Answer> here_only(pointer self, Begin begin) {
  if (!self->state.local)
    return error_of(fault::unsupported, "this node has no ledger of its own");
  auto promise = self->make_response_promise<Answer>();
  begin(*self->state.local, answered<Answer>{[home = home_of(self), promise](answer<Answer> x) {
          home([=]() mutable { x.ok ? promise.deliver(x.value) : promise.deliver(error_of(x.kind, x.text)); });
        }});
  return promise;
}

wire::LedgerStatus status_without(const state& s, const std::string& why) {
  auto status = wire::LedgerStatus{};
  status.set_applied(s.mirror_index);
  status.set_records(s.mirror.size());
  status.set_state(why);
  return status;
}

caf::result<wire::LedgerStatus> tell_status(pointer self) {
  auto& s = self->state;
  if (!s.local)
    return status_without(s, "no ledger of its own");
  if (!s.local->connected()) {
    auto status = status_without(s, "its process is being started again");
    status.set_starts(starts_of(s));
    return status;
  }
  auto promise = self->make_response_promise<wire::LedgerStatus>();
  s.local->status([home = home_of(self), self, promise](answer<wire::LedgerStatus> x) {
    home([=]() mutable {
      if (!x.ok)
        x.value = status_without(self->state, x.text);
      x.value.set_starts(starts_of(self->state));
      promise.deliver(x.value);
    });
  });
  return promise;
}

void start_process(pointer self) {
  auto& s = self->state;
  s.local = std::make_unique<client>(client::config{.socket = s.settings.server.socket, .patience = s.settings.patience});
  s.process = std::make_unique<ledger_process>(
      ledger_process::config{.program = s.settings.program,
                             .server = s.settings.server,
                             .starts_max = s.settings.starts_max,
                             .starts_period = s.settings.starts_period},
      [home = home_of(self), self](const std::string& why) {
        home([=] { self->quit(error_of(fault::unavailable, "the ledger's process " + why)); });
      });
}

void begin(pointer self, config settings) {
  auto& s = self->state;
  s.settings = std::move(settings);
  s.seen = numbers{s.settings.numbers};
  s.own_client = s.settings.client;
  if (s.own_client.empty())
    s.own_client = s.settings.server.node + "." + std::to_string(std::random_device{}()) + std::to_string(std::random_device{}());
  if (!s.settings.local && s.settings.server.directory.empty())
    return;
  if (s.settings.local)
    s.local = s.settings.local();
  else
    start_process(self);
  follow(self);
  self->set_down_handler([=](const caf::down_msg& x) {
    std::erase_if(self->state.watchers, [&](const watching& one) { return caf::actor_cast<caf::actor_addr>(one.who) == x.source; });
  });
}

inner::behavior_type behave(pointer self, config settings) {
  begin(self, std::move(settings));
  return {
      [=](const wire::LedgerCommand& x) { return accept_command(self, x); },
      [=](const wire::LedgerRead& x) -> caf::result<wire::LedgerEntries> {
        if (!x.linearizable() && self->state.mirror_there)
          return mirrored(self->state, x.prefix());
        return accept<wire::LedgerEntries>(self, x);
      },
      [=](const wire::LedgerWatch& x, const ledger_watcher& who) -> caf::result<wire::LedgerEntries> {
        if (!self->state.local)
          return error_of(fault::unsupported, "this node has no ledger of its own");
        if (self->state.mirror_there)
          return begin_watch(self, {x.prefix(), who});
        auto promise = self->make_response_promise<wire::LedgerEntries>();
        self->state.late_watchers.push_back({{x.prefix(), who}, promise});
        return promise;
      },
      [=](const wire::LedgerStatusRequest&) { return tell_status(self); },
      [=](const wire::LedgerAdd& x) { return accept<wire::LedgerApplied>(self, x); },
      [=](const wire::LedgerRemove& x) { return accept<wire::LedgerApplied>(self, x); },
      [=](const wire::LedgerSnapshotRequest&) {
        return here_only<wire::LedgerApplied>(self, [](local_ledger& c, auto told) { c.snapshot(std::move(told)); });
      },
      [=](const wire::LedgerBackup& x) {
        return here_only<wire::LedgerApplied>(self, [&](local_ledger& c, auto told) { c.backup(x, std::move(told)); });
      },
      [=](const wire::LedgerRestore& x) {
        return here_only<wire::LedgerApplied>(self, [&](local_ledger& c, auto told) { c.restore(x, std::move(told)); });
      },
      [=](const turn& x) { x.run(); },
  };
}

} // namespace

ledger_actor spawn_ledger(caf::actor_system& system, config settings) {
  return system.spawn(behave, std::move(settings));
}

} // namespace novacron::ledger
