/// How an instance goes to another node while it runs.

#include "actors/api/route.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace novacron::api {
namespace {

response migrate(const call& c) {
  const auto wanted = c.body<wire::MigrationOrder>();
  if (!wanted)
    return problem(wanted.error());
  auto order = wire::Migrate{};
  c.sign(*order.mutable_order());
  order.set_name(c.name("instance"));
  order.set_node(wanted->node());
  order.set_streams(wanted->streams());
  order.set_codec(wanted->codec());
  order.set_downtime_ms(wanted->downtime_ms());
  order.set_only_check(wanted->only_check());
  return c.relay<wire::Migration>("scheduler", order);
}

response list_migrations(const call& c) {
  const auto state = c.text("state");
  if (!state.empty() && state != "moving" && state != "over")
    return problem(400, "state is " + state + ", but can be moving or over", "bad_request");
  auto list = c.ask<wire::MigrationList>("scheduler", wire::MigrationListRequest{});
  if (!list)
    return problem(list.error());
  if (!state.empty()) {
    auto& all = *list->mutable_migrations();
    all.erase(std::remove_if(all.begin(), all.end(),
                             [&](const auto& x) { return (x.phase() == "moving") != (state == "moving"); }),
              all.end());
  }
  // As they began.
  const auto key = [](const wire::Migration& x) { return fmt::format("{:020}/{}", x.began_ms(), x.name()); };
  const auto next =
      keep_page(*list->mutable_migrations(), key, static_cast<std::size_t>(c.number("limit")), c.text("page_token"));
  auto out = json(*list);
  link_next(out, c, next);
  return out;
}

response show_migration(const call& c) {
  auto question = wire::MigrationListRequest{};
  question.set_name(c.name("migration"));
  const auto list = c.ask<wire::MigrationList>("scheduler", question);
  if (!list)
    return problem(list.error());
  return json(list->migrations(0));
}

response cancel_migration(const call& c) {
  auto order = wire::CancelMigration{};
  c.sign(*order.mutable_order());
  order.set_name(c.name("migration"));
  return c.relay<wire::Done>("scheduler", order);
}

} // namespace

std::vector<route> migration_routes() {
  return {
      {.method = "POST",
       .pattern = "/v1/instances/{instance}:migrate",
       .title = "migrateInstance",
       .help = "Moves a running virtual machine or sandbox to another node without stopping it; answers at once, with "
               "the name under which it can be followed.",
       .body = &wire::MigrationOrder::descriptor,
       .answer = &wire::Migration::descriptor,
       .order = true,
       .patience = std::chrono::seconds{10},
       .run = migrate},
      {.method = "GET",
       .pattern = "/v1/migrations",
       .title = "listMigrations",
       .help = "The moves of running instances: those under way with their progress, and the last hundred.",
       .answer = &wire::MigrationList::descriptor,
       .query = {{"state", parameter::kind::text, "Only those that are `moving`, or that are `over`."},
                 limit_parameter,
                 page_parameter},
       .run = list_migrations},
      {.method = "GET",
       .pattern = "/v1/migrations/{migration}",
       .title = "showMigration",
       .help = "One of them.",
       .answer = &wire::Migration::descriptor,
       .run = show_migration},
      {.method = "POST",
       .pattern = "/v1/migrations/{migration}:cancel",
       .title = "cancelMigration",
       .help = "Ends a move; the instance goes on where it is.",
       .answer = &wire::Done::descriptor,
       .order = true,
       .patience = std::chrono::seconds{10},
       .run = cancel_migration},
  };
}

} // namespace novacron::api
