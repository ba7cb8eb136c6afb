#include "actors/node/relay.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace novacron::node {
namespace {

/// Answers a request that will not be handed on. What is no request needs no answer.
void answer(const caf::strong_actor_ptr& asker, caf::message_id question, caf::strong_actor_ptr from, caf::error why,
            caf::execution_unit* where) {
  if (asker && question.is_request())
    asker->enqueue(caf::make_mailbox_element(std::move(from), question.response_id(), {}, std::move(why)), where);
}

// A request's number: in which shard it waits, at which place there, and a number of its own, so that an answer that
// comes too late finds nobody. CAF leaves 60 bits.
constexpr auto shard_bits = 4u;
constexpr auto place_bits = 20u;

std::uint64_t request_number(std::uint64_t turn, std::size_t place, std::size_t shard) {
  const auto own = (turn << (shard_bits + place_bits)) & ((std::uint64_t{1} << 60) - 1);
  return own | (place << shard_bits) | shard;
}
std::size_t shard_of(std::uint64_t number) {
  return number & ((1u << shard_bits) - 1);
}
std::size_t place_of(std::uint64_t number) {
  return number >> shard_bits & ((1u << place_bits) - 1);
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
  auto& kept = *kept_.load();
  const auto lock = std::lock_guard{kept.guard};
  one.number = ++kept.recorded;
  kept.all.push_back(std::move(one));
  if (kept.all.size() > limit_)
    kept.all.pop_front();
}

void traffic::record(std::size_t limit) {
  if (!kept_) {
    auto made = std::make_unique<record_of_some>();
    record_of_some* nobodys = nullptr;
    if (kept_.compare_exchange_strong(nobodys, made.get()))
      made.release();
  }
  auto& kept = *kept_.load();
  const auto lock = std::lock_guard{kept.guard};
  limit_ = limit;
  while (kept.all.size() > limit)
    kept.all.pop_front();
}

std::vector<traffic::entry> traffic::recorded_after(std::uint64_t number) const {
  auto found = std::vector<entry>{};
  auto* kept = kept_.load();
  if (!kept)
    return found;
  const auto lock = std::lock_guard{kept->guard};
  std::ranges::copy_if(kept->all, std::back_inserter(found), [&](const auto& x) { return x.number > number; });
  return found;
}

void relay::retire() {
  cleanup(caf::exit_reason::user_shutdown, nullptr);
}

caf::actor_control_block* relay::pass(caf::mailbox_element_ptr& what, caf::execution_unit* where) {
  enqueue(std::move(what), where);
  return nullptr;
}

// -- post ------------------------------------------------------------------------------------------------------------

post::post(caf::actor_config& config, std::string title) : relay{config}, title{std::move(title)} {}

bool post::admit(caf::actor_control_block* to, caf::mailbox_element& what, caf::execution_unit* where) {
  seen.count(what, home_system());
  if (to == nullptr)
    answer(what.sender, what.mid, ctrl(), caf::make_error(fault::unavailable, title + " is not running"), where);
  return to != nullptr;
}

void post::enqueue(caf::mailbox_element_ptr what, caf::execution_unit* where) {
  const auto to = node::aim::use{target_};
  if (admit(to.get(), *what, where))
    to.get()->enqueue(std::move(what), where);
}

caf::actor_control_block* post::pass(caf::mailbox_element_ptr& what, caf::execution_unit* where) {
  auto* const to = target_.peek();
  return admit(to, *what, where) ? to : nullptr;
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
    : relay{config}, peer{std::move(peer)}, title{std::move(title)}, bounds_{bounds}, shards_{std::make_unique<shard[]>(
                                                                                          bounds.shards)} {}

void channel::enqueue(caf::mailbox_element_ptr what, caf::execution_unit* where) {
  if (what->mid.is_response())
    return hand_back(std::move(what), where);
  // Exit and monitoring messages of the runtime are about this node's actors, and stay here.
  if (!is_word(what->content()))
    return answer(what->sender, what->mid, ctrl(), caf::make_error(fault::bad_request, "not a message of the fabric"), where);
  if (what->mid.is_request() && !take_over(*what))
    return answer(what->sender, what->mid, ctrl(), refusal(), where);
  if (condition_ == condition::awaited && hold(what))
    return;
  const auto to = node::aim::use{target_};
  if (to.get())
    to.get()->enqueue(std::move(what), where);
  // A request that was taken over is failed by the cut that came between.
}

bool channel::hold(caf::mailbox_element_ptr& what) {
  const auto lock = std::lock_guard{guard_};
  if (condition_ != condition::awaited)
    return false;
  if (held_.size() >= bounds_.outstanding_max && !what->mid.is_request())
    return true;
  // What is held must not hold the channel.
  if (what->mid.is_request())
    what->sender = nullptr;
  held_.push_back(std::move(what));
  return true;
}

bool channel::take_over(caf::mailbox_element& what) {
  if (outstanding_.fetch_add(1, std::memory_order_relaxed) >= bounds_.outstanding_max) {
    outstanding_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  const auto turn = asked_.fetch_add(1, std::memory_order_relaxed) + 1;
  const auto which = turn % bounds_.shards;
  auto& in = shards_[which];
  const auto lock = std::lock_guard{in.guard};
  if (condition_ == condition::cut) {
    outstanding_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  if (in.free.empty()) {
    in.free.push_back(in.places.size());
    in.places.emplace_back();
  }
  const auto place = in.free.back();
  in.free.pop_back();
  const auto number = request_number(turn, place, which);
  in.places[place] = {number, std::move(what.sender), what.mid, home_system().clock().now()};
  what.sender = ctrl();
  what.mid = caf::make_message_id(number);
  return true;
}

caf::error channel::refusal() const {
  if (condition_ != condition::cut)
    return caf::make_error(fault::overloaded, peer + ": too many requests without an answer");
  const auto lock = std::lock_guard{guard_};
  return caf::make_error(fault::unreachable, peer + ": " + why_cut_);
}

void channel::hand_back(caf::mailbox_element_ptr found, caf::execution_unit* where) {
  auto whom = waiting{};
  {
    const auto number = found->mid.request_id().integer_value();
    auto& in = shards_[shard_of(number)];
    const auto lock = std::lock_guard{in.guard};
    const auto place = place_of(number);
    if (place >= in.places.size() || in.places[place].number != number)
      return; // too late: it was given up
    whom = std::exchange(in.places[place], {});
    in.free.push_back(place);
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
  target_.set(target);
  for (;;) {
    auto first = std::vector<caf::mailbox_element_ptr>{};
    {
      const auto lock = std::lock_guard{guard_};
      if (held_.empty()) {
        condition_ = condition::connected;
        return;
      }
      first.swap(held_);
    }
    // Nothing overtakes what waited: who comes now waits behind it.
    for (auto& each : first) {
      if (each->mid.is_request())
        each->sender = ctrl();
      target->enqueue(std::move(each), nullptr);
    }
  }
}

void channel::cut(std::string why) {
  {
    const auto lock = std::lock_guard{guard_};
    why_cut_ = why;
    condition_ = condition::cut;
    held_.clear();
  }
  target_.set(nullptr);
  for (const auto& whom : take_out([](const waiting&) { return true; }))
    fail(whom, caf::make_error(fault::unreachable, peer + ": " + why));
}

void channel::expire() {
  // At each beat of each peer, and mostly for nothing.
  if (outstanding() == 0)
    return;
  const auto oldest = home_system().clock().now() - bounds_.age_max;
  for (const auto& whom : take_out([&](const waiting& x) { return x.since <= oldest; }))
    fail(whom, caf::make_error(fault::timeout, peer + " did not answer"));
}

template <class F>
std::vector<channel::waiting> channel::take_out(F wanted) {
  auto out = std::vector<waiting>{};
  for (auto& in : std::span{shards_.get(), bounds_.shards}) {
    const auto lock = std::lock_guard{in.guard};
    for (auto place = std::size_t{0}; place < in.places.size(); ++place)
      if (in.places[place].number != 0 && wanted(in.places[place])) {
        out.push_back(std::exchange(in.places[place], {}));
        in.free.push_back(place);
      }
  }
  outstanding_.fetch_sub(out.size(), std::memory_order_relaxed);
  std::ranges::sort(out, {}, &waiting::number);
  return out;
}

std::size_t channel::outstanding() const {
  return outstanding_.load(std::memory_order_relaxed);
}

bool channel::connected() const {
  return condition_ == condition::connected;
}

// -- gate ------------------------------------------------------------------------------------------------------------

gate::gate(caf::actor_config& config, caf::actor inside, claim who, refused tell)
    : relay{config}, next_{dynamic_cast<relay*>(caf::actor_cast<caf::abstract_actor*>(inside))}, who_{std::move(who)},
      kind_{sender_of_role(who_.role)}, tell_{std::move(tell)} {
  inside_.set(caf::actor_cast<caf::strong_actor_ptr>(std::move(inside)));
}

bool gate::admit(caf::actor_control_block* to, caf::mailbox_element& what, caf::execution_unit* where) {
  if (!permitted(what.content(), kind_, who_)) {
    const auto said = name_of(what.content());
    tell_(said.empty() ? "a message of no known kind" : said);
    answer(what.sender, what.mid, ctrl(), caf::make_error(fault::denied, said + " is not for this role to say"), where);
    return false;
  }
  if (to == nullptr)
    answer(what.sender, what.mid, ctrl(), caf::make_error(fault::denied, "this way in was closed"), where);
  return to != nullptr;
}

void gate::enqueue(caf::mailbox_element_ptr what, caf::execution_unit* where) {
  const auto to = node::aim::use{inside_};
  if (admit(to.get(), *what, where))
    to.get()->enqueue(std::move(what), where);
}

caf::actor_control_block* gate::pass(caf::mailbox_element_ptr& what, caf::execution_unit* where) {
  auto* const to = inside_.peek();
  if (!admit(to, *what, where))
    return nullptr;
  return next_ != nullptr ? next_->pass(what, where) : to;
}

void gate::close() {
  inside_.set(nullptr);
}

} // namespace novacron::node
