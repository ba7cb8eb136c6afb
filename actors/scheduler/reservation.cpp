#include "actors/scheduler/reservation.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <tuple>

namespace novacron::scheduler {
namespace {

// No instance is called so.
std::string whole_key(const std::string& name, const std::string& node) {
  return "reserved/" + name + "/" + node;
}
std::string share_key(const std::string& name, const std::string& node) {
  return whole_key(name, node) + "/share";
}

amount common(const amount& x, const amount& y) {
  auto z = amount{};
  z.cpu_milli = std::max<std::int64_t>(0, std::min(x.cpu_milli, y.cpu_milli));
  z.memory_bytes = std::max<std::int64_t>(0, std::min(x.memory_bytes, y.memory_bytes));
  z.disk_bytes = std::max<std::int64_t>(0, std::min(x.disk_bytes, y.disk_bytes));
  z.gpu_milli = std::max<std::int64_t>(0, std::min(x.gpu_milli, y.gpu_milli));
  for (const auto& [name, count] : x.extra)
    if (const auto found = y.extra.find(name); found != y.extra.end())
      z.extra[name] = std::max<std::int64_t>(0, std::min(count, found->second));
  return z;
}

bool nothing(const amount& x) {
  return x.cpu_milli <= 0 && x.memory_bytes <= 0 && x.disk_bytes <= 0 && x.gpu_milli <= 0 &&
         std::ranges::all_of(x.extra, [](const auto& each) { return each.second <= 0; });
}

/// The devices of which most is free, beginning at `from` in that order.
std::vector<std::uint32_t> freest(const std::vector<std::int64_t>& devices, std::size_t from, std::size_t count) {
  auto order = std::vector<std::uint32_t>(devices.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, std::greater{}, [&](std::uint32_t each) { return devices[each]; });
  order.erase(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(std::min(from, order.size())));
  order.resize(std::min(order.size(), count));
  return order;
}

} // namespace

bool fits_empty(const amount& capacity, const amount& need) {
  return capacity.cpu_milli >= need.cpu_milli && capacity.memory_bytes >= need.memory_bytes &&
         capacity.disk_bytes >= need.disk_bytes && capacity.gpu_milli >= need.gpu_milli &&
         std::ranges::all_of(need.extra, [&](const auto& x) {
           const auto found = capacity.extra.find(x.first);
           return found != capacity.extra.end() && found->second >= x.second;
         });
}

void change(amount& x, const amount& by, int sign) {
  x.cpu_milli += sign * by.cpu_milli;
  x.memory_bytes += sign * by.memory_bytes;
  x.disk_bytes += sign * by.disk_bytes;
  x.gpu_milli += sign * by.gpu_milli;
  for (const auto& [name, count] : by.extra)
    x.extra[name] += sign * count;
}

// -- what there is -----------------------------------------------------------------------------

void reservations::set(const std::string& name, std::optional<reservation> what) {
  if (const auto former = all_.find(name); former != all_.end()) {
    for (const auto& node : former->second.nodes) {
      changed_.insert(node);
      on_node_[node].erase(name);
    }
    all_.erase(former);
  }
  if (!what)
    return;
  for (const auto& node : what->nodes) {
    changed_.insert(node);
    on_node_[node].insert(name);
  }
  all_.emplace(name, std::move(*what));
}

std::vector<std::string> reservations::open_to(const request& x) const {
  auto names = std::vector<std::string>{};
  if (!x.reservation.empty()) {
    const auto found = all_.find(x.reservation);
    if (found != all_.end() && (found->second.tenant.empty() || found->second.tenant == x.tenant))
      names.push_back(x.reservation);
  } else if (!x.tenant.empty()) {
    for (const auto& [name, each] : all_)
      if (each.tenant == x.tenant)
        names.push_back(name);
  }
  return names;
}

std::vector<std::string> reservations::nodes_of(const std::vector<std::string>& names) const {
  auto nodes = std::set<std::string>{};
  for (const auto& name : names)
    if (const auto found = all_.find(name); found != all_.end())
      nodes.insert(found->second.nodes.begin(), found->second.nodes.end());
  return {nodes.begin(), nodes.end()};
}

void reservations::heed(const std::string& node) {
  if (const auto there = on_node_.find(node); there != on_node_.end() && !there->second.empty())
    changed_.insert(node);
}

// -- who takes of it ---------------------------------------------------------------------------

reservations::claim reservations::claim_of(const request& x) {
  return {x.reservation, x.tenant};
}

void reservations::draw(const std::string& key, const std::string& node, const request& x) {
  undraw(key);
  if (x.reservation.empty() && x.tenant.empty())
    return;
  drafts_[key] = {node, claim_of(x), x.need};
  change(drawn_[node][claim_of(x)], x.need, 1);
  heed(node);
}

void reservations::undraw(const std::string& key) {
  const auto found = drafts_.extract(key);
  if (!found)
    return;
  const auto& [node, who, need] = found.mapped();
  auto& there = drawn_[node];
  change(there[who], need, -1);
  if (nothing(there[who]))
    there.erase(who);
  if (there.empty())
    drawn_.erase(node);
  heed(node);
}

bool reservations::draws(const std::string& key) const {
  const auto found = drafts_.find(key);
  if (found == drafts_.end())
    return false;
  auto x = request{};
  std::tie(x.reservation, x.tenant) = found->second.who;
  return std::ranges::any_of(open_to(x), [&](const std::string& name) {
    return std::ranges::find(all_.at(name).nodes, found->second.node) != all_.at(name).nodes.end();
  });
}

std::map<std::string, amount> reservations::places_on(const std::string& node) const {
  auto found = std::map<std::string, amount>{};
  const auto there = on_node_.find(node);
  if (there == on_node_.end())
    return found;
  for (const auto& name : there->second)
    for (const auto& each : all_.at(name).nodes)
      if (each == node)
        change(found[name], all_.at(name).place, 1);
  return found;
}

std::map<std::string, amount> reservations::kept_on(const std::string& node) const {
  auto kept = places_on(node);
  const auto there = drawn_.find(node);
  if (there == drawn_.end())
    return kept;
  // First those that can draw on one only, then those that find room in several.
  for (const auto named : {true, false})
    for (const auto& [who, total] : there->second) {
      if (who.first.empty() == named)
        continue;
      auto x = request{};
      std::tie(x.reservation, x.tenant) = who;
      auto left = total;
      for (const auto& name : open_to(x))
        if (const auto room = kept.find(name); room != kept.end()) {
          const auto part = common(left, room->second);
          change(room->second, part, -1);
          change(left, part, -1);
        }
    }
  return kept;
}

amount reservations::taken_of(const std::string& name) const {
  auto taken = amount{};
  for (const auto& node : nodes_of({name})) {
    change(taken, places_on(node).at(name), 1);
    change(taken, kept_on(node).at(name), -1);
  }
  return taken;
}

amount reservations::closed_on(const std::string& node, const request& x) const {
  auto sum = amount{};
  const auto open = open_to(x);
  for (const auto& [name, places] : places_on(node))
    if (std::ranges::find(open, name) == open.end())
      change(sum, places, 1);
  return sum;
}

// -- in the cluster ----------------------------------------------------------------------------

void hold_reserved(cluster& all, const reservations& kept, const std::string& node) {
  all.release_reserved(node);
  for (const auto& [name, left] : kept.kept_on(node)) {
    if (nothing(left))
      continue;
    const auto devices = all.gpus_on(node);
    const auto whole = static_cast<std::size_t>(left.gpu_milli / 1000);
    auto x = hold{};
    x.node = node;
    x.need = left;
    x.need.gpu_model.clear();
    x.need.gpu_milli = left.gpu_milli / 1000 * 1000;
    x.gpus = freest(devices, 0, whole);
    x.reservation = name;
    if (const auto share = left.gpu_milli % 1000; share > 0) {
      auto part = hold{};
      part.node = node;
      part.need.gpu_milli = share;
      part.gpus = freest(devices, whole, 1);
      part.reservation = name;
      all.take(share_key(name, node), std::move(part));
    }
    all.take(whole_key(name, node), std::move(x));
  }
}

void lift_reserved(cluster& all, const reservations& kept, const std::vector<std::string>& names) {
  for (const auto& name : names)
    for (const auto& node : kept.nodes_of({name}))
      for (const auto& key : {whole_key(name, node), share_key(name, node)})
        all.release(key);
}

std::optional<decision> place_reserved(cluster& all, const reservations& kept, const request& x) {
  if (const auto names = kept.empty() ? std::vector<std::string>{} : kept.open_to(x); !names.empty()) {
    auto there = x;
    there.where.push_back({"node", label_rule::relation::in, kept.nodes_of(names)});
    lift_reserved(all, kept, names);
    auto where = there.where.back().values.empty() ? std::nullopt : all.place(there);
    for (const auto& node : there.where.back().values)
      hold_reserved(all, kept, node);
    if (where)
      return where;
  }
  return all.place(x);
}

} // namespace novacron::scheduler
