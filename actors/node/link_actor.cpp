#include "actors/node/link_actor.hpp"

#include "actors/host/log.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace novacron::node {

/// A link's reminders to itself. They never leave the process.
struct dial_now {};
struct beat_now {
  /// The last one that was planned counts; an older one is ignored.
  std::uint64_t number = 0;
};

} // namespace novacron::node

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::dial_now)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::beat_now)

namespace novacron::node {
namespace {

constexpr auto introduction_patience = std::chrono::seconds{10};

/// What a handler returns when nobody waits for an answer. CAF makes an answer of nothing to nobody otherwise.
using no_answer = caf::delegated<void>;

struct state {
  static inline const char* name = "link";
  // What every beat looks at lies together: a controller has thousands of links.
  std::shared_ptr<const neighbourhood> around;
  /// Of the look at the link that is planned.
  std::uint64_t look = 0;
  std::uint64_t connection = 0;
  /// Of the last answer to a beat, 0 to be told all; and the directory's own when the peer last said who leads.
  std::uint64_t news = 0;
  std::uint64_t heeded = 0;
  instant heard;
  /// The beat that has no answer yet, if there is one, since when, and what is done with its answer: the same for all,
  /// so it is made once.
  caf::message_id question;
  instant asked;
  caf::behavior answered;
  /// When all ways were found connected last.
  instant looked_after{};
  /// Where the beats of a peer that dialled us are noted. One side beats, the other listens: that is all it takes to
  /// know, and half the messages.
  std::shared_ptr<const last_beat> beats;
  /// The peer while the link is up: its door, and by which actor system it speaks.
  struct far_end {
    caf::actor door;
    caf::node_id system;
  };
  caf::optional<far_end> far;
  /// The ways over this link, as the directory knows them; whenever there is one more, the link is told.
  std::vector<std::shared_ptr<channel>> ways;
  std::string peer;
  caf::optional<address> where;
  /// Our door as the peer gets to see it.
  caf::actor door;
  /// Spreads pauses, nothing else, and is small.
  std::minstd_rand chance;
  backoff pauses;
  bool dialling = false;
  wire::LinkStatus status;
};

using pointer = caf::stateful_actor<state>*;

std::uint32_t outstanding(pointer self) {
  auto sum = std::size_t{0};
  for (const auto& way : self->state.ways)
    sum += way->outstanding();
  return static_cast<std::uint32_t>(sum);
}

host::counter* reconnects(pointer self) {
  const auto& numbers = self->state.around->numbers;
  return numbers ? &numbers->count("link_reconnects_total", "Times that the link to a peer came back.", {{"peer", self->state.peer}}) : nullptr;
}

void measure(pointer self) {
  const auto& st = self->state;
  if (!st.around->numbers)
    return;
  auto& all = *st.around->numbers;
  const auto by = host::metrics::labels{{"peer", st.peer}};
  reconnects(self);
  all.level("link_up", "Whether the link to a peer is up: 1, or 0.", by).set(st.far ? 1 : 0);
  all.level("link_round_trip_seconds", "Time from the last beat to its answer.", by).set(st.status.round_trip_seconds());
  all.level("link_outstanding_requests", "Requests to a peer without an answer yet.", by).set(outstanding(self));
}

void dial_later(pointer self) {
  if (!self->state.where || self->state.dialling || self->state.far)
    return;
  self->state.dialling = true;
  self->delayed_send(self, self->state.pauses.next(self->state.chance), dial_now{});
}

void tell_watchers(pointer self, caf::message news) {
  for (const auto& watcher : self->state.around->watchers)
    self->send(watcher, news);
}

void look_in(pointer self, duration wait) {
  self->delayed_send(self, wait, beat_now{++self->state.look});
}

/// Whether this side waits to be beaten to. Whoever follows has to ask, to learn who leads.
bool listens(const state& st) { return st.beats && !st.where && !st.around->follows; }

instant heard(const state& st) { return listens(st) ? std::max(st.heard, st.beats->heard()) : st.heard; }

void connect_way(pointer self, const std::shared_ptr<channel>& way) {
  if (!self->state.far)
    return way->cut(self->state.status.reason().empty() ? "not connected" : self->state.status.reason());
  auto question = wire::Resolve{};
  question.set_name(way->title);
  const auto connection = self->state.connection;
  self->request(self->state.far->door, self->state.around->pulse.patience, question)
    .then(
      [=](const caf::actor& found) {
        if (connection == self->state.connection)
          way->aim(caf::actor_cast<caf::strong_actor_ptr>(found));
      },
      [=](caf::error& problem) {
        if (connection != self->state.connection)
          return;
        way->cut(explain(problem).text);
        // The peer may start that actor only in a moment.
        if (listens(self->state))
          look_in(self, self->state.around->pulse.beat);
      });
}

/// Nobody will answer any more.
void withdraw_question(pointer self) {
  if (const auto old = std::exchange(self->state.question, {}); old.is_request())
    self->eq_impl(old.response_id(), self->ctrl(), self->context(), caf::sec::request_timeout);
}

void lose(pointer self, const std::string& why) {
  auto& st = self->state;
  if (!st.far)
    return;
  host::log_warn("link", "lost {}: {}", st.peer, why);
  // The connection below may well live on. Whoever cannot dial must make the peer do it.
  if (!st.where)
    self->send(handle_of(*st.around->names->open("door")), parted{st.far->system});
  st.far = caf::none;
  ++st.connection;
  withdraw_question(self);
  st.status.set_state("down");
  st.status.set_reason(why);
  for (const auto& way : st.around->names->ways_to(st.peer))
    way->cut(why);
  st.around->names->departed(st.peer);
  auto news = wire::NodeDeparted{};
  news.set_name(st.peer);
  news.set_reason(why);
  tell_watchers(self, caf::make_message(std::move(news)));
  measure(self);
  dial_later(self);
}

/// A peer is asked for all it knows when somebody else has said otherwise meanwhile.
void heed_leader(state& st, const wire::Beat& x) {
  auto& names = *st.around->names;
  if (st.around->follows && !x.leader().empty()) {
    names.lead(x.leader());
    st.heeded = names.leader_news();
  }
  st.news = !st.around->follows || st.heeded == names.leader_news() ? x.news() : 0;
}

/// Whether what came is about the beat that waits: an older connection may still have its say.
bool settles_question(pointer self) {
  auto& question = self->state.question;
  if (!question.is_request() || self->current_mailbox_element()->mid != question.response_id())
    return false;
  question = {};
  return true;
}

no_answer take_answer(pointer self, const wire::Beat& x) {
  auto& st = self->state;
  if (!settles_question(self))
    return {};
  heed_leader(st, x);
  st.heard = self->clock().now();
  st.status.set_round_trip_seconds(std::chrono::duration<double>(st.heard - st.asked).count());
  return {};
}

no_answer take_refusal(pointer self, const caf::error& problem) {
  if (settles_question(self) && problem == fault::denied)
    lose(self, "the peer does not know us any more");
  return {};
}

/// Asks again under the same number what had no answer so far: at most one handler waits, and needs no time of its own,
/// for the silence of the peer has one.
void ask_for_beat(pointer self) {
  auto& st = self->state;
  if (!st.question.is_request()) {
    st.question = self->new_request_id(caf::message_priority::normal);
    st.asked = self->clock().now();
    self->add_multiplexed_response_handler(st.question.response_id(), st.answered);
  }
  auto beat = wire::Beat{};
  beat.set_number(st.connection);
  beat.set_news(st.news);
  st.far->door->enqueue(caf::make_mailbox_element(self->ctrl(), st.question, {}, std::move(beat)), self->context());
}

/// Gives up requests that are too old, and tries again what is not connected. Once all is, that need not be done at
/// every beat: a controller has ways to thousands of peers.
void look_after_ways(pointer self) {
  constexpr auto pause = std::chrono::seconds{30};
  auto& st = self->state;
  const auto now = self->clock().now();
  if (now < st.looked_after + pause)
    return;
  st.looked_after = now;
  for (const auto& way : st.ways) {
    way->expire();
    // The peer may have started that actor only now.
    if (way->connected())
      continue;
    st.looked_after = {};
    connect_way(self, way);
  }
}

/// Beats, and again after `pause`; or plans when the peer's silence is over.
void go_on(pointer self, duration pause) {
  auto& st = self->state;
  measure(self);
  if (!listens(st)) {
    ask_for_beat(self);
    return look_in(self, pause);
  }
  look_in(self, heard(st) + st.around->pulse.patience - self->clock().now());
}

/// The time for a look has come.
no_answer look(pointer self, beat_now x) {
  if (x.number != self->state.look || !self->state.far)
    return {};
  look_after_ways(self);
  if (self->clock().now() - heard(self->state) >= self->state.around->pulse.patience)
    lose(self, "it fell silent");
  else
    go_on(self, self->state.around->pulse.beat);
  return {};
}

void gain(pointer self, const acquaintance& peer) {
  auto& st = self->state;
  if (st.far && st.far->door == peer.door)
    return;
  if (st.far && st.far->system != peer.system)
    lose(self, "replaced by a new connection");
  const auto first = st.connection == 0;
  st.far = state::far_end{peer.door, peer.system};
  ++st.connection;
  st.news = 0;
  st.pauses.succeeded();
  st.heard = self->clock().now();
  st.status.set_state("up");
  st.status.set_role(peer.facts.role());
  st.status.clear_reason();
  if (!first) {
    st.status.set_reconnects(st.status.reconnects() + 1);
    if (auto* count = reconnects(self))
      count->add();
  }
  self->monitor(peer.door);
  host::log_info("link", "connected to {}", st.peer);
  st.ways = st.around->names->ways_to(st.peer);
  st.looked_after = {};
  for (const auto& way : st.ways)
    connect_way(self, way);
  st.around->names->arrived(peer.facts);
  auto news = wire::NodeArrived{};
  *news.mutable_facts() = peer.facts;
  tell_watchers(self, caf::make_message(std::move(news)));
  // Once at least, so that people see how far the peer is.
  if (listens(st))
    ask_for_beat(self);
  // Thousands may have come in the same moment; they shall not beat in the same moment from then on.
  const auto part = static_cast<double>(st.chance()) / static_cast<double>(std::minstd_rand::max());
  go_on(self, std::chrono::duration_cast<duration>(st.around->pulse.beat * part));
}

void give_up(pointer self, const std::string& why) {
  auto& st = self->state;
  st.dialling = false;
  st.status.set_state("connecting");
  st.status.set_reason(why);
  // Said once per outage and then now and again: an edge may be alone for days.
  if (st.pauses.failures() <= 1 || st.pauses.failures() % 60 == 0)
    host::log_warn("link", "cannot reach {} yet: {}", st.peer, why);
  for (const auto& way : st.around->names->ways_to(st.peer))
    if (!st.far)
      way->cut(why);
  dial_later(self);
}

void reject(pointer self, const finding& found) {
  self->state.around->refused(std::string{host::to_string(found.why)}, found.text);
  self->state.status.set_state("refused");
  give_up(self, found.text);
}

void present_proof(pointer self, const acquaintance& peer, const wire::Proof& proof) {
  // Our own door must know the peer before the peer is told that it may come in.
  self->send(handle_of(*self->state.around->names->open("door")), admitted{peer, self->state.peer});
  self->state.peer = peer.facts.name();
  self->state.status.set_peer(peer.facts.name());
  self->state.around->names->ways_in()->await(self->id(), peer.facts.name());
  self->request(peer.door, introduction_patience, proof)
    .then(
      [=](const wire::Welcome& welcome) {
        self->state.dialling = false;
        auto known = peer;
        known.facts = welcome.facts();
        gain(self, known);
      },
      [=](caf::error& problem) { give_up(self, "refused: " + explain(problem).text); });
}

void introduce(pointer self, const caf::node_id& system, const caf::actor& door) {
  auto& st = self->state;
  const auto papers = st.around->own_papers();
  const auto nonce = papers.by->nonce();
  const auto between = conversation{caf::to_string(self->node()), caf::to_string(system)};
  const auto hello = say_hello(papers, st.around->facts.name(), st.around->facts.role(), nonce);
  self->request(door, introduction_patience, hello, st.door)
    .then(
      [=](const wire::Challenge& challenge) {
        auto& st = self->state;
        const auto own = st.around->own_papers();
        const auto known = st.peer.find(':') == st.peer.npos;
        auto found = judge(challenge, known ? st.peer : challenge.name(), nonce, own, st.around->wall_clock(),
                           *st.around->denied, between);
        if (!known && found.why == host::refusal::none && sender_of_role(found.who.role) != cloud)
          found = {host::refusal::wrong_role, found.who, "at this address is no controller"};
        if (found.why != host::refusal::none)
          return reject(self, found);
        auto peer = acquaintance{door, system, found.who.serial, {}};
        peer.facts.set_name(found.who.name);
        peer.facts.set_role(found.who.role);
        auto proof = prove(challenge, own, between);
        *proof.mutable_facts() = st.around->facts;
        present_proof(self, peer, proof);
      },
      [=](caf::error& problem) { give_up(self, "refused: " + explain(problem).text); });
}

void dial(pointer self) {
  auto& st = self->state;
  if (st.far) {
    st.dialling = false;
    return;
  }
  self->request(st.around->transport, std::chrono::seconds{30}, caf::connect_atom_v, st.where->host, st.where->port)
    .then(
      [=](const caf::node_id& system, const caf::strong_actor_ptr& door, const std::set<std::string>&) {
        if (door)
          introduce(self, system, caf::actor_cast<caf::actor>(door));
        else
          give_up(self, "nobody answers the door there");
      },
      [=](caf::error& problem) {
        const auto& at = *self->state.where;
        give_up(self, fmt::format("cannot connect to {}:{} ({})", at.host, at.port, explain(problem).text));
      });
}

wire::LinkStatus describe(pointer self) {
  auto status = self->state.status;
  status.set_outstanding(outstanding(self));
  return status;
}

caf::behavior link(pointer self, std::string peer, caf::optional<address> where, caf::actor door,
                   std::shared_ptr<const neighbourhood> around) {
  auto& st = self->state;
  st.chance.seed(
      static_cast<std::minstd_rand::result_type>((around->seed ^ std::hash<std::string>{}(peer)) % 2147483647));
  st.pauses = backoff{around->pulse};
  st.peer = std::move(peer);
  st.where = std::move(where);
  st.door = std::move(door);
  st.around = std::move(around);
  // Who is at an address is not known before it has introduced itself.
  const auto ways_in = st.around->names->ways_in();
  ways_in->await(self->id(), st.peer.find(':') == st.peer.npos ? st.peer : "");
  self->attach_functor([ways_in, id = self->id()] { ways_in->close(id); });
  st.status.set_peer(st.peer);
  st.status.set_state(st.where ? "connecting" : "waiting");
  if (st.where) {
    st.status.set_address(fmt::format("{}:{}", st.where->host, st.where->port));
    st.dialling = true;
    self->send(self, dial_now{});
  }
  st.answered = {
      [=](const wire::Beat& x) { return take_answer(self, x); },
      [=](const caf::error& problem) { return take_refusal(self, problem); },
  };
  self->set_down_handler([=](const caf::down_msg& news) {
    if (self->state.far && self->state.far->door.address() == news.source)
      lose(self, "the connection broke");
  });
  return {
      [=](beat_now x) { return look(self, x); },
      [=](dial_now) { dial(self); },
      [=](const dialled_in& x) {
        self->state.beats = x.beats;
        gain(self, x.peer);
      },
      [=](const new_way& x) {
        self->state.ways = self->state.around->names->ways_to(self->state.peer);
        self->state.looked_after = {};
        connect_way(self, x.way);
      },
      [=](link_question) { return link_answer{describe(self)}; },
  };
}

} // namespace

caf::actor spawn_link(caf::actor_system& system, std::string peer, caf::optional<address> where, caf::actor door,
                      std::shared_ptr<const neighbourhood> around) {
  return system.spawn(link, std::move(peer), std::move(where), std::move(door), std::move(around));
}

} // namespace novacron::node
