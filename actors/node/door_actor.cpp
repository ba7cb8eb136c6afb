#include "actors/node/door_actor.hpp"

#include "actors/host/log.hpp"

#include <unordered_map>

namespace novacron::node {
namespace {

using self_actor = door_actor::extend<caf::reacts_to<admitted>, caf::reacts_to<parted>, caf::reacts_to<new_way>>;

constexpr auto introduction_patience = std::chrono::seconds{10};

/// A caller between Hello and Proof.
struct introduction {
  host::identity who;
  std::string certificate;
  std::string nonce;
  conversation between;
  caf::actor door;
  instant since;
};

/// An authenticated peer, by its actor system.
struct session {
  std::string name;
  std::string role;
  std::string serial;
  std::map<std::string, std::shared_ptr<gate>> gates;
  /// Our link gave the peer up, and the peer may not know.
  bool parted = false;
  std::shared_ptr<last_beat> beats = std::make_shared<last_beat>();
};

struct state {
  static inline const char* name = "door";
  std::shared_ptr<const neighbourhood> around;
  door_config settings;
  std::map<caf::node_id, introduction> introductions;
  std::unordered_map<caf::node_id, session> sessions;
  std::map<std::string, caf::actor> links;
  /// The answer to a beat of whoever knows who leads, and when that was: the same for all, so it is made once.
  caf::message known;
  std::uint64_t known_since = 0;
  /// What others get to see of this door.
  caf::actor threshold;
};

using pointer = self_actor::stateful_pointer<state>;

caf::node_id caller_of(pointer self) {
  const auto& from = self->current_sender();
  return from ? from->node() : caf::node_id{};
}

caf::error refuse(pointer self, const finding& found) {
  host::log_rarely(host::level::warn, "door", "refused {}: {}", found.who.name.empty() ? "a caller" : found.who.name, found.text);
  self->state.around->refused(std::string{host::to_string(found.why)}, found.text);
  return caf::make_error(fault::denied, found.text);
}

caf::actor open_link(pointer self, const std::string& peer, caf::optional<address> where) {
  auto& links = self->state.links;
  if (const auto known = links.find(peer); known != links.end())
    return known->second;
  auto link = spawn_link(self->system(), peer, std::move(where), self->state.threshold, self->state.around);
  self->monitor(link);
  auto address = self->state.around->names->open("link/" + peer);
  address->aim(caf::actor_cast<caf::strong_actor_ptr>(link));
  address->describe({"running", 0, ""});
  links.emplace(peer, link);
  return link;
}

void forget_stale_introductions(pointer self) {
  const auto oldest = self->clock().now() - introduction_patience;
  std::erase_if(self->state.introductions, [&](const auto& x) { return x.second.since < oldest; });
}

session& begin_session(pointer self, const caf::node_id& system, std::string name, std::string role,
                       std::string serial) {
  auto& sessions = self->state.sessions;
  // A peer that was restarted comes with another actor system; what its old one held is void.
  std::erase_if(sessions, [&](const auto& x) {
    if (x.second.name != name || x.first == system)
      return false;
    for (const auto& [title, way_in] : x.second.gates)
      way_in->close();
    return true;
  });
  auto& entry = sessions[system];
  entry.name = std::move(name);
  entry.role = std::move(role);
  entry.serial = std::move(serial);
  entry.parted = false;
  return entry;
}

/// The session of whoever sent the current message; null for strangers and for those whose certificate was denied.
session* session_of_caller(pointer self) {
  const auto at = self->state.sessions.find(caller_of(self));
  if (at == self->state.sessions.end())
    return nullptr;
  if (!self->state.around->denied->contains(at->second.serial))
    return &at->second;
  for (const auto& [title, way_in] : at->second.gates)
    way_in->close();
  self->state.sessions.erase(at);
  return nullptr;
}

caf::result<wire::Challenge> greet(pointer self, const wire::Hello& said, const caf::actor& door) {
  auto& st = self->state;
  const auto system = caller_of(self);
  forget_stale_introductions(self);
  if (st.introductions.size() >= st.settings.introductions_max)
    return caf::make_error(fault::overloaded, "too many introductions at once");
  const auto own = st.around->own_papers();
  const auto found = judge(said, own, st.around->wall_clock(), *st.around->denied);
  if (found.why != host::refusal::none)
    return refuse(self, found);
  if (door.node() != system)
    return refuse(self, {host::refusal::malformed, found.who, "it presents the door of another"});
  auto talk = introduction{found.who, said.certificate(), own.by->nonce(),
                           {caf::to_string(system), caf::to_string(self->node())}, door, self->clock().now()};
  auto reply = answer(said, own, st.around->facts.name(), st.around->facts.role(), talk.nonce, talk.between);
  st.introductions.insert_or_assign(system, std::move(talk));
  return reply;
}

caf::result<wire::Welcome> welcome(pointer self, const wire::Proof& proof) {
  auto& st = self->state;
  const auto system = caller_of(self);
  const auto at = st.introductions.find(system);
  if (at == st.introductions.end())
    return refuse(self, {host::refusal::malformed, {}, "a proof without a hello"});
  const auto talk = std::move(at->second);
  st.introductions.erase(at);
  if (!holds(proof, talk.certificate, talk.nonce, talk.between, *st.around->own_papers().by))
    return refuse(self, {host::refusal::malformed, talk.who, "it could not prove that the certificate is its own"});
  auto peer = acquaintance{talk.door, system, talk.who.serial, proof.facts()};
  // What the certificate says counts, not what the peer says of itself.
  peer.facts.set_name(talk.who.name);
  peer.facts.set_role(talk.who.role);
  auto beats = begin_session(self, system, talk.who.name, talk.who.role, talk.who.serial).beats;
  caf::anon_send(open_link(self, talk.who.name, caf::none), dialled_in{std::move(peer), std::move(beats)});
  auto reply = wire::Welcome{};
  *reply.mutable_facts() = st.around->facts;
  return reply;
}

caf::result<caf::actor> lead_to(pointer self, const std::string& title) {
  auto* guest = session_of_caller(self);
  if (!guest)
    return refuse(self, {host::refusal::denied, {}, "it asks for " + title + " without an introduction"});
  if (const auto known = guest->gates.find(title); known != guest->gates.end())
    return handle_of(*known->second);
  const auto inside = self->state.around->names->look_up(title);
  if (!inside || title.starts_with("link/"))
    return caf::make_error(fault::not_found, "no actor called " + title + " on " + self->state.around->facts.name());
  // Only what it needs: peers may hold a gate for as long as the actor system lives.
  auto tell = [refused = self->state.around->refused, who = guest->name](const std::string& message) {
    refused("wrong_role", who + " may not say " + message);
  };
  auto way_in = make_relay<gate>(self->system(), handle_of(*inside), claim{guest->name, guest->role}, std::move(tell));
  self->state.around->names->ways_in()->open(way_in->id(), guest->name);
  guest->gates.emplace(title, way_in);
  return handle_of(*way_in);
}

/// Beats come most often of all. Who leads is told to whoever does not know it from here.
caf::result<wire::Beat> answer_beat(pointer self, const wire::Beat& x) {
  auto& st = self->state;
  const auto* guest = session_of_caller(self);
  if (!guest || guest->parted)
    return caf::make_error(fault::denied, "not introduced");
  guest->beats->hear(self->clock().now());
  // Read before the name: a change in between is told with the next beat.
  const auto news = st.around->names->leader_news();
  auto reply = wire::Beat{};
  reply.set_news(news);
  if (news != x.news()) {
    reply.set_leader(st.around->names->leader());
    return reply;
  }
  if (st.known_since != news) {
    st.known = caf::make_message(std::move(reply));
    st.known_since = news;
  }
  auto again = caf::result<wire::Beat>{caf::skip};
  again.flag = caf::rt_value;
  again.value = st.known;
  return again;
}

/// Collects the answers of all links; one that does not answer is left out.
caf::result<wire::LinkList> list_links(pointer self) {
  auto promise = self->make_response_promise<wire::LinkList>();
  auto list = std::make_shared<wire::LinkList>();
  auto missing = std::make_shared<std::size_t>(self->state.links.size());
  auto done = [=]() mutable {
    if (--*missing == 0)
      promise.deliver(*list);
  };
  if (*missing == 0)
    promise.deliver(*list);
  for (const auto& [peer, link] : self->state.links)
    self->request(link, std::chrono::seconds{2}, link_question{})
      .then(
        [=](const link_answer& x) mutable {
          *list->add_links() = x.status;
          done();
        },
        [=](caf::error&) mutable { done(); });
  return promise;
}

void replace_link(pointer self, const caf::down_msg& news) {
  for (const auto& [peer, link] : self->state.links)
    if (link.address() == news.source) {
      const auto name = peer;
      host::log_error("door", "the link to {} failed: {}", name, self->system().render(news.reason));
      self->state.links.erase(name);
      const auto where = self->state.settings.dials.find(name);
      if (where != self->state.settings.dials.end())
        open_link(self, name, where->second);
      return;
    }
}

self_actor::behavior_type door(pointer self, std::shared_ptr<const neighbourhood> around, door_config settings,
                               caf::actor threshold) {
  self->state.around = std::move(around);
  self->state.settings = std::move(settings);
  self->state.threshold = std::move(threshold);
  self->set_down_handler([=](const caf::down_msg& news) { replace_link(self, news); });
  for (const auto& [peer, where] : self->state.settings.dials)
    open_link(self, peer, where);
  return {
    // First, because it comes most often.
    [=](const wire::Beat& x) { return answer_beat(self, x); },
    [=](const wire::Hello& x, const caf::actor& door) { return greet(self, x, door); },
    [=](const wire::Proof& x) { return welcome(self, x); },
    [=](const wire::Resolve& x) { return lead_to(self, x.name()); },
    [=](const wire::HealthRequest&) { return self->state.settings.health(); },
    [=](const wire::LinkListRequest&) { return list_links(self); },
    [=](const wire::Shutdown& x) -> caf::result<wire::Done> {
      // The door is reachable without a gate, so it asks itself who may say this.
      if (caller_of(self) != self->node())
        return caf::make_error(fault::denied, "only a person on this node may say this");
      self->state.settings.leave(x.reason());
      return wire::Done{};
    },
    [=](const admitted& x) {
      begin_session(self, x.peer.system, x.peer.facts.name(), x.peer.facts.role(), x.peer.serial);
      // A link that knew only an address has learnt whom it leads to.
      auto& links = self->state.links;
      if (auto link = links.extract(x.dialled))
        links.insert_or_assign(x.peer.facts.name(), std::move(link.mapped()));
    },
    [=](const parted& x) {
      if (const auto at = self->state.sessions.find(x.system); at != self->state.sessions.end())
        at->second.parted = true;
    },
    [=](const new_way& x) {
      if (const auto link = self->state.links.find(x.way->peer); link != self->state.links.end())
        caf::anon_send(link->second, x);
      else
        x.way->cut("there is no link to it");
    },
  };
}

} // namespace

caf::actor spawn_door(caf::actor_system& system, neighbourhood around, door_config settings) {
  auto shared = std::make_shared<const neighbourhood>(std::move(around));
  auto address = shared->names->open("door");
  // A stranger may say what a node may say to a door, and nothing else: no message of the runtime gets through.
  auto threshold = make_relay<gate>(system, handle_of(*address), claim{"", "cloud"},
                                    [refused = shared->refused](const std::string& message) { refused("denied", "a stranger may not say " + message); });
  shared->names->ways_in()->open(threshold->id(), "");
  auto started = system.spawn(door, shared, std::move(settings), handle_of(*threshold));
  address->aim(caf::actor_cast<caf::strong_actor_ptr>(started));
  address->describe({"running", 0, ""});
  shared->names->on_new_way([address](const std::shared_ptr<channel>& way) { caf::anon_send(handle_of(*address), new_way{way}); });
  return handle_of(*threshold);
}

} // namespace novacron::node
