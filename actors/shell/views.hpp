#pragma once

/// What each noun looks like as a table or a page for people.

#include "actors/shell/output.hpp"
#include "messages/wire/agent.pb.h"
#include "messages/wire/http.pb.h"
#include "messages/wire/ledger.pb.h"
#include "messages/wire/node.pb.h"
#include "messages/wire/observer.pb.h"
#include "messages/wire/scheduler.pb.h"
#include "messages/wire/trust.pb.h"

#include <cstdint>
#include <utility>

namespace novacron::shell {

void read_into(const std::string& json, google::protobuf::Message& x);
/// The JSON of an answer as a message. Fields that we do not know are passed over, since the fabric may be newer
/// than this program. Throws `failure` for what is no such message.
template <class Message>
Message read(const std::string& json) {
  auto x = Message{};
  read_into(json, x);
  return x;
}

/// As the fabric writes it: names as in the .proto file, empty fields included.
std::string json_of(const google::protobuf::Message& x);

/// PHASE_RUNNING -> "running", WORKLOAD_KIND_VM -> "vm"; "" for the unspecified one.
std::string word(v1::Phase x);
std::string word(v1::WorkloadKind x);

/// `now` is the wall clock in milliseconds, from which ages are counted.
table node_table(const v1::NodeList& x, std::int64_t now);
table link_table(const v1::LinkList& x);
table workload_table(const v1::WorkloadList& x, std::int64_t now);
table instance_table(const google::protobuf::RepeatedPtrField<v1::InstanceStatus>& x, std::int64_t now);
table image_table(const v1::ImageList& x, std::int64_t now);
table template_table(const v1::TemplateList& x, std::int64_t now);
/// As a tree children stand below their parents, indented.
table actor_table(const v1::ActorList& x, bool as_tree);
table token_table(const v1::TokenList& x, std::int64_t now);
table member_table(const v1::LedgerStatus& x);
table operation_table(const v1::OperationList& x, std::int64_t now);
table plan_table(const v1::Plan& x);
table event_table(const google::protobuf::RepeatedPtrField<v1::Event>& x);
/// From {records: [{key, revision, type, value}]}.
table record_table(const std::string& json);

using lines = std::vector<std::pair<std::string, std::string>>;
lines node_page(const v1::NodeView& x, std::int64_t now);
lines workload_page(const v1::WorkloadView& x, std::int64_t now);
lines instance_page(const v1::InstanceStatus& x, std::int64_t now);
lines actor_page(const v1::ActorView& x);
lines ledger_page(const v1::LedgerStatus& x);
lines operation_page(const v1::Operation& x, std::int64_t now);
/// Prints names and values below each other; empty values are left out.
void print(std::ostream& out, const lines& x, const output_options& options);

/// Why the instances of a workload are where they are.
void print(std::ostream& out, const v1::Converted& x);
void print(std::ostream& out, const v1::Explanation& x, const output_options& options);

/// One line for an event or a traced message.
std::string event_line(const v1::Event& x, bool color);
std::string trace_line(const v1::TracedMessage& x);

} // namespace novacron::shell
