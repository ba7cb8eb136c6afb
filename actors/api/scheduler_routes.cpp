/// What one says about how workloads are placed: policies, quotas, room that is kept, moves to better places.

#include "actors/api/route.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace novacron::api {
namespace {

response list_policies(const call& c) {
  return c.relay<wire::PolicyList>("scheduler", wire::PolicyListRequest{});
}

response set_policy(const call& c) {
  const auto wanted = c.body<wire::PolicyOrder>();
  if (!wanted)
    return problem(wanted.error());
  auto order = wire::SetPolicy{};
  c.sign(*order.mutable_order());
  order.mutable_policy()->set_name(c.name("policy"));
  *order.mutable_policy()->mutable_weights() = wanted->weights();
  if (wanted->has_training())
    *order.mutable_policy()->mutable_training() = wanted->training();
  order.set_only_define(wanted->only_define());
  return c.relay<wire::Done>("scheduler", order);
}

response delete_policy(const call& c) {
  auto order = wire::SetPolicy{};
  c.sign(*order.mutable_order());
  order.mutable_policy()->set_name(c.name("policy"));
  order.set_removed(true);
  return c.relay<wire::Done>("scheduler", order);
}

response list_quotas(const call& c) {
  auto list = c.ask<wire::QuotaList>("scheduler", wire::QuotaListRequest{});
  if (!list)
    return problem(list.error());
  const auto key = [](const wire::QuotaView& x) { return x.quota().tenant(); };
  const auto next =
      keep_page(*list->mutable_quotas(), key, static_cast<std::size_t>(c.number("limit")), c.text("page_token"));
  auto out = json(*list);
  link_next(out, c, next);
  return out;
}

response set_quota(const call& c) {
  auto wanted = c.body<wire::Quota>();
  if (!wanted)
    return problem(wanted.error());
  if (!wanted->tenant().empty() && wanted->tenant() != c.name("tenant"))
    return problem(400, "the path says " + c.name("tenant") + " and the body says " + wanted->tenant(), "bad_request");
  auto order = wire::SetQuota{};
  c.sign(*order.mutable_order());
  *order.mutable_quota() = std::move(*wanted);
  order.mutable_quota()->set_tenant(c.name("tenant"));
  return c.relay<wire::Done>("scheduler", order);
}

response delete_quota(const call& c) {
  auto order = wire::SetQuota{};
  c.sign(*order.mutable_order());
  order.mutable_quota()->set_tenant(c.name("tenant"));
  order.set_removed(true);
  return c.relay<wire::Done>("scheduler", order);
}

response list_reservations(const call& c) {
  auto list = c.ask<wire::ReservationList>("scheduler", wire::ReservationListRequest{});
  if (!list)
    return problem(list.error());
  const auto key = [](const wire::ReservationView& x) { return x.reservation().name(); };
  const auto next =
      keep_page(*list->mutable_reservations(), key, static_cast<std::size_t>(c.number("limit")), c.text("page_token"));
  auto out = json(*list);
  link_next(out, c, next);
  return out;
}

response set_reservation(const call& c) {
  auto wanted = c.body<wire::ReservationOrder>();
  if (!wanted)
    return problem(wanted.error());
  auto order = wire::SetReservation{};
  c.sign(*order.mutable_order());
  auto& x = *order.mutable_reservation();
  x.set_name(c.name("reservation"));
  *x.mutable_resources() = std::move(*wanted->mutable_resources());
  x.set_places(wanted->places());
  x.set_tenant(wanted->tenant());
  *x.mutable_require() = wanted->require();
  order.set_begins_in_ms(wanted->begins_in_ms());
  order.set_lasts_ms(wanted->lasts_ms());
  return c.relay<wire::Done>("scheduler", order);
}

response delete_reservation(const call& c) {
  auto order = wire::SetReservation{};
  c.sign(*order.mutable_order());
  order.mutable_reservation()->set_name(c.name("reservation"));
  order.set_removed(true);
  return c.relay<wire::Done>("scheduler", order);
}

response rebalance(const call& c) {
  const auto wanted = c.body<wire::RebalanceOrder>();
  if (!wanted)
    return problem(wanted.error());
  auto order = wire::Rebalance{};
  c.sign(*order.mutable_order());
  order.set_dry_run(wanted->dry_run());
  order.set_max_moves(wanted->max_moves());
  order.set_policy(wanted->policy());
  if (wanted->has_every_ms())
    order.set_every_ms(wanted->every_ms());
  return c.relay<wire::Plan>("scheduler", order);
}

} // namespace

std::vector<route> scheduler_routes() {
  return {
      {.method = "GET",
       .pattern = "/v1/policies",
       .title = "listPolicies",
       .help = "The policies of placement with their weights, and what holds for the whole cluster.",
       .answer = &wire::PolicyList::descriptor,
       .run = list_policies},
      {.method = "PUT",
       .pattern = "/v1/policies/{policy}",
       .title = "setPolicy",
       .help = "Makes a policy the cluster's default; with weights it is written down first.",
       .body = &wire::PolicyOrder::descriptor,
       .answer = &wire::Done::descriptor,
       .order = true,
       .patience = std::chrono::seconds{10},
       .run = set_policy},
      {.method = "DELETE",
       .pattern = "/v1/policies/{policy}",
       .title = "deletePolicy",
       .help = "Forgets a policy that was written down and is not the default.",
       .answer = &wire::Done::descriptor,
       .order = true,
       .patience = std::chrono::seconds{10},
       .run = delete_policy},
      {.method = "GET",
       .pattern = "/v1/quotas",
       .title = "listQuotas",
       .help = "What each tenant may have, and has.",
       .answer = &wire::QuotaList::descriptor,
       .query = {limit_parameter, page_parameter},
       .run = list_quotas},
      {.method = "PUT",
       .pattern = "/v1/quotas/{tenant}",
       .title = "setQuota",
       .help = "Sets what a tenant may have at most; what it has already stays.",
       .body = &wire::Quota::descriptor,
       .answer = &wire::Done::descriptor,
       .order = true,
       .patience = std::chrono::seconds{10},
       .run = set_quota},
      {.method = "DELETE",
       .pattern = "/v1/quotas/{tenant}",
       .title = "deleteQuota",
       .help = "Takes a tenant's quota back.",
       .answer = &wire::Done::descriptor,
       .order = true,
       .patience = std::chrono::seconds{10},
       .run = delete_quota},
      {.method = "GET",
       .pattern = "/v1/reservations",
       .title = "listReservations",
       .help = "The room that is kept for some workloads, where it is, and what they have of it.",
       .answer = &wire::ReservationList::descriptor,
       .query = {limit_parameter, page_parameter},
       .run = list_reservations},
      {.method = "PUT",
       .pattern = "/v1/reservations/{reservation}",
       .title = "setReservation",
       .help = "Keeps room from now or later on; what runs there stays, what becomes free is kept.",
       .body = &wire::ReservationOrder::descriptor,
       .answer = &wire::Done::descriptor,
       .order = true,
       .patience = std::chrono::seconds{10},
       .run = set_reservation},
      {.method = "DELETE",
       .pattern = "/v1/reservations/{reservation}",
       .title = "deleteReservation",
       .help = "Keeps room no more; what runs there stays.",
       .answer = &wire::Done::descriptor,
       .order = true,
       .patience = std::chrono::seconds{10},
       .run = delete_reservation},
      {.method = "POST",
       .pattern = "/v1/scheduler:rebalance",
       .title = "rebalance",
       .help = "Moves instances to where they are clearly better off, a few at a time; answers what moves, or would.",
       .body = &wire::RebalanceOrder::descriptor,
       .answer = &wire::Plan::descriptor,
       .order = true,
       .patience = std::chrono::seconds{30},
       .run = rebalance},
  };
}

} // namespace novacron::api
