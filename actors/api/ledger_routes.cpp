/// What one asks of the ledger and of the authority.

#include "actors/api/route.hpp"

#include <google/protobuf/util/json_util.h>

#include <memory>

namespace novacron::api {
namespace {

using kind = parameter::kind;

/// The message that a record is, by the first part of its key; null for those that are not shown.
std::unique_ptr<google::protobuf::Message> record_of(std::string_view key) {
  const auto first = key.substr(0, key.find('/'));
  if (first == "workload")
    return std::make_unique<wire::WorkloadRecord>();
  if (first == "instance")
    return std::make_unique<wire::Instance>();
  if (first == "node")
    return std::make_unique<wire::NodeRecord>();
  if (first == "quota")
    return std::make_unique<wire::Quota>();
  if (first == "policy")
    return std::make_unique<wire::Policy>();
  if (first == "reservation")
    return std::make_unique<wire::Reservation>();
  if (first == "migration")
    return std::make_unique<wire::Migration>();
  if (first == "setting")
    return std::make_unique<wire::SchedulerSettings>();
  if (first == "token")
    return std::make_unique<wire::TokenRecord>();
  if (first == "deny")
    return std::make_unique<wire::DenyList>();
  return nullptr;
}

void show(const wire::LedgerEntry& from, wire::RecordView& into) {
  into.set_key(from.key());
  into.set_revision(from.revision());
  into.set_bytes(from.value().size());
  const auto record = record_of(from.key());
  if (!record || !record->ParseFromString(from.value()))
    return;
  if (auto* token = dynamic_cast<wire::TokenRecord*>(record.get()))
    token->clear_hash();
  if (auto* instance = dynamic_cast<wire::Instance*>(record.get()); instance && instance->has_move())
    instance->mutable_move()->clear_token();
  into.set_type(record->GetDescriptor()->name());
  if (!from_json(to_json(*record), *into.mutable_value()).empty())
    into.clear_value();
}

response list_records(const call& c) {
  auto question = wire::LedgerRead{};
  question.set_prefix(c.text("prefix"));
  question.set_linearizable(c.flag("linearizable"));
  const auto entries = c.ask<wire::LedgerEntries>("ledger", question);
  if (!entries)
    return problem(entries.error());
  auto all = wire::RecordList{};
  all.set_index(entries->index());
  for (const auto& entry : entries->entries())
    show(entry, *all.add_records());
  const auto key = [](const wire::RecordView& x) { return x.key(); };
  const auto next = keep_page(*all.mutable_records(), key, static_cast<std::size_t>(c.number("limit")), c.text("page_token"));
  auto out = json(all);
  link_next(out, c, next);
  return out;
}

response show_ledger(const call& c) { return c.relay<wire::LedgerStatus>("ledger", wire::LedgerStatusRequest{}); }

response add_member(const call& c) {
  const auto order = c.body<wire::LedgerAdd>();
  if (!order)
    return problem(order.error());
  if (!is_name(order->node()) || order->address().empty())
    return problem(400, "a member has a node and an address", "bad_request");
  return c.relay<wire::LedgerApplied>("ledger", *order);
}

response remove_member(const call& c) {
  auto order = wire::LedgerRemove{};
  order.set_node(c.name("node"));
  return c.relay<wire::LedgerApplied>("ledger", order);
}

response snapshot(const call& c) { return c.relay<wire::LedgerApplied>("ledger", wire::LedgerSnapshotRequest{}); }

template <class Order>
response with_file(const call& c) {
  const auto order = c.body<Order>();
  if (!order)
    return problem(order.error());
  if (!order->path().starts_with('/'))
    return problem(400, "the path must be absolute: it is on the node, not with you", "bad_request");
  return c.relay<wire::LedgerApplied>("ledger", *order);
}

response create_token(const call& c) {
  const auto order = c.body<wire::TokenCreate>();
  return order ? c.relay<wire::JoinToken>("authority", *order) : problem(order.error());
}

response list_tokens(const call& c) {
  auto list = c.ask<wire::TokenList>("authority", wire::TokenListRequest{});
  if (!list)
    return problem(list.error());
  for (auto& token : *list->mutable_tokens())
    token.clear_hash();
  return json(*list);
}

response join(const call& c) {
  const auto order = c.body<wire::CertificateRequest>();
  if (!order)
    return problem(order.error());
  // Without a token it would be a renewal, which only an authenticated link may ask for.
  if (order->token().empty())
    return problem(403, "joining needs a token", "denied");
  return c.relay<wire::Certificate>("authority", *order);
}

response revoke(const call& c) {
  const auto order = c.body<wire::CertificateRevoke>();
  if (!order)
    return problem(order.error());
  if (order->serial().empty())
    return problem(400, "which serial?", "bad_request");
  return c.relay<wire::Done>("authority", *order);
}

} // namespace

std::vector<route> ledger_routes() {
  constexpr auto long_time = std::chrono::seconds{60};
  return {
      {.method = "GET", .pattern = "/v1/ledger", .title = "showLedger", .help = "How the ledger does, and its members.",
       .answer = &wire::LedgerStatus::descriptor, .run = show_ledger},
      {.method = "GET", .pattern = "/v1/ledger/records", .title = "listRecords",
       .help = "The records of the ledger, decoded; secrets are left out.", .answer = &wire::RecordList::descriptor,
       .query = {{"prefix", kind::text, "Only keys that begin so."},
                 {"linearizable", kind::flag, "Ask the majority, not only the node that is asked."},
                 limit_parameter,
                 page_parameter},
       .run = list_records},
      {.method = "POST", .pattern = "/v1/ledger/members", .title = "addMember", .help = "Adds a voter.",
       .body = &wire::LedgerAdd::descriptor, .answer = &wire::LedgerApplied::descriptor, .patience = long_time,
       .run = add_member},
      {.method = "DELETE", .pattern = "/v1/ledger/members/{node}", .title = "removeMember", .help = "Removes a voter.",
       .answer = &wire::LedgerApplied::descriptor, .patience = long_time, .run = remove_member},
      {.method = "POST", .pattern = "/v1/ledger:snapshot", .title = "snapshotLedger", .help = "Takes a snapshot now.",
       .answer = &wire::LedgerApplied::descriptor, .query = {lasting_parameter}, .order = true, .lasting = true, .patience = long_time, .run = snapshot},
      {.method = "POST", .pattern = "/v1/ledger:backup", .title = "backupLedger",
       .help = "Writes the whole state to a file on the node that is asked.", .body = &wire::LedgerBackup::descriptor,
       .answer = &wire::LedgerApplied::descriptor, .query = {lasting_parameter}, .order = true, .lasting = true, .patience = long_time, .run = with_file<wire::LedgerBackup>},
      {.method = "POST", .pattern = "/v1/ledger:restore", .title = "restoreLedger",
       .help = "Replaces the whole state by that of a file.", .body = &wire::LedgerRestore::descriptor,
       .answer = &wire::LedgerApplied::descriptor, .query = {lasting_parameter}, .order = true, .lasting = true, .patience = long_time, .run = with_file<wire::LedgerRestore>},
      {.method = "POST", .pattern = "/v1/tokens", .title = "createToken", .help = "Makes a token with which one node may join once.",
       .body = &wire::TokenCreate::descriptor, .answer = &wire::JoinToken::descriptor, .run = create_token},
      {.method = "GET", .pattern = "/v1/tokens", .title = "listTokens", .help = "The tokens, without their secrets.",
       .answer = &wire::TokenList::descriptor, .run = list_tokens},
      {.method = "POST", .pattern = "/v1/join", .title = "join",
       .help = "Gives a new node its certificate for its token. Needs no client certificate.",
       .body = &wire::CertificateRequest::descriptor, .answer = &wire::Certificate::descriptor, .open = true,
       .patience = std::chrono::seconds{10}, .run = join},
      {.method = "POST", .pattern = "/v1/certificates:revoke", .title = "revokeCertificate",
       .help = "Puts a certificate on the deny list.", .body = &wire::CertificateRevoke::descriptor,
       .answer = &wire::Done::descriptor, .run = revoke},
  };
}

} // namespace novacron::api
