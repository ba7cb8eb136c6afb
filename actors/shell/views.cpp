#include "actors/shell/views.hpp"

#include "actors/shell/failure.hpp"
#include "actors/shell/units.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <ostream>
#include <set>
#include <utility>

namespace novacron::shell {
namespace {

template <class Enum>
std::string last_word(const Enum& name, std::string_view prefix) {
  auto text = std::string{name};
  if (!text.starts_with(prefix) || text.ends_with("_UNSPECIFIED"))
    return {};
  text.erase(0, prefix.size());
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string age(std::int64_t since, std::int64_t now) {
  return since == 0 ? std::string{} : print_age(now - since);
}

template <class Map>
std::string pairs(const Map& labels) {
  const auto sorted = std::map<std::string, std::string>(labels.begin(), labels.end());
  auto parts = std::vector<std::string>{};
  for (const auto& [name, value] : sorted)
    parts.push_back(name + "=" + value);
  return fmt::format("{}", fmt::join(parts, ","));
}

std::string of(const std::string& part, const std::string& whole) {
  return part + "/" + whole;
}

/// "gpu=only:refuse".
std::string taints(const v1::NodeRecord& x) {
  auto text = std::string{};
  for (const auto& t : x.taints())
    text += (text.empty() ? "" : " ") + t.key() + (t.value().empty() ? "" : "=" + t.value()) + ":" + t.effect();
  return text;
}

std::string resources(const v1::Resources& x) {
  auto parts = std::vector<std::string>{};
  if (x.cpu_milli())
    parts.push_back("cpu " + print_milli(x.cpu_milli()));
  if (x.memory_bytes())
    parts.push_back("memory " + print_bytes(x.memory_bytes()));
  if (x.disk_bytes())
    parts.push_back("disk " + print_bytes(x.disk_bytes()));
  if (x.gpu_milli())
    parts.push_back("gpu " + print_milli(x.gpu_milli()) + (x.gpu_model().empty() ? "" : " " + x.gpu_model()));
  for (const auto& [name, count] : std::map<std::string, std::uint64_t>(x.extra().begin(), x.extra().end()))
    parts.push_back(fmt::format("{} {}", name, count));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string number(std::uint64_t x) {
  return x ? std::to_string(x) : std::string{};
}

std::string took(const v1::Operation& x) {
  return x.ended_ms() == 0 ? std::string{} : print_seconds(static_cast<double>(x.ended_ms() - x.started_ms()) / 1e3);
}

void add_below(const std::string& parent, int depth, const std::multimap<std::string, const v1::ActorView*>& children,
               std::set<std::string>& seen, table& out) {
  const auto [first, last] = children.equal_range(parent);
  for (auto at = first; at != last; ++at) {
    const auto& x = *at->second;
    // A loop of parents is no tree; each actor is shown once.
    if (!seen.insert(x.name()).second)
      continue;
    auto row = std::vector{std::string(static_cast<std::size_t>(depth) * 2, ' ') + x.name()};
    if (!x.state().empty())
      row.insert(row.end(), {x.state(), fmt::format("{:.1f}", x.messages_per_second()), std::to_string(x.messages()),
                             std::to_string(x.mailbox()), std::to_string(x.restarts()), x.last_failure(), x.node()});
    out.rows.push_back(std::move(row));
    add_below(x.name(), depth + 1, children, seen, out);
  }
}

} // namespace

void read_into(const std::string& json, google::protobuf::Message& x) {
  auto options = google::protobuf::util::JsonParseOptions{};
  options.ignore_unknown_fields = true;
  if (const auto status = google::protobuf::util::JsonStringToMessage(json, &x, options); !status.ok())
    throw failure{exit_code::failed, fmt::format("the fabric's answer is no {}: {}", x.GetDescriptor()->name(),
                                                 std::string{status.message()})};
}

std::string json_of(const google::protobuf::Message& x) {
  auto options = google::protobuf::util::JsonPrintOptions{};
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  auto text = std::string{};
  if (!google::protobuf::util::MessageToJsonString(x, &text, options).ok())
    throw failure{exit_code::failed, fmt::format("this {} cannot be written as JSON", x.GetDescriptor()->name())};
  return text;
}

std::string word(v1::Phase x) {
  return last_word(v1::Phase_Name(x), "PHASE_");
}
std::string word(v1::WorkloadKind x) {
  return last_word(v1::WorkloadKind_Name(x), "WORKLOAD_KIND_");
}

table node_table(const v1::NodeList& x, std::int64_t now) {
  auto out = table{.columns = {{"NAME"},
                               {"ROLE"},
                               {"STATE"},
                               {"ZONE"},
                               {"INSTANCES", false, true},
                               {"CPU", false, true},
                               {"MEMORY", false, true},
                               {"GPU", false, true},
                               {"REASON"},
                               {"REGION", true},
                               {"VERSION", true},
                               {"HEARD", true},
                               {"JOINED", true},
                               {"LABELS", true}},
                   .rows = {},
                   .noun = "node"};
  for (const auto& n : x.nodes()) {
    const auto& facts = n.record().facts();
    const auto& capacity = facts.capacity();
    const auto gpu =
        capacity.gpu_milli() ? of(print_milli(n.reserved().gpu_milli()), print_milli(capacity.gpu_milli())) : "";
    out.rows.push_back({facts.name(), facts.role(), n.state(), facts.zone(), std::to_string(n.instances()),
                        of(print_milli(n.reserved().cpu_milli()), print_milli(capacity.cpu_milli())),
                        of(print_bytes(n.reserved().memory_bytes()), print_bytes(capacity.memory_bytes())), gpu,
                        n.reason(), facts.region(), facts.version(), age(n.last_heard_ms(), now),
                        age(n.record().joined_ms(), now), pairs(facts.labels())});
  }
  return out;
}

table link_table(const v1::LinkList& x) {
  auto out = table{.columns = {{"PEER"},
                               {"ROLE"},
                               {"STATE"},
                               {"ROUND TRIP", false, true},
                               {"WAITING", false, true},
                               {"RECONNECTS", false, true},
                               {"REASON"},
                               {"ADDRESS", true}},
                   .rows = {},
                   .noun = "link"};
  for (const auto& l : x.links())
    out.rows.push_back({l.peer(), l.role(), l.state(),
                        l.round_trip_seconds() > 0 ? print_seconds(l.round_trip_seconds()) : "",
                        std::to_string(l.outstanding()), std::to_string(l.reconnects()), l.reason(), l.address()});
  return out;
}

table workload_table(const v1::WorkloadList& x, std::int64_t now) {
  auto out = table{.columns = {{"NAME"},
                               {"KIND"},
                               {"PHASE"},
                               {"RUNNING", false, true},
                               {"AGE", false, true},
                               {"REASON"},
                               {"IMAGE", true},
                               {"GENERATION", true, true},
                               {"PRIORITY", true, true},
                               {"LABELS", true}},
                   .rows = {},
                   .noun = "workload"};
  for (const auto& w : x.workloads()) {
    const auto& spec = w.record().spec();
    out.rows.push_back({spec.name(), word(spec.kind()), word(w.phase()),
                        of(std::to_string(w.running()), std::to_string(w.desired())), age(w.record().created_ms(), now),
                        w.reason(), spec.program().image(), std::to_string(w.record().generation()),
                        std::to_string(spec.priority()), pairs(spec.labels())});
  }
  return out;
}

table instance_table(const google::protobuf::RepeatedPtrField<v1::InstanceStatus>& x, std::int64_t now) {
  auto out = table{.columns = {{"NAME"},
                               {"NODE"},
                               {"PHASE"},
                               {"HEALTH"},
                               {"RESTARTS", false, true},
                               {"AGE", false, true},
                               {"ADDRESS"},
                               {"REASON"},
                               {"EPOCH", true, true},
                               {"EXIT", true, true},
                               {"CPU TIME", true, true},
                               {"MEMORY", true, true}},
                   .rows = {},
                   .noun = "instance"};
  for (const auto& i : x) {
    const auto ended =
        i.phase() == v1::PHASE_COMPLETED || i.phase() == v1::PHASE_FAILED || i.phase() == v1::PHASE_STOPPED;
    // A reason that only repeats the phase is none.
    out.rows.push_back({i.name(), i.node(), word(i.phase()), i.health(), std::to_string(i.restarts()),
                        age(i.started_ms(), now), i.address(), i.reason() == word(i.phase()) ? "" : i.reason(),
                        number(i.epoch()), ended ? std::to_string(i.exit_code()) : "",
                        i.cpu_usec() ? print_seconds(static_cast<double>(i.cpu_usec()) / 1e6) : "",
                        i.used().memory_bytes() ? print_bytes(i.used().memory_bytes()) : ""});
  }
  return out;
}

table image_table(const v1::ImageList& x, std::int64_t now) {
  auto out = table{.columns = {{"NAME"}, {"NODE"}, {"SIZE", false, true}, {"AGE", false, true}, {"DIGEST"}},
                   .rows = {},
                   .noun = "image"};
  for (const auto& i : x.images())
    out.rows.push_back({i.name(), i.node(), print_bytes(i.size_bytes()), age(i.imported_ms(), now), i.digest()});
  return out;
}

table template_table(const v1::TemplateList& x, std::int64_t now) {
  auto out = table{.columns = {{"NAME"},
                               {"NODE"},
                               {"KIND"},
                               {"MEMORY", false, true},
                               {"CPUS", false, true},
                               {"NETWORK"},
                               {"TENANT"},
                               {"SIZE", false, true},
                               {"AGE", false, true}},
                   .rows = {},
                   .noun = "template"};
  for (const auto& i : x.templates())
    out.rows.push_back({i.name(), i.node(), word(i.kind()), print_bytes(i.memory_bytes()), std::to_string(i.cpus()),
                        i.network() ? "yes" : "no", i.tenant(), print_bytes(i.size_bytes()), age(i.made_ms(), now)});
  return out;
}

table actor_table(const v1::ActorList& x, bool as_tree) {
  auto out = table{.columns = {{"NAME"},
                               {"STATE"},
                               {"PER SECOND", false, true},
                               {"MESSAGES", false, true},
                               {"MAILBOX", false, true},
                               {"RESTARTS", false, true},
                               {"LAST FAILURE"},
                               {"NODE", true}},
                   .rows = {},
                   .noun = "actor"};
  auto names = std::set<std::string>{};
  for (const auto& a : x.actors())
    names.insert(a.name());
  // Nodes, and groups such as "edge-1/link", are no actors but have some below them.
  auto groups = v1::ActorList{};
  if (as_tree)
    for (const auto& a : x.actors())
      for (auto parent = a.parent(); !parent.empty() && names.insert(parent).second;) {
        auto& group = *groups.add_actors();
        group.set_name(parent);
        group.set_parent(parent.substr(0, parent.find('/') == parent.npos ? 0 : parent.rfind('/')));
        parent = group.parent();
      }
  auto children = std::multimap<std::string, const v1::ActorView*>{};
  for (const v1::ActorList* list : {&std::as_const(groups), &x})
    for (const auto& a : list->actors()) {
      const auto below = as_tree && names.contains(a.parent()) && a.parent() != a.name();
      children.emplace(below ? a.parent() : std::string{}, &a);
    }
  auto seen = std::set<std::string>{};
  add_below("", 0, children, seen, out);
  return out;
}

table token_table(const v1::TokenList& x, std::int64_t now) {
  auto out =
      table{.columns = {{"ID"}, {"NODE"}, {"ROLE"}, {"STATE"}, {"EXPIRES", false, true}}, .rows = {}, .noun = "token"};
  for (const auto& t : x.tokens()) {
    const auto over = t.expires_ms() <= now;
    out.rows.push_back({t.id(), t.name(), t.role(),
                        t.used() ? "used"
                        : over   ? "expired"
                                 : "good",
                        t.used() || over ? "" : "in " + print_age(t.expires_ms() - now)});
  }
  return out;
}

table member_table(const v1::LedgerStatus& x) {
  auto out =
      table{.columns = {{"NODE"}, {"ROLE"}, {"LEADS"}, {"ADDRESS"}, {"ID", true, true}}, .rows = {}, .noun = "node"};
  for (const auto& m : x.members())
    out.rows.push_back({m.node(), m.role(), m.node() == x.leader() ? "yes" : "", m.address(), std::to_string(m.id())});
  return out;
}

table operation_table(const v1::OperationList& x, std::int64_t now) {
  auto out = table{.columns = {{"ID"}, {"WHAT"}, {"STATE"}, {"AGE", false, true}, {"TOOK", false, true}},
                   .rows = {},
                   .noun = "operation"};
  for (const auto& o : x.operations())
    out.rows.push_back({o.id(), o.title(), o.state(), age(o.started_ms(), now), took(o)});
  return out;
}

table plan_table(const v1::Plan& x) {
  auto out = table{.columns = {{"INSTANCE"}, {"ACTION"}, {"NODE"}, {"FROM"}, {"SCORE", false, true}, {"REASON"}},
                   .rows = {},
                   .noun = "instance"};
  for (const auto& s : x.steps())
    out.rows.push_back({s.instance(), s.action(), s.node(), s.from(),
                        s.score() != 0 ? fmt::format("{:.3f}", s.score()) : "", s.reason()});
  return out;
}

table event_table(const google::protobuf::RepeatedPtrField<v1::Event>& x) {
  auto out = table{.columns = {{"NUMBER", false, true},
                               {"TIME"},
                               {"NOUN"},
                               {"NAME"},
                               {"VERB"},
                               {"PHASE"},
                               {"NODE"},
                               {"REASON"},
                               {"EPOCH", true, true}},
                   .rows = {},
                   .noun = "event"};
  for (const auto& e : x)
    out.rows.push_back({std::to_string(e.number()), print_time(e.time_ms()), e.noun(), e.name(), e.verb(),
                        word(e.phase()), e.node(), e.reason(), number(e.epoch())});
  return out;
}

table record_table(const std::string& json) {
  auto out = table{.columns = {{"KEY"}, {"REVISION", false, true}, {"TYPE"}, {"VALUE"}}, .rows = {}, .noun = "record"};
  const auto parsed = nlohmann::ordered_json::parse(json, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("records") || !parsed["records"].is_array())
    throw failure{exit_code::failed, "the fabric's answer holds no records"};
  for (const auto& r : parsed["records"]) {
    const auto cell = [&](const char* name) {
      if (!r.is_object() || !r.contains(name))
        return std::string{};
      return r[name].is_string() ? r[name].get<std::string>()
                                 : r[name].dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    };
    out.rows.push_back({cell("key"), cell("revision"), cell("type"), cell("value")});
  }
  return out;
}

lines node_page(const v1::NodeView& x, std::int64_t now) {
  const auto& facts = x.record().facts();
  return {{"name", facts.name()},
          {"role", facts.role()},
          {"state", x.state()},
          {"reason", x.reason()},
          {"zone", facts.zone()},
          {"region", facts.region()},
          {"labels", pairs(facts.labels())},
          {"taints", taints(x.record())},
          {"version", facts.version()},
          {"capacity", resources(facts.capacity())},
          {"reserved", resources(x.reserved())},
          {"used", resources(x.used())},
          {"instances", std::to_string(x.instances())},
          {"joined", x.record().joined_ms() ? print_time(x.record().joined_ms()) : ""},
          {"heard", x.last_heard_ms() ? age(x.last_heard_ms(), now) + " ago" : ""}};
}

lines workload_page(const v1::WorkloadView& x, std::int64_t now) {
  const auto& spec = x.record().spec();
  return {{"name", spec.name()},
          {"kind", word(spec.kind())},
          {"phase", word(x.phase())},
          {"reason", x.reason()},
          {"running", of(std::to_string(x.running()), std::to_string(x.desired()))},
          {"image", spec.program().image()},
          {"command", fmt::format("{}", fmt::join(spec.program().command(), " "))},
          {"resources", resources(spec.resources())},
          {"priority", spec.priority() ? std::to_string(spec.priority()) : ""},
          {"tenant", spec.tenant()},
          {"labels", pairs(spec.labels())},
          {"generation", std::to_string(x.record().generation())},
          {"revision", x.revision() ? std::to_string(x.revision()) : ""},
          {"age", age(x.record().created_ms(), now)},
          {"stopped", x.record().stopped() ? "yes" : ""},
          {"outcome", word(x.record().outcome())},
          {"outcome reason", x.record().outcome_reason()}};
}

lines instance_page(const v1::InstanceStatus& x, std::int64_t now) {
  return {{"name", x.name()},
          {"node", x.node()},
          {"phase", word(x.phase())},
          {"reason", x.reason()},
          {"health", x.health()},
          {"address", x.address()},
          {"epoch", std::to_string(x.epoch())},
          {"generation", std::to_string(x.generation())},
          {"restarts", std::to_string(x.restarts())},
          {"exit code", std::to_string(x.exit_code())},
          {"started",
           x.started_ms() ? fmt::format("{} ({} ago)", print_time(x.started_ms()), age(x.started_ms(), now)) : ""},
          {"used", resources(x.used())},
          {"cpu time", x.cpu_usec() ? print_seconds(static_cast<double>(x.cpu_usec()) / 1e6) : ""}};
}

lines actor_page(const v1::ActorView& x) {
  return {{"name", x.name()},
          {"node", x.node()},
          {"parent", x.parent()},
          {"state", x.state()},
          {"messages", fmt::format("{} ({:.1f} per second)", x.messages(), x.messages_per_second())},
          {"mailbox", std::to_string(x.mailbox())},
          {"restarts", std::to_string(x.restarts())},
          {"last failure", x.last_failure()},
          {"accepts", fmt::format("{}", fmt::join(x.accepts(), " "))}};
}

lines ledger_page(const v1::LedgerStatus& x) {
  return {{"state", x.state()},
          {"leader", x.leader()},
          {"term", std::to_string(x.term())},
          {"committed", std::to_string(x.committed())},
          {"applied", std::to_string(x.applied())},
          {"records", std::to_string(x.records())},
          {"size", print_bytes(x.bytes())},
          {"members", std::to_string(x.members_size())}};
}

lines operation_page(const v1::Operation& x, std::int64_t now) {
  return {{"id", x.id()},
          {"what", x.title()},
          {"state", x.state()},
          {"started", fmt::format("{} ({} ago)", print_time(x.started_ms()), age(x.started_ms(), now))},
          {"took", took(x)},
          {"status", x.status() ? std::to_string(x.status()) : ""},
          {"result", x.has_result() ? json_of(x.result()) : ""}};
}

void print(std::ostream& out, const lines& x, const output_options& options) {
  auto most = std::size_t{0};
  for (const auto& [name, value] : x)
    most = value.empty() ? most : std::max(most, width(name));
  for (const auto& [name, value] : x)
    if (!value.empty()) {
      const auto text = harmless(value);
      out << fmt::format("{:<{}}  {}\n", name, most, options.color ? colored(text, text) : text);
    }
}

void print(std::ostream& out, const v1::Converted& x) {
  if (x.only_checked())
    out << fmt::format("{} can become a {} on {}; state_preserved={}\n", harmless(x.instance()), word(x.to()),
                       harmless(x.node()), x.state_preserved());
  else
    out << fmt::format("{} is a {} now on {}; it stood still for {}s; state_preserved={}\n", harmless(x.instance()),
                       word(x.to()), harmless(x.node()), print_milli(x.frozen_ms()), x.state_preserved());
  for (const auto& each : x.lost())
    out << "  not taken along: " << harmless(each) << '\n';
}

void print(std::ostream& out, const v1::Explanation& x, const output_options& options) {
  for (const auto& i : x.instances()) {
    out << harmless(i.instance()) << (i.node().empty() ? " is nowhere" : " is on " + harmless(i.node()))
        << (i.summary().empty() ? "" : ": " + harmless(i.summary())) << '\n';
    auto scores = table{.columns = {{"  NODE"}, {"SCORE", false, true}, {"FEATURES"}}, .rows = {}, .noun = {}};
    for (const auto& s : i.scores()) {
      auto features = std::vector<std::string>{};
      for (const auto& [name, value] : std::map<std::string, double>(s.features().begin(), s.features().end()))
        features.push_back(fmt::format("{}={:.3g}", name, value));
      scores.rows.push_back(
          {"  " + s.node(), fmt::format("{:.3f}", s.score()), fmt::format("{}", fmt::join(features, " "))});
    }
    auto refusals = table{.columns = {{"  NODE"}, {"REFUSED FOR"}, {"DETAIL"}}, .rows = {}, .noun = {}};
    for (const auto& r : i.refusals())
      refusals.rows.push_back({"  " + r.node(), r.cause(), r.detail()});
    for (const auto& part : {scores, refusals})
      if (!part.rows.empty())
        print(out, part, options);
  }
}

std::string event_line(const v1::Event& x, bool color) {
  auto text = fmt::format("{}  {} {} {}", print_time(x.time_ms()), x.noun(), harmless(x.name()), harmless(x.verb()));
  if (const auto phase = word(x.phase()); !phase.empty() && phase != x.verb())
    text += " (" + (color ? colored(phase, phase) : phase) + ")";
  if (!x.node().empty())
    text += " on " + harmless(x.node());
  if (!x.reason().empty())
    text += ": " + harmless(x.reason());
  return text;
}

std::string trace_line(const v1::TracedMessage& x) {
  return fmt::format("{}  {}  {} {}", print_time(x.time_ms()), x.from().empty() ? "?" : harmless(x.from()), x.message(),
                     harmless(x.json()));
}

} // namespace novacron::shell
