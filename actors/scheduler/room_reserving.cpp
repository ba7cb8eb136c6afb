#include "actors/scheduler/reconcile_round.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace novacron::scheduler {

/// In room that is kept for it where there is some, else wherever there is some.
std::optional<decision> reconciler::place(const request& wanted) {
  return place_reserved(cluster_, reserved_, wanted);
}

void reconciler::heed_reservation(const std::string& name) {
  const auto found = truth_.reservations.find(name);
  if (found == truth_.reservations.end()) {
    reserved_.set(name, std::nullopt);
  } else {
    const auto& x = found->second.value;
    reserved_.set(name, reservation{x.tenant(), to_amount(x.resources()), {x.nodes().begin(), x.nodes().end()}});
  }
  hold_reserved_room();
  capacity_ = places_due_ = true;
}

void reconciler::hold_reserved_room() {
  for (const auto& node : reserved_.take_changed())
    hold_reserved(cluster_, reserved_, node);
}

/// What is there takes room that is kept for its workload, as it wants it now.
void reconciler::draw(const std::string& key, const wire::WorkloadRecord* record, const wire::WorkloadSpec& spec,
                      const std::string& node) {
  const auto& now = record ? record->spec() : spec;
  auto x = request{};
  x.tenant = now.tenant();
  x.reservation = now.placement().reservation();
  if (!x.tenant.empty() || !x.reservation.empty())
    x.need = to_amount(spec.resources());
  reserved_.draw(key, node, x);
  reserved_.heed(node);
}

/// Ends what is over, and finds nodes for the places of what has begun.
void reconciler::settle_reservations(round& r) {
  now_ms_ = r.now_ms;
  hold_reserved_room();
  if (!places_due_ && !(next_reservation_ && r.now >= *next_reservation_))
    return;
  places_due_ = false;
  next_reservation_.reset();
  const auto wake_at = [&](std::int64_t ms) {
    const auto at = r.now + std::chrono::milliseconds{ms - r.now_ms};
    next_reservation_ = next_reservation_ ? std::min(*next_reservation_, at) : at;
  };
  for (const auto& [name, kept] : truth_.reservations) {
    const auto& x = kept.value;
    if (x.until_ms() != 0 && r.now_ms >= x.until_ms()) {
      remove(r, "reservation/" + name);
      continue;
    }
    if (x.until_ms() != 0)
      wake_at(x.until_ms());
    if (r.now_ms < x.from_ms()) {
      wake_at(x.from_ms());
      continue;
    }
    auto nodes = places_for(x);
    if (std::ranges::equal(nodes, x.nodes()))
      continue;
    auto next = x;
    next.mutable_nodes()->Assign(nodes.begin(), nodes.end());
    r.put("reservation/" + name, next, kept.revision);
    // The next one must not choose the same room.
    reserved_.set(name, reservation{x.tenant(), to_amount(x.resources()), std::move(nodes)});
    hold_reserved_room();
  }
}

/// The nodes where the places of a reservation are, those that cannot stay where they are somewhere else; fewer where
/// not even the empty cluster has as many.
std::vector<std::string> reconciler::places_for(const wire::Reservation& x) const {
  auto nodes = names{};
  for (const auto& node : x.nodes()) {
    const auto* seen = sight_.find(node);
    const auto record = truth_.nodes.find(node);
    if (record != truth_.nodes.end() && !record->second.value.drained() && !(seen && seen->lost) &&
        nodes.size() < x.places())
      nodes.push_back(node);
  }
  if (nodes.size() == x.places())
    return nodes;
  auto wanted = request{};
  wanted.need = to_amount(x.resources());
  wanted.require = {x.require().begin(), x.require().end()};
  for (auto& node : choose_nodes(wanted, x.places() - nodes.size()))
    nodes.push_back(std::move(node));
  return nodes;
}

/// What a node has for a request when nobody is there: without what is kept for others.
amount reconciler::open_capacity(const std::string& node, const request& wanted) const {
  auto all = cluster_.find_node(node)->capacity;
  if (!reserved_.empty())
    change(all, reserved_.closed_on(node, wanted), -1);
  return all;
}

// -- what people see ---------------------------------------------------------------------------

wire::ReservationView reconciler::view(const wire::Reservation& x) const {
  auto shown = wire::ReservationView{};
  *shown.mutable_reservation() = x;
  shown.set_state("kept");
  if (x.from_ms() > now_ms_) {
    shown.set_state("waits");
    shown.set_reason("it has not begun");
    return shown;
  }
  if (!x.nodes().empty())
    *shown.mutable_taken() = to_resources(reserved_.taken_of(x.name()));
  auto busy = names{};
  for (const auto& node : reserved_.nodes_of({x.name()})) {
    const auto free = cluster_.free_on(node);
    if (free.cpu_milli < 0 || free.memory_bytes < 0 || free.disk_bytes < 0 ||
        std::ranges::any_of(cluster_.gpus_on(node), [](auto each) { return each < 0; }) ||
        std::ranges::any_of(free.extra, [](const auto& each) { return each.second < 0; }))
      busy.push_back(node);
  }
  const auto missing = static_cast<int>(x.places()) - x.nodes_size();
  if (missing <= 0 && busy.empty())
    return shown;
  shown.set_state("short");
  shown.set_reason(missing > 0 ? fmt::format("no node could hold {} of the {} places", missing, x.places())
                               : fmt::format("others still have some of the room on {}", fmt::join(busy, ", ")));
  return shown;
}

wire::ReservationList reconciler::list_reservations() const {
  auto list = wire::ReservationList{};
  list.set_index(truth_.index);
  for (const auto& [name, x] : truth_.reservations)
    *list.add_reservations() = view(x.value);
  return list;
}

} // namespace novacron::scheduler
