#include "actors/node/relay.hpp"

#include <algorithm>

namespace novacron::node {
namespace {

/// Answers a request that will not be handed on. What is no request needs no answer.
void answer(const caf::strong_actor_ptr& asker, caf::message_id question, caf::strong_actor_ptr from, caf::error why,
            caf::execution_unit* where) {
  if (asker && question.is_request())
    asker->enqueue(caf::make_mailbox_element(std::move(from), question.response_id(), {}, std::move(why)), where);
}

std::string origin_of(const caf::mailbox_element& x) {
  if (!x.sender)
    return "";
  const auto* from = dynamic_cast<const post*>(caf::actor_cast<caf::abstract_actor*>(x.sender));
  return from ? from->title : caf::to_string(caf::actor_cast<caf::actor_addr>(x.sender));
}

} // namespace

void traffic::keep(const caf::mailbox_element& x, const caf::actor_clock& clock) {
  auto one = entry{0, caf::timespan{clock.now().time_since_epoch()}, origin_of(x), name_of(x.content()), json_of(x.content())};
  const auto lock = std::lock_guard{guard_};
  one.number = ++recorded_;
  kept_.push_back(std::move(one));
  if (kept_.size() > limit_)
    kept_.pop_front();
}

void traffic::record(std::size_t limit) {
  const auto lock = std::lock_guard{guard_};
  limit_ = limit;
  while (kept_.size() > limit)
    kept_.pop_front();
}

std::vector<traffic::entry> traffic::recorded_after(std::uint64_t number) const {
  const auto lock = std::lock_guard{guard_};
  auto found = std::vector<entry>{};
  std::ranges::copy_if(kept_, std::back_inserter(found), [&](const auto& x) { return x.number > number; });
  return found;
}

void relay::retire() {
  cleanup(caf::exit_reason::user_shutdown, nullptr);
}

// -- post ------------------------------------------------------------------------------------------------------------

post::post(caf::actor_config& config, std::string title) : relay{config}, title{std::move(title)} {}

void post::enqueue(caf::mailbox_element_ptr what, caf::execution_unit* where) {
  seen.count(*what, home_system());
  const auto to = node::aim::use{target_};
  if (to.get())
    to.get()->enqueue(std::move(what), where);
  else
    answer(what->sender, what->mid, ctrl(), caf::make_error(fault::unavailable, title + " is not running"), where);
}

void post::describe(condition x) {
  const auto lock = std::lock_guard{guard_};
  condition_ = std::move(x);
}

post::condition post::described() const {
  const auto lock = std::lock_guard{guard_};
  return condition_;
}

// -- channel ---------------------------------------------------------------------------------------------------------

channel::channel(caf::actor_config& config, std::string peer, std::string title, limits bounds)
  : relay{config}, peer{std::move(peer)}, title{std::move(title)}, bounds_{bounds} {}

void channel::enqueue(caf::mailbox_element_ptr what, caf::execution_unit* where) {
  if (what->mid.is_response())
    return hand_back(std::move(what), where);
  // Exit and monitoring messages of the runtime are about this node's actors, and stay here.
  if (name_of(what->content()).empty())
    return answer(what->sender, what->mid, ctrl(), caf::make_error(fault::bad_request, "not a message of the fabric"), where);
  if (what->mid.is_request() && !take_over(*what))
    return answer(what->sender, what->mid, ctrl(), refusal(), where);
  const auto to = node::aim::use{target_};
  if (to.get())
    to.get()->enqueue(std::move(what), where);
  // A request that was taken over is failed by the cut that came between.
}

bool channel::take_over(caf::mailbox_element& what) {
  if (outstanding_.fetch_add(1, std::memory_order_relaxed) >= bounds_.outstanding_max) {
    outstanding_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  const auto number = next_.fetch_add(1, std::memory_order_relaxed) + 1;
  auto& in = shard_of(number);
  const auto lock = std::lock_guard{in.guard};
  if (!connected_) {
    outstanding_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  in.requests.emplace(number, waiting{std::move(what.sender), what.mid, home_system().clock().now()});
  what.sender = ctrl();
  what.mid = caf::make_message_id(number);
  return true;
}

caf::error channel::refusal() const {
  if (connected_)
    return caf::make_error(fault::overloaded, peer + ": too many requests without an answer");
  const auto lock = std::lock_guard{guard_};
  return caf::make_error(fault::unreachable, peer + ": " + why_cut_);
}

void channel::hand_back(caf::mailbox_element_ptr found, caf::execution_unit* where) {
  auto whom = waiting{};
  {
    const auto number = found->mid.request_id().integer_value();
    auto& in = shard_of(number);
    const auto lock = std::lock_guard{in.guard};
    const auto at = in.requests.find(number);
    if (at == in.requests.end())
      return; // too late: it was given up
    whom = std::move(at->second);
    in.requests.erase(at);
  }
  outstanding_.fetch_sub(1, std::memory_order_relaxed);
  if (!whom.asker)
    return;
  found->sender = ctrl();
  found->mid = whom.question.response_id();
  whom.asker->enqueue(std::move(found), where);
}

void channel::fail(const waiting& whom, caf::error why) {
  answer(whom.asker, whom.question, ctrl(), std::move(why), nullptr);
}

void channel::aim(caf::strong_actor_ptr target) {
  target_.set(std::move(target));
  connected_ = true;
}

void channel::cut(std::string why) {
  {
    const auto lock = std::lock_guard{guard_};
    why_cut_ = why;
  }
  connected_ = false;
  target_.set(nullptr);
  for (auto& in : shards_) {
    auto given_up = std::map<std::uint64_t, waiting>{};
    {
      const auto lock = std::lock_guard{in.guard};
      given_up.swap(in.requests);
    }
    outstanding_.fetch_sub(given_up.size(), std::memory_order_relaxed);
    for (const auto& [number, whom] : given_up)
      fail(whom, caf::make_error(fault::unreachable, peer + ": " + why));
  }
}

void channel::expire() {
  const auto oldest = home_system().clock().now() - bounds_.age_max;
  auto given_up = std::vector<waiting>{};
  for (auto& in : shards_) {
    const auto lock = std::lock_guard{in.guard};
    // Numbers rise with time, so the old ones stand first.
    while (!in.requests.empty() && in.requests.begin()->second.since <= oldest) {
      given_up.push_back(std::move(in.requests.begin()->second));
      in.requests.erase(in.requests.begin());
    }
  }
  outstanding_.fetch_sub(given_up.size(), std::memory_order_relaxed);
  for (const auto& whom : given_up)
    fail(whom, caf::make_error(fault::timeout, peer + " did not answer"));
}

std::size_t channel::outstanding() const {
  return outstanding_.load(std::memory_order_relaxed);
}

bool channel::connected() const {
  return connected_;
}

// -- gate ------------------------------------------------------------------------------------------------------------

gate::gate(caf::actor_config& config, caf::actor inside, claim who, refused tell)
  : relay{config}, inside_{std::move(inside)}, who_{std::move(who)}, tell_{std::move(tell)} {}

void gate::enqueue(caf::mailbox_element_ptr what, caf::execution_unit* where) {
  if (!lets_through(what->content())) {
    const auto said = name_of(what->content());
    tell_(said.empty() ? "a message of no known kind" : said);
    return answer(what->sender, what->mid, ctrl(), caf::make_error(fault::denied, said + " is not for this role to say"), where);
  }
  auto to = caf::strong_actor_ptr{};
  {
    const auto lock = std::lock_guard{guard_};
    to = caf::actor_cast<caf::strong_actor_ptr>(inside_);
  }
  if (to)
    to->enqueue(std::move(what), where);
  else
    answer(what->sender, what->mid, ctrl(), caf::make_error(fault::denied, "this way in was closed"), where);
}

bool gate::lets_through(const caf::type_erased_tuple& what) const {
  const auto kind = sender_of_role(who_.role);
  if (!permitted(what, kind))
    return false;
  const auto said = kind == cloud ? std::nullopt : claim_of(what);
  return !said || (said->node == who_.node && (said->role.empty() || said->role == who_.role));
}

void gate::close() {
  const auto lock = std::lock_guard{guard_};
  inside_ = nullptr;
}

} // namespace novacron::node
