#include "actors/simulation/post_office.hpp"

#include "messages/language.hpp"
#include "messages/wire/agent.pb.h"

#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/detail/sync_request_bouncer.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace novacron::simulation {

/// Stands in one life for an actor of another.
class post_office::proxy : public caf::actor_proxy {
public:
  proxy(caf::actor_config& settings, post_office& office, life_number home, life_number away)
      : actor_proxy{settings}, office_{office}, home_{home}, away_{away} {}

  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit*) override {
    // As with BASP: what is sent to a dead proxy vanishes, requests too.
    if (!dead_)
      office_.send(line_ ? line_ : (line_ = office_.find(home_, away_)), home_, away_, id(), std::move(what));
  }
  bool add_backlink(caf::abstract_actor* x) override { return monitorable_actor::add_backlink(x); }
  void kill_proxy(caf::execution_unit* unit, caf::error reason) override {
    dead_ = true;
    cleanup(std::move(reason), unit);
  }

private:
  post_office& office_;
  life_number home_;
  life_number away_;
  connection* line_ = nullptr;
  bool dead_ = false;
};

/// The proxies of one life.
class post_office::registry : public caf::proxy_registry::backend {
public:
  registry(post_office& office, life_number home) : proxies{office.system_, *this}, office_{office}, home_{home} {}

  caf::strong_actor_ptr make_proxy(caf::node_id node, caf::actor_id id) override {
    const auto away = office_.stage_.life_of(node);
    if (away == 0 || !office_.connected(home_, away))
      return nullptr;
    auto settings = caf::actor_config{};
    auto made =
        caf::make_actor<proxy, caf::strong_actor_ptr>(id, node, &office_.system_, settings, office_, home_, away);
    office_.mark_known(away, id);
    // BASP tells the other side to watch it; the news of its end travels like any other.
    if (const auto target = office_.system_.registry().get(id))
      target->get()->attach_functor([office = &office_, here = home_, away, id](const caf::error& why) {
        office->tell_down(away, here, id, why);
      });
    else
      office_.tell_down(away, home_, id, caf::exit_reason::unknown);
    return made;
  }
  void set_last_hop(caf::node_id*) override {}

  void erase(const caf::node_id& node) {
    ++edition;
    proxies.erase(node);
  }
  void erase(const caf::node_id& node, caf::actor_id id, caf::error why) {
    ++edition;
    proxies.erase(node, id, std::move(why));
  }
  void clear() {
    ++edition;
    proxies.clear();
  }

  caf::proxy_registry proxies;
  /// Counts how often proxies were taken away.
  std::uint64_t edition = 1;

private:
  post_office& office_;
  life_number home_;
};

post_office::post_office(caf::actor_system& system, director& stage, network& wires, std::uint64_t seed,
                         post_config settings)
    : system_{system}, stage_{stage}, wires_{wires}, settings_{settings}, chance_{seed} {
  stage_.deliver = [this](parcel& x) { deliver(x); };
}

post_office::~post_office() {
  closing_ = true;
  for (auto i = life_number{0}; i < stage_.lives(); ++i)
    stage_.of(i).proxies = nullptr;
}

// -- lives -----------------------------------------------------------------------------------------------------------

void post_office::open(life_number which) {
  if (which >= registries_.size()) {
    registries_.resize(which + 1);
    exported_.resize(which + 1);
    peers_.resize(which + 1);
  }
  registries_[which] = std::make_unique<registry>(*this, which);
  stage_.of(which).proxies = &registries_[which]->proxies;
}

void post_office::publish(const std::string& address, life_number which, const caf::strong_actor_ptr& door) {
  export_actor(door);
  published_[address] = {which, caf::weak_actor_ptr{door.get()}};
}

void post_office::unpublish(const std::string& address) {
  published_.erase(address);
}

void post_office::close(life_number which, bool at_once) {
  for (const auto peer : peers_[which]) {
    auto* x = find(which, peer);
    if (!x || !x->open)
      continue;
    shut(*x);
    const auto wait =
        at_once && !wires_.is_cut(host_of(which), host_of(peer))
            ? wires_.quality(host_of(which), host_of(peer)).latency
            : settings_.silence_max + moment{static_cast<std::int64_t>(
                                          chance_() % static_cast<std::uint64_t>(settings_.heartbeat.count()))};
    stage_.plan(wait, peer, [this, which, peer] { lose(peer, which); });
  }
  for (const auto id : exported_[which])
    system_.registry().erase(id);
  exported_[which].clear();
  if (registries_[which])
    registries_[which]->clear();
}

// -- connections -----------------------------------------------------------------------------------------------------

post_office::connection* post_office::find(life_number a, life_number b) {
  const auto found = connections_.find(key(a, b));
  return found == connections_.end() ? nullptr : &found->second;
}

bool post_office::connected(life_number a, life_number b) const {
  const auto found = connections_.find(key(a, b));
  return found != connections_.end() && found->second.open;
}

void post_office::establish(life_number a, life_number b) {
  auto& x = connections_[key(a, b)];
  if (x.open)
    return;
  if (x.opened == 0) {
    x.ends = {std::min(a, b), std::max(a, b)};
    peers_[a].push_back(b);
    peers_[b].push_back(a);
  }
  x.open = true;
  ++x.opened;
  x.clear = {stage_.now(), stage_.now()};
  ++counts_.connections;
  check(key(a, b), x);
}

void post_office::connect(life_number caller, const std::string& address,
                          std::function<void(caf::expected<caf::strong_actor_ptr>)> done) {
  const auto found = published_.find(address);
  const auto refuse = [=, this](moment wait) {
    stage_.plan(wait, caller, [done] { done(caf::make_error(caf::sec::cannot_connect_to_node)); });
  };
  if (found == published_.end() || !stage_.alive(found->second.first))
    return refuse(settings_.connect_max);
  const auto callee = found->second.first;
  if (wires_.is_cut(host_of(caller), host_of(callee)) || wires_.is_cut(host_of(callee), host_of(caller)))
    return refuse(settings_.connect_max);
  // TCP and TLS take two round trips.
  stage_.plan(2 * wires_.round_trip(host_of(caller), host_of(callee)), caller, [=, this] {
    const auto now = published_.find(address);
    const auto door = now == published_.end() ? caf::strong_actor_ptr{} : now->second.second.lock();
    if (!door || now->second.first != callee || !stage_.alive(callee) ||
        wires_.is_cut(host_of(caller), host_of(callee)))
      return done(caf::make_error(caf::sec::cannot_connect_to_node));
    if (settings_.planted == plant::no_redial && find(caller, callee) && find(caller, callee)->opened > 0)
      return;
    establish(caller, callee);
    done(import(caller, door));
  });
}

caf::strong_actor_ptr post_office::import(life_number receiver, const caf::strong_actor_ptr& whom) {
  return registries_[receiver]->proxies.get_or_put(whom->node(), whom->id());
}

void post_office::check(std::uint64_t which, connection& x) {
  for (auto way = std::size_t{0}; way < 2; ++way) {
    const auto from = x.ends[way];
    const auto to = x.ends[1 - way];
    const auto cut = wires_.is_cut(host_of(from), host_of(to));
    if (cut == x.cut[way])
      continue;
    x.cut[way] = cut;
    if (cut) {
      const auto number = ++x.cut_number[way];
      const auto wait =
          settings_.silence_max +
          moment{static_cast<std::int64_t>(chance_() % static_cast<std::uint64_t>(settings_.heartbeat.count()))};
      stage_.plan(wait, 0, [this, which, way, number] { give_up(which, way, number); });
      continue;
    }
    auto waited = std::exchange(x.held[way], {});
    for (auto& each : waited)
      transmit(x, way, std::move(each));
  }
}

void post_office::recheck() {
  for (auto& [which, x] : connections_)
    if (x.open)
      check(which, x);
}

void post_office::give_up(std::uint64_t which, std::size_t way, std::uint64_t number) {
  auto& x = connections_.at(which);
  if (!x.open || !x.cut[way] || x.cut_number[way] != number)
    return;
  const auto deaf = x.ends[1 - way];
  const auto mute = x.ends[way];
  const auto back = 1 - way;
  const auto other_way_cut = x.cut[back];
  shut(x);
  lose(deaf, mute);
  // Whoever still hears is told by the end of the connection; else it has noticed by itself.
  if (stage_.alive(mute))
    stage_.plan(other_way_cut ? settings_.heartbeat : wires_.quality(host_of(deaf), host_of(mute)).latency, mute,
                [this, deaf, mute] { lose(mute, deaf); });
}

void post_office::shut(connection& x) {
  x.open = false;
  x.cut = {false, false};
  x.last = {};
  ++counts_.broken;
  for (auto& held : x.held)
    held.clear();
}

void post_office::lose(life_number here, life_number peer) {
  if (!stage_.alive(here) || connected(here, peer))
    return;
  stage_.become(here);
  registries_[here]->erase(stage_.of(peer).id);
}

// -- on the way ------------------------------------------------------------------------------------------------------

bool post_office::must_encode(const caf::type_erased_tuple& what) {
  if (settings_.encoded || what.size() != 1)
    return true;
  // Only messages of our language that consist of nothing else are known to carry no handles.
  const auto* type = what.type(0).second;
  if (!type)
    return true;
  if (type == plain_last_)
    return false;
  auto known = std::ranges::find(plain_, type, &std::pair<const std::type_info*, bool>::first);
  if (known == plain_.end())
    known = plain_.insert(known, {type, !novacron::name_of(what).empty()});
  if (known->second)
    plain_last_ = type;
  return !known->second;
}

void post_office::encode(parcel& x, caf::mailbox_element& what) {
  auto content = what.move_content_to_message();
  auto sink = caf::binary_serializer{&stage_.unit(), x.bytes};
  // What cannot be written does not arrive.
  if (const auto wrong = sink(what.stages, content))
    x.bytes.clear();
  x.size = static_cast<std::uint32_t>(x.bytes.size());
}

caf::mailbox_element_ptr post_office::unpack(parcel& x) {
  if (x.whole)
    return std::move(x.whole);
  auto source = caf::binary_deserializer{&stage_.unit(), x.bytes};
  auto stages = caf::mailbox_element::forwarding_stack{};
  auto content = caf::message{};
  if (const auto wrong = source(stages, content))
    return nullptr;
  return caf::make_mailbox_element(nullptr, x.mid, std::move(stages), std::move(content));
}

void post_office::make_stale(life_number receiver, caf::mailbox_element_ptr& what) {
  const auto& said = what->content();
  const auto whole = said.match_elements<v1::Assign>();
  if (!whole && !said.match_elements<v1::AssignChange>())
    return;
  const auto first = first_assigned_.find(receiver);
  if (whole && first == first_assigned_.end() && said.get_as<v1::Assign>(0).instances_size() > 0)
    first_assigned_.emplace(receiver, caf::make_message(said.get_as<v1::Assign>(0)));
  if (first == first_assigned_.end() || chance_() % 10 != 0)
    return;
  auto old = first->second.get_as<v1::Assign>(0);
  old.set_revision(whole ? said.get_as<v1::Assign>(0).revision() : said.get_as<v1::AssignChange>(0).revision());
  what = caf::make_mailbox_element(std::move(what->sender), what->mid, std::move(what->stages), std::move(old));
}

void post_office::export_actor(const caf::strong_actor_ptr& who) {
  if (who->id() < known_.size() && known_[who->id()])
    return;
  if (mark_known(stage_.life_of(who->node()), who->id()))
    system_.registry().put(who->id(), who);
}

bool post_office::mark_known(life_number whose, caf::actor_id id) {
  if (id >= known_.size())
    known_.resize(std::max<std::size_t>(id + 1, known_.size() * 2));
  if (known_[id])
    return false;
  known_[id] = true;
  exported_[whose].push_back(id);
  return true;
}

void post_office::send(connection* x, life_number from, life_number to, caf::actor_id receiver,
                       caf::mailbox_element_ptr what) {
  if (closing_ || !stage_.alive(from))
    return;
  auto mail = std::make_unique<parcel>();
  mail->from = from;
  mail->to = to;
  mail->receiver = receiver;
  if (what->sender) {
    mail->sender = what->sender->id();
    export_actor(what->sender);
    what->sender.reset();
  }
  if (must_encode(what->content())) {
    const auto before = stage_.now_playing();
    stage_.become(from);
    mail->mid = what->mid;
    encode(*mail, *what);
    stage_.become(before);
  } else {
    mail->whole = std::move(what);
  }
  launch(x, std::move(mail));
}

void post_office::tell_down(life_number from, life_number to, std::uint64_t actor, const caf::error& why) {
  if (closing_ || !stage_.alive(from) || !stage_.alive(to))
    return;
  auto mail = std::make_unique<parcel>();
  mail->what = parcel::kind::down;
  mail->from = from;
  mail->to = to;
  mail->sender = actor;
  mail->reason = why;
  launch(find(from, to), std::move(mail));
}

void post_office::launch(connection* x, std::unique_ptr<parcel> what) {
  if (!x || !x->open)
    return;
  what->line = x;
  what->opened = x->opened;
  ++counts_.sent;
  counts_.bytes += what->size;
  const auto way = x->ends[0] == what->from ? std::size_t{0} : std::size_t{1};
  if (x->cut[way])
    x->held[way].push_back(std::move(what));
  else
    transmit(*x, way, std::move(what));
}

parcel post_office::copy_of(const parcel& x) {
  auto made =
      parcel{x.what, x.from, x.to, x.line, x.opened, x.sender, x.receiver, nullptr, x.bytes, x.mid, x.reason, x.size};
  if (x.whole)
    made.whole = caf::make_mailbox_element(nullptr, x.whole->mid, x.whole->stages, x.whole->copy_content_to_message());
  return made;
}

void post_office::transmit(connection& x, std::size_t way, std::unique_ptr<parcel> what) {
  const auto way_taken = wires_.pass(host_of(what->from), host_of(what->to), what->size);
  if (way_taken.again) {
    auto copy = std::make_unique<parcel>(copy_of(*what));
    ++counts_.doubled;
    stage_.plan(stage_.now() + *way_taken.again, event{std::move(copy)});
  }
  if (!way_taken.delay) {
    ++counts_.lost;
    return;
  }
  auto& clear = x.clear[way];
  clear = std::max(clear, stage_.now() + *way_taken.delay);
  stage_.plan(clear, event{std::move(what)});
}

void post_office::deliver(parcel& what) {
  auto* x = static_cast<connection*>(what.line);
  if (!x->open || x->opened != what.opened || !stage_.alive(what.to))
    return;
  ++counts_.delivered;
  stage_.become(what.to);
  stage_.note(static_cast<std::uint64_t>(stage_.now().count()) ^ static_cast<std::uint64_t>(what.receiver) << 32 ^
              what.sender);
  auto& proxies = *registries_[what.to];
  if (what.what == parcel::kind::down)
    return proxies.erase(stage_.of(what.from).id, what.sender, what.reason);
  stage_.note(what.bytes.data(), what.bytes.size());
  auto element = unpack(what);
  if (!element)
    return;
  if (settings_.planted == plant::stale_assignment)
    make_stale(what.to, element);
  if (heard)
    heard(element->content());
  auto& last = x->last[x->ends[0] == what.from ? 0 : 1];
  const auto& sender = sender_of(what, last);
  const auto& receiver = receiver_of(what, last);
  if (!receiver) {
    caf::detail::sync_request_bouncer{caf::exit_reason::remote_link_unreachable}(sender, element->mid);
    return;
  }
  element->sender = sender;
  // What relays do, they do here and now; who is behind them is handed the message.
  if (auto* to = last.relay == nullptr ? receiver.get() : last.relay->pass(element, nullptr))
    stage_.hand_over(to, std::move(element));
}

const caf::strong_actor_ptr& post_office::sender_of(const parcel& what, connection::pair& last) {
  static const auto nobody = caf::strong_actor_ptr{};
  if (what.sender == 0)
    return nobody;
  auto& proxies = *registries_[what.to];
  if (!last.sender || last.sender->id() != what.sender || last.edition != proxies.edition) {
    last.sender = proxies.proxies.get_or_put(stage_.of(what.from).id, what.sender);
    last.edition = proxies.edition;
  }
  return last.sender;
}

const caf::strong_actor_ptr& post_office::receiver_of(const parcel& what, connection::pair& last) {
  // Whoever has ended is in no registry any more.
  if (!last.receiver || last.receiver->id() != what.receiver ||
      last.receiver->get()->getf(caf::abstract_actor::is_cleaned_up_flag)) {
    last.receiver = system_.registry().get(what.receiver);
    last.relay = last.receiver ? dynamic_cast<node::relay*>(last.receiver->get()) : nullptr;
  }
  return last.receiver;
}

// -- transport -------------------------------------------------------------------------------------------------------

/// Connects to addresses in place of CAF's middleman. It only hands on, so it needs no mailbox.
class post_office::transport : public caf::monitorable_actor {
public:
  transport(caf::actor_config& settings, post_office& office, life_number home)
      : monitorable_actor{settings}, office_{office}, home_{home} {}

  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit*) override {
    const auto& words = what->content();
    if (!what->sender || !what->mid.is_request() ||
        !words.match_elements<caf::connect_atom, std::string, std::uint16_t>())
      return;
    office_.connect(home_, words.get_as<std::string>(1),
                    [me = caf::strong_actor_ptr{ctrl()}, asker = what->sender,
                     question = what->mid](const caf::expected<caf::strong_actor_ptr>& found) {
                      auto answer = found ? caf::make_message((*found)->node(), *found, std::set<std::string>{})
                                          : caf::make_message(found.error());
                      asker->enqueue(caf::make_mailbox_element(me, question.response_id(), {}, std::move(answer)),
                                     nullptr);
                    });
  }

private:
  post_office& office_;
  life_number home_;
};

caf::io::middleman_actor post_office::make_transport(life_number which) {
  auto settings = caf::actor_config{};
  return caf::actor_cast<caf::io::middleman_actor>(caf::make_actor<transport, caf::strong_actor_ptr>(
      system_.next_actor_id(), system_.node(), &system_, settings, *this, which));
}

} // namespace novacron::simulation
