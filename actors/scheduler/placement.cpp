#include "actors/scheduler/placement.hpp"

#include <algorithm>

namespace novacron::scheduler {
namespace {

void set_bit(std::vector<std::uint64_t>& bits, std::size_t at, bool on) {
  if (bits.size() <= at / 64)
    bits.resize(at / 64 + 1);
  const auto bit = std::uint64_t{1} << (at % 64);
  bits[at / 64] = on ? bits[at / 64] | bit : bits[at / 64] & ~bit;
}

bool same(const amount& a, const amount& b) {
  return a.cpu_milli == b.cpu_milli && a.memory_bytes == b.memory_bytes && a.disk_bytes == b.disk_bytes &&
         a.gpu_milli == b.gpu_milli && a.gpu_model == b.gpu_model && a.extra == b.extra;
}

bool same(const node_shape& a, const node_shape& b) {
  return a.labels == b.labels && same(a.capacity, b.capacity) && a.kinds == b.kinds && a.hosts == b.hosts &&
         a.state == b.state && a.taints == b.taints;
}

} // namespace

std::string_view to_string(feature x) {
  constexpr auto names =
      std::array<std::string_view, feature_count>{"room", "evenness", "prefer", "image", "spread", "reserve", "fresh",
                                                  "home", "whole",    "price",  "zones", "usable", "starved", "idle"};
  return names[x];
}

namespace {

struct named_policy {
  std::string_view name;
  features weights;
};

// Sorted by name.
constexpr auto named_policies = std::array<named_policy, 6>{{
  {"affinity", {0.3f, 0.1f, 6.0f, 1.0f, 0.5f, 1.0f, 8.0f, 1.0f, 0.0f, 0.0f, 0.0f}},
  {"balance", {1.0f, 0.3f, 2.0f, 0.3f, 1.0f, 1.0f, 8.0f, 1.0f, 0.0f, 0.0f, 0.0f}},
  {"cost", {-0.3f, 0.3f, 2.0f, 0.3f, 0.2f, 1.0f, 8.0f, 1.0f, 0.0f, 4.0f, 0.0f}},
  {"fragmentation", {0.0f, 0.0f, 2.0f, 0.3f, 0.2f, 1.0f, 8.0f, 1.0f, 1.0f, 0.0f, 0.0f}},
  {"pack", {-1.0f, 0.3f, 2.0f, 0.3f, 0.2f, 1.0f, 8.0f, 1.0f, 0.0f, 0.0f, 0.0f}},
  {"spread", {0.5f, 0.3f, 2.0f, 0.3f, 2.0f, 1.0f, 8.0f, 1.0f, 0.0f, 0.0f, 3.0f}},
}};

} // namespace

std::optional<features> policy_weights(std::string_view name) {
  const auto found = std::ranges::find(named_policies, name, &named_policy::name);
  return found == named_policies.end() ? std::nullopt : std::optional{found->weights};
}

std::vector<std::string> policy_names() {
  auto names = std::vector<std::string>{};
  for (const auto& each : named_policies)
    names.emplace_back(each.name);
  return names;
}

void cluster::define_policy(const std::string& name, std::optional<features> weights) {
  if (weights)
    defined_[name] = *weights;
  else
    defined_.erase(name);
}

features cluster::weights_of(const std::string& policy) const {
  for (const auto* name : {&policy, &default_policy_}) {
    if (const auto weights = policy_weights(*name))
      return *weights;
    if (const auto found = defined_.find(*name); found != defined_.end())
      return found->second;
  }
  return *policy_weights("balance");
}

// -- the nodes ---------------------------------------------------------------------------------

cluster::slot cluster::slot_for(const std::string& name) {
  if (const auto found = slots_.find(name); found != slots_.end())
    return found->second;
  ranked_ = false;
  auto at = static_cast<slot>(shapes_.size());
  if (!vacant_.empty()) {
    at = vacant_.back();
    vacant_.pop_back();
  } else {
    const auto size = shapes_.size() + 1;
    shapes_.resize(size);
    for (auto* column : {&cpu_free_, &memory_free_, &disk_free_, &gpu_whole_, &gpu_share_, &gpu_sum_})
      column->resize(size);
    scan_.resize(size);
    scan_nodes_.resize(size);
    adjust_.resize(size);
    for (auto& [name, free] : extra_free_)
      free.resize(size);
    guests_.resize(size);
    least_.resize(size, nobody);
    version_.resize(size);
    gpu_free_.resize(size);
    images_.resize(size);
    set_bit(ready_, at, false);
  }
  slots_.emplace(name, at);
  auto& there = held_.rooms[name];
  there.at = at;
  held_.room_at.resize(shapes_.size());
  held_.room_at[at] = &there;
  return at;
}

bool cluster::set_node(const node_shape& shape) {
  const auto known = slots_.contains(shape.name);
  const auto at = slot_for(shape.name);
  auto relabelled = !known;
  auto full = shape;
  full.labels["node"] = shape.name;
  if (known && same(shapes_[at], full))
    return false;
  if (known) {
    relabelled = shapes_[at].labels != full.labels;
    mark(at, shapes_[at], false);
    leave(at);
  }
  fill(at, full);
  mark(at, full, true);
  forget_shapes(relabelled);
  return true;
}

/// What was worked out from the shapes of nodes. Most often only the state of one changes, and no label.
void cluster::forget_shapes(bool relabelled) {
  ready_kinds_.clear();
  if (!relabelled)
    return;
  domains_.clear();
  rule_masks_.clear();
  prices_.clear();
  priced_ = false;
}

void cluster::fill(slot at, const node_shape& shape) {
  const auto& all = shape.capacity;
  shapes_[at] = shape;
  cpu_free_[at] = all.cpu_milli;
  memory_free_[at] = all.memory_bytes;
  disk_free_[at] = all.disk_bytes;
  const auto unit = [](std::int64_t x) { return x > 0 ? 1.0f / static_cast<float>(x) : 0.0f; };
  scan_.cpu_unit[at] = unit(all.cpu_milli);
  scan_.memory_unit[at] = unit(all.memory_bytes);
  scan_.gpu_unit[at] = unit(all.gpu_milli);
  gpu_free_[at].assign(static_cast<std::size_t>(all.gpu_milli / 1000), 1000);
  guests_[at] = 0;
  least_[at] = nobody;
  for (auto& [name, free] : extra_free_)
    free[at] = 0;
  for (const auto& [name, count] : all.extra)
    extra_column(name)[at] = count;
  for (const auto* held : held_.rooms[shape.name].holds)
    account(at, held->what, 1);
  refresh_gpus(at);
  note_change(at);
}

std::vector<std::int64_t>& cluster::extra_column(const std::string& name) {
  auto& column = extra_free_[name];
  column.resize(shapes_.size());
  return column;
}

void cluster::mark(slot at, const node_shape& shape, bool on) {
  // Its name is every node's own: who asks for it is told by `slots_`.
  for (const auto& [key, value] : shape.labels)
    if (key != "node")
      set_bit(label_masks_[key + "=" + value], at, on);
  for (const auto& kind : shape.kinds)
    set_bit(kind_masks_[kind], at, on);
  if (!shape.capacity.gpu_model.empty())
    set_bit(model_masks_[shape.capacity.gpu_model], at, on);
  set_bit(every_kind_, at, on && shape.kinds.empty());
  set_bit(ready_, at, on && shape.hosts && shape.state == node_state::ready);
  set_bit(there_, at, on);
  set_bit(drained_, at, on && shape.state == node_state::drained);
  set_bit(lost_, at, on && shape.state == node_state::lost);
  if (on && !shape.taints.empty())
    tainted_.insert(at);
  else
    tainted_.erase(at);
}

bool cluster::set_images(const std::string& node, std::vector<std::string> images) {
  const auto found = slots_.find(node);
  if (found == slots_.end())
    return false;
  std::ranges::sort(images);
  auto& known = images_[found->second];
  if (known == images)
    return false;
  for (const auto& image : known)
    set_bit(image_masks_[image], found->second, false);
  for (const auto& image : images)
    set_bit(image_masks_[image], found->second, true);
  known = std::move(images);
  return true;
}

void cluster::remove_node(const std::string& node) {
  const auto found = slots_.find(node);
  if (found == slots_.end())
    return;
  const auto at = found->second;
  set_images(node, {});
  mark(at, shapes_[at], false);
  leave(at);
  held_.room_at[at] = nullptr;
  if (const auto there = held_.rooms.find(node); there->second.holds.empty())
    held_.rooms.erase(there);
  else
    there->second.at.reset();
  shapes_[at] = {};
  vacant_.push_back(at);
  slots_.erase(found);
  forget_shapes(true);
  ranked_ = false;
}

const node_shape* cluster::find_node(const std::string& name) const {
  const auto found = slots_.find(name);
  return found == slots_.end() ? nullptr : &shapes_[found->second];
}

// -- who is where ------------------------------------------------------------------------------

// Names of workloads are made of letters, digits and hyphens, and claims have a form of their own.
std::string cluster::presence_of(const std::string& who) {
  return who.find('=') == who.npos ? who : "label/" + who;
}

std::string cluster::refusal_of(const std::string& who, const std::string& over) {
  return "not-with/" + over + '\n' + who;
}

bool is_itself(const request& what, const neighbour& whom) {
  return whom.who == what.workload || std::ranges::find(what.labels, whom.who) != what.labels.end();
}

hold hold_of(const request& x, const decision& where) {
  return {where.node, x.workload, x.need, where.gpus, x.claims, x.apart, x.labels};
}

// -- the room that is taken --------------------------------------------------------------------

cluster::occupancy::occupancy(const occupancy& other)
    : holds{other.holds}, rooms{other.rooms}, room_at(other.room_at.size()) {
  for (auto& [name, there] : rooms)
    if (there.at)
      room_at[*there.at] = &there;
  for (auto& [key, held] : holds) {
    held.key = &key;
    held.where = &rooms.at(held.what.node);
    held.where->holds[held.position] = &held;
  }
}

cluster::occupancy& cluster::occupancy::operator=(occupancy other) noexcept {
  holds.swap(other.holds);
  rooms.swap(other.rooms);
  room_at.swap(other.room_at);
  return *this;
}

void cluster::take(const std::string& key, hold what) {
  if (ranked_ && !in_order_)
    reorder();
  auto [found, fresh] = held_.holds.try_emplace(key);
  if (!fresh) {
    release(key);
    found = held_.holds.try_emplace(key).first;
  }
  auto& held = found->second;
  const auto decided =
      decided_ < held_.room_at.size() && held_.room_at[decided_] && shapes_[decided_].name == what.node;
  auto& there = decided ? *held_.room_at[decided_] : held_.rooms[what.node];
  held = {&found->first, std::move(what), &there, there.holds.size()};
  there.holds.push_back(&held);
  if (held.what.reservation.empty())
    count_seen(held.what.need);
  else
    ++reserved_;
  if (there.at)
    account(*there.at, held.what, 1);
}

bool cluster::release(const std::string& key) {
  const auto found = held_.holds.find(key);
  if (found == held_.holds.end())
    return false;
  const auto& held = found->second;
  reserved_ -= held.what.reservation.empty() ? 0 : 1;
  auto& there = *held.where;
  there.holds[held.position] = there.holds.back();
  there.holds[held.position]->position = held.position;
  there.holds.pop_back();
  if (there.at)
    account(*there.at, held.what, -1);
  if (there.holds.empty() && !there.at)
    held_.rooms.erase(held.what.node);
  held_.holds.erase(found);
  return true;
}

void cluster::release_reserved(const std::string& node) {
  if (reserved_ > 0)
    for (const auto& key : held_on(node))
      if (!find_hold(key)->reservation.empty())
        release(key);
}

/// Puts the slots in the order of the names: then the first of equals is found without looking at the others.
void cluster::reorder() {
  auto nodes = std::vector<std::pair<node_shape, std::vector<std::string>>>{};
  for (const auto& [name, at] : slots_)
    nodes.emplace_back(std::move(shapes_[at]), std::move(images_[at]));
  slots_.clear();
  vacant_.clear();
  shapes_.clear();
  held_.room_at.clear();
  for (auto* masks : {&label_masks_, &image_masks_, &kind_masks_, &model_masks_})
    masks->clear();
  for (auto* bits : {&every_kind_, &ready_, &there_, &drained_, &lost_})
    bits->clear();
  tainted_.clear();
  present_.clear();
  extra_free_.clear();
  images_.clear();
  version_.clear();
  parts_version_.clear();
  rows_.clear();
  lacks_.clear();
  victims_.clear();
  for (auto& [shape, images] : nodes) {
    set_node(shape);
    set_images(shape.name, std::move(images));
  }
}

const hold* cluster::find_hold(const std::string& key) const {
  const auto found = held_.holds.find(key);
  return found == held_.holds.end() ? nullptr : &found->second.what;
}

std::vector<std::string> cluster::held_on(const std::string& node) const {
  auto keys = std::vector<std::string>{};
  if (const auto found = held_.rooms.find(node); found != held_.rooms.end())
    for (const auto* held : found->second.holds)
      keys.push_back(*held->key);
  std::ranges::sort(keys);
  return keys;
}

std::vector<std::pair<const std::string*, const hold*>> cluster::holds_on(const std::string& node) const {
  auto all = std::vector<std::pair<const std::string*, const hold*>>{};
  if (const auto found = slots_.find(node); found != slots_.end())
    for (const auto* held : held_.room_at[found->second]->holds)
      all.emplace_back(held->key, &held->what);
  return all;
}

/// Of what is only kept for others nothing can move.
void cluster::refresh_least(slot at) {
  least_[at] = nobody;
  for (const auto* held : held_.room_at[at]->holds)
    if (held->what.reservation.empty())
      least_[at] = std::min(least_[at], held->what.priority);
}

/// Nobody who holds room there is there any more, by name or label: the node goes, or is filled anew.
void cluster::leave(slot at) {
  for (const auto* held : held_.room_at[at]->holds)
    count_present(at, held->what, -1);
}

void cluster::account(slot at, const hold& x, int sign) {
  cpu_free_[at] -= sign * x.need.cpu_milli;
  memory_free_[at] -= sign * x.need.memory_bytes;
  disk_free_[at] -= sign * x.need.disk_bytes;
  guests_[at] += static_cast<std::uint32_t>(sign);
  if (sign < 0 && x.priority == least_[at])
    refresh_least(at);
  else if (sign > 0 && x.reservation.empty())
    least_[at] = std::min(least_[at], x.priority);
  const auto share = x.need.gpu_milli < 1000 ? x.need.gpu_milli : 1000;
  for (const auto device : x.gpus)
    if (device < gpu_free_[at].size())
      gpu_free_[at][device] -= sign * share;
  if (!x.gpus.empty())
    refresh_gpus(at);
  for (const auto& [name, count] : x.need.extra)
    extra_column(name)[at] -= sign * count;
  count_present(at, x, sign);
  note_change(at);
}

void cluster::count_present(slot at, const hold& x, int sign) {
  const auto count = [&](const std::string& who) {
    const auto found = present_.try_emplace(who).first;
    found->second.add(at, sign);
    if (found->second.empty())
      present_.erase(found);
  };
  count(x.workload);
  for (const auto& label : x.labels)
    count(presence_of(label));
  for (const auto& claim : x.claims)
    count(claim);
  for (const auto& other : x.apart)
    if (!other.prefer) {
      apart_over_.insert(other.over);
      count(refusal_of(other.who, other.over));
    }
}

void cluster::presence::add(slot at, int sign) {
  const auto found = std::ranges::lower_bound(counts_, at, {}, &std::pair<slot, std::uint32_t>::first);
  if (found == counts_.end() || found->first != at)
    counts_.emplace(found, at, static_cast<std::uint32_t>(sign));
  // Unsigned on purpose: adding -1 wraps around to taking one away.
  else if ((found->second += static_cast<std::uint32_t>(sign)) == 0)
    counts_.erase(found);
}

std::uint32_t cluster::presence::count(slot at) const {
  const auto found = std::ranges::lower_bound(counts_, at, {}, &std::pair<slot, std::uint32_t>::first);
  return found == counts_.end() || found->first != at ? 0 : found->second;
}

void cluster::refresh_gpus(slot at) {
  gpu_whole_[at] = gpu_share_[at] = gpu_sum_[at] = 0;
  for (const auto free : gpu_free_[at]) {
    gpu_whole_[at] += free >= 1000;
    gpu_share_[at] = std::max(gpu_share_[at], free);
    gpu_sum_[at] += free;
  }
}

amount cluster::free_on(const std::string& name) const {
  const auto found = slots_.find(name);
  if (found == slots_.end())
    return {};
  const auto at = found->second;
  auto left = amount{cpu_free_[at],
                     memory_free_[at],
                     disk_free_[at],
                     gpu_sum_[at],
                     shapes_[at].capacity.gpu_model,
                     shapes_[at].capacity.extra};
  for (const auto& [what, free] : extra_free_)
    if (free[at] != 0 || left.extra.contains(what))
      left.extra[what] = free[at];
  return left;
}

std::vector<std::int64_t> cluster::gpus_on(const std::string& name) const {
  const auto found = slots_.find(name);
  return found == slots_.end() ? std::vector<std::int64_t>{} : gpu_free_[found->second];
}

void cluster::rank_names() const {
  if (ranked_)
    return;
  rank_.assign(shapes_.size(), 0);
  auto next = std::uint32_t{0};
  auto last = slot{0};
  in_order_ = true;
  for (const auto& [name, at] : slots_) {
    in_order_ = in_order_ && at >= last;
    last = at;
    rank_[at] = next++;
  }
  ranked_ = true;
}

const cluster::domain_column& cluster::domains_of(const std::string& key) const {
  const auto [found, fresh] = domains_.try_emplace(key);
  auto& column = found->second;
  if (!fresh)
    return column;
  auto numbers = std::map<std::string, std::int32_t>{};
  column.of.assign(shapes_.size(), -1);
  for (const auto& [name, at] : slots_)
    if (const auto label = shapes_[at].labels.find(key); label != shapes_[at].labels.end())
      column.of[at] = numbers.try_emplace(label->second, static_cast<std::int32_t>(numbers.size())).first->second;
  column.count = numbers.size();
  // Chosen: more are no zones but single machines.
  constexpr auto members_max = std::size_t{64};
  if (column.count > members_max)
    return column;
  column.members.assign(column.count, mask((shapes_.size() + 63) / 64, 0));
  for (auto at = std::size_t{0}; at < column.of.size(); ++at)
    if (column.of[at] >= 0)
      set_bit(column.members[static_cast<std::size_t>(column.of[at])], at, true);
  return column;
}

} // namespace novacron::scheduler
