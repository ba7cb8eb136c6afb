#include "actors/scheduler/outbox.hpp"

#include "actors/scheduler/orders.hpp"

#include <utility>

namespace novacron::scheduler {

bool outbox::put(assignment what) {
  if (const auto* change = std::get_if<wire::AssignChange>(&what); change && change->ByteSizeLong() > bytes_max_)
    return false;
  auto& there = all_[std::visit([](const auto& x) { return x.node(); }, what)];
  if (there.asked)
    there.newer = std::move(what);
  else
    begin(there, std::move(what));
  return true;
}

void outbox::begin(delivery& x, assignment what) const {
  x.parts.clear();
  x.part = 0;
  x.revision = std::visit([](const auto& each) { return each.revision(); }, what);
  if (auto* whole = std::get_if<wire::Assign>(&what))
    for (auto& part : parts_of(std::move(*whole), bytes_max_))
      x.parts.emplace_back(std::move(part));
  else
    x.parts.push_back(std::move(what));
}

/// Whether another message may be sent; those that are slow are not waited for.
bool outbox::room(instant now) {
  while (!under_way_.empty() && now - under_way_.begin()->second >= slow_after_)
    under_way_.erase(under_way_.begin());
  return under_way_.size() < under_way_max_;
}

std::optional<outbox::parcel> outbox::take(const std::string& node, instant now) {
  const auto found = all_.find(node);
  if (found == all_.end() || found->second.asked || found->second.parts.empty())
    return std::nullopt;
  auto& x = found->second;
  if (!room(now)) {
    if (!std::exchange(x.queued, true))
      turns_.push_back(node);
    return std::nullopt;
  }
  x.asked = true;
  x.number = ++numbers_;
  under_way_.emplace(x.number, now);
  return parcel{x.number, std::move(x.parts.at(x.part))};
}

std::optional<std::string> outbox::next(instant now) {
  while (!turns_.empty() && room(now)) {
    auto node = std::move(turns_.front());
    turns_.pop_front();
    if (const auto found = all_.find(node); found != all_.end() && std::exchange(found->second.queued, false))
      return node;
  }
  return std::nullopt;
}

std::optional<instant> outbox::wake() const {
  if (turns_.empty())
    return std::nullopt;
  return under_way_.size() < under_way_max_ ? instant{} : under_way_.begin()->second + slow_after_;
}

outbox::delivery* outbox::find(const std::string& node, std::uint64_t number) {
  const auto found = all_.find(node);
  return found != all_.end() && found->second.asked && found->second.number == number ? &found->second : nullptr;
}

void outbox::answered(delivery& x) {
  x.asked = false;
  under_way_.erase(x.number);
}

outbox::verdict outbox::done(const std::string& node, std::uint64_t number) {
  auto* x = find(node, number);
  if (!x)
    return {};
  answered(*x);
  x->attempts = 0;
  if (x->newer) {
    begin(*x, *std::exchange(x->newer, std::nullopt));
    return {.more = true};
  }
  if (++x->part < x->parts.size())
    return {.more = true};
  const auto revision = x->revision;
  all_.erase(node);
  return {.delivered = revision};
}

unsigned outbox::pause(delivery& x) {
  x.parts.clear();
  x.newer.reset();
  ++x.attempts;
  return std::exchange(x.paused, true) ? 0 : x.attempts;
}

unsigned outbox::failed(const std::string& node, std::uint64_t number) {
  auto* x = find(node, number);
  if (!x)
    return 0;
  answered(*x);
  return pause(*x);
}

unsigned outbox::postpone(const std::string& node) {
  const auto found = all_.find(node);
  return found == all_.end() || found->second.asked ? 0 : pause(found->second);
}

bool outbox::resume(const std::string& node) {
  const auto found = all_.find(node);
  if (found == all_.end())
    return false;
  found->second.paused = false;
  return !found->second.asked && found->second.parts.empty();
}

bool outbox::drop(const std::string& node) {
  const auto found = all_.find(node);
  if (found == all_.end())
    return false;
  answered(found->second);
  all_.erase(found);
  return true;
}

void outbox::clear() {
  all_.clear();
  under_way_.clear();
  turns_.clear();
}

bool outbox::astray(const std::string& node, std::uint64_t number) {
  return find(node, number) && drop(node);
}

} // namespace novacron::scheduler
