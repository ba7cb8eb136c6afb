#include "actors/node/directory.hpp"

#include <algorithm>
#include <array>

namespace novacron::node {
namespace {

constexpr auto led_by_one = std::array<std::string_view, 3>{"authority", "ledger", "scheduler"};

} // namespace

directory::directory(caf::actor_system& system, std::string self, channel::limits bounds)
  : system_{system}, self_{std::move(self)}, bounds_{bounds} {}

directory::~directory() {
  retire();
}

void directory::retire() {
  auto addresses = posts();
  auto ways = std::vector<channel_ptr>{};
  {
    const auto lock = std::lock_guard{guard_};
    for (const auto& [title, x] : leading_)
      addresses.push_back(x);
    for (const auto& [name, x] : ways_)
      ways.push_back(x);
  }
  for (const auto& x : addresses) {
    x->aim(nullptr);
    x->retire();
  }
  for (const auto& x : ways) {
    x->cut("this node is going down");
    x->retire();
  }
}

directory::post_ptr directory::open(const std::string& title) {
  const auto lock = std::lock_guard{guard_};
  auto& entry = posts_[title];
  if (!entry)
    entry = make_relay<post>(system_, title);
  return entry;
}

directory::post_ptr directory::look_up(const std::string& title) const {
  const auto lock = std::lock_guard{guard_};
  const auto at = posts_.find(title);
  return at == posts_.end() ? nullptr : at->second;
}

std::vector<directory::post_ptr> directory::posts() const {
  const auto lock = std::lock_guard{guard_};
  auto all = std::vector<post_ptr>{};
  for (const auto& [title, x] : posts_)
    all.push_back(x);
  return all;
}

void directory::close(const std::string& title) {
  auto gone = post_ptr{};
  {
    const auto lock = std::lock_guard{guard_};
    const auto at = posts_.find(title);
    if (at == posts_.end())
      return;
    gone = std::move(at->second);
    posts_.erase(at);
  }
  gone->aim(nullptr);
  gone->retire();
}

directory::channel_ptr directory::way_to(const std::string& peer, const std::string& title) {
  auto made = channel_ptr{};
  auto tell = std::function<void(const channel_ptr&)>{};
  {
    const auto lock = std::lock_guard{guard_};
    auto& entry = ways_[{peer, title}];
    if (entry)
      return entry;
    entry = made = make_relay<channel>(system_, peer, title, bounds_);
    ways_in_->await(made->id(), peer);
    tell = tell_;
  }
  if (tell)
    tell(made);
  else
    made->cut("there is no link to it");
  return made;
}

std::vector<directory::channel_ptr> directory::ways_to(const std::string& peer) const {
  const auto lock = std::lock_guard{guard_};
  auto found = std::vector<channel_ptr>{};
  // A controller asks this at every beat of every peer, and has ways to thousands.
  for (auto at = ways_.lower_bound({peer, ""}); at != ways_.end() && at->first.first == peer; ++at)
    found.push_back(at->second);
  return found;
}

void directory::on_new_way(std::function<void(const channel_ptr&)> tell) {
  const auto lock = std::lock_guard{guard_};
  tell_ = std::move(tell);
}

caf::expected<caf::actor> directory::find(std::string_view path) {
  const auto text = std::string{path};
  if (std::ranges::binary_search(led_by_one, path)) {
    if (leader().empty())
      return caf::make_error(fault::unreachable, "no controller is known to " + self_ + " yet");
    return leading(text);
  }
  if (const auto local = look_up(text))
    return handle_of(*local);
  const auto slash = text.find('/');
  const auto node = text.substr(0, slash);
  const auto title = slash == text.npos ? "" : text.substr(slash + 1);
  if (title.empty() || (node == self_ && !look_up(title)))
    return caf::make_error(fault::not_found, "no actor called " + (title.empty() ? text : title) + " on " + self_);
  return handle(node, title);
}

caf::actor directory::handle(const std::string& node, const std::string& title) {
  if (node == self_)
    return handle_of(*open(title));
  return handle_of(*way_to(node, title));
}

caf::actor directory::leading(const std::string& title) {
  auto made = post_ptr{};
  auto node = std::string{};
  {
    const auto lock = std::lock_guard{guard_};
    auto& entry = leading_[title];
    if (entry)
      return handle_of(*entry);
    entry = made = make_relay<post>(system_, "the leader's " + title);
    node = leader_;
  }
  if (!node.empty())
    made->aim(caf::actor_cast<caf::strong_actor_ptr>(handle(node, title)));
  return handle_of(*made);
}

void directory::lead(const std::string& node) {
  auto all = std::map<std::string, post_ptr>{};
  {
    const auto lock = std::lock_guard{guard_};
    if (leader_ == node)
      return;
    leader_ = node;
    leader_news_.fetch_add(1, std::memory_order_release);
    all = leading_;
  }
  for (const auto& [title, address] : all)
    address->aim(node.empty() ? nullptr : caf::actor_cast<caf::strong_actor_ptr>(handle(node, title)));
}

std::string directory::leader() const {
  const auto lock = std::lock_guard{guard_};
  return leader_;
}

void directory::arrived(const wire::NodeFacts& facts) {
  const auto lock = std::lock_guard{guard_};
  present_[facts.name()] = facts;
}

void directory::departed(const std::string& node) {
  const auto lock = std::lock_guard{guard_};
  present_.erase(node);
}

std::vector<wire::NodeFacts> directory::present() const {
  const auto lock = std::lock_guard{guard_};
  auto found = std::vector<wire::NodeFacts>{};
  for (const auto& [name, facts] : present_)
    found.push_back(facts);
  return found;
}

} // namespace novacron::node
