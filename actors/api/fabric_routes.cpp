/// What one asks about nodes, links, images, and the actors on them.

#include "actors/api/route.hpp"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

namespace novacron::api {
namespace {

using kind = parameter::kind;

const auto node_parameter = parameter{"node", kind::text, "Only this node; without it, every node."};

caf::expected<wire::NodeList> nodes(const call& c, const std::string& name = {}) {
  auto question = wire::NodeListRequest{};
  question.set_name(name);
  return c.ask<wire::NodeList>("scheduler", question);
}

response list_nodes(const call& c) {
  auto list = nodes(c);
  if (!list)
    return problem(list.error());
  const auto key = [](const wire::NodeView& x) { return x.record().facts().name(); };
  const auto next = keep_page(*list->mutable_nodes(), key, static_cast<std::size_t>(c.number("limit")), c.text("page_token"));
  auto out = json(*list);
  link_next(out, c, next);
  return out;
}

response show_node(const call& c) {
  const auto list = nodes(c, c.name("node"));
  if (!list)
    return problem(list.error());
  for (const auto& x : list->nodes())
    if (x.record().facts().name() == c.name("node"))
      return json(x);
  return problem(404, "there is no node called " + c.name("node"), "not_found");
}

response drain_node(const call& c) {
  const auto wanted = c.body<wire::DrainOrder>();
  if (!wanted)
    return problem(wanted.error());
  auto order = wire::DrainNode{};
  c.sign(*order.mutable_order());
  order.set_node(c.name("node"));
  order.set_drained(c.asked.body.empty() || wanted->drained());
  return c.relay<wire::Done>("scheduler", order);
}

response plan_drain(const call& c) {
  auto question = wire::PlanRequest{};
  question.set_drained_node(c.name("node"));
  return c.relay<wire::Plan>("scheduler", question);
}

response taint_node(const call& c) {
  const auto wanted = c.body<wire::TaintOrder>();
  if (!wanted)
    return problem(wanted.error());
  auto order = wire::TaintNode{};
  c.sign(*order.mutable_order());
  order.set_node(c.name("node"));
  *order.mutable_taint() = wanted->taint();
  order.set_removed(wanted->removed());
  return c.relay<wire::Done>("scheduler", order);
}

response forget_node(const call& c) {
  auto order = wire::ForgetNode{};
  c.sign(*order.mutable_order());
  order.set_node(c.name("node"));
  return c.relay<wire::Done>("scheduler", order);
}

/// Who has the actor that is asked for: each node, or those that host workloads.
enum class has_actor : std::uint8_t { each, hosts };

/// The nodes that a question without a node goes to: those that are not known to be lost, and this one.
struct audience {
  std::vector<std::string> asked;
  std::vector<std::string> lost;
};

audience everyone(const call& c, has_actor who) {
  auto all = audience{};
  auto is_asked = true;
  if (const auto list = nodes(c))
    for (const auto& x : list->nodes()) {
      const auto& facts = x.record().facts();
      if (who == has_actor::each || facts.hosts_workloads())
        (x.state() == "lost" ? all.lost : all.asked).push_back(facts.name());
      else if (facts.name() == c.around->node)
        is_asked = false;
    }
  std::erase(all.lost, c.around->node);
  if (is_asked && std::ranges::find(all.asked, c.around->node) == all.asked.end())
    all.asked.push_back(c.around->node);
  std::ranges::sort(all.asked);
  return all;
}

/// Asks the actor called `actor` on one node or on all, and joins what `items` takes from their answers.
template <class Answer, class Question, class Items>
response gather(const call& c, const std::string& actor, const Question& question, Items items,
                has_actor who = has_actor::each) {
  if (const auto node = c.text("node"); !node.empty())
    return c.relay<Answer>(node + "/" + actor, question);
  const auto whom = everyone(c, who);
  auto paths = std::vector<std::string>{};
  for (const auto& node : whom.asked)
    paths.push_back(node + "/" + actor);
  auto answers = c.ask_all<Answer>(paths, question);
  auto all = Answer{};
  for (auto i = std::size_t{0}; i < answers.size(); ++i) {
    if (answers[i])
      items(all)->MergeFrom(*items(*answers[i]));
    else if (answers.size() == 1)
      return problem(answers[i].error());
    else
      all.add_unanswered(whom.asked[i]);
  }
  for (const auto& node : whom.lost)
    all.add_unanswered(node);
  return json(all);
}

response list_actors(const call& c) {
  return gather<wire::ActorList>(c, "observer", wire::ActorListRequest{}, [](auto& x) { return x.mutable_actors(); });
}

response list_images(const call& c) {
  return gather<wire::ImageList>(c, "images", wire::ImageListRequest{}, [](auto& x) { return x.mutable_images(); });
}

response list_templates(const call& c) {
  return gather<wire::TemplateList>(c, "templates", wire::TemplateListRequest{},
                                    [](auto& x) { return x.mutable_templates(); }, has_actor::hosts);
}

response list_checkpoints(const call& c) {
  return gather<wire::CheckpointList>(c, "checkpoints", wire::CheckpointListRequest{},
                                      [](auto& x) { return x.mutable_checkpoints(); }, has_actor::hosts);
}

std::string actor_path(const call& c) { return c.name("node") + "/" + c.name("actor"); }
std::string observer_of(const call& c) { return c.name("node") + "/observer"; }

response show_actor(const call& c) {
  const auto list = c.ask<wire::ActorList>(observer_of(c), wire::ActorListRequest{});
  if (!list)
    return problem(list.error());
  for (const auto& x : list->actors())
    if (x.name() == actor_path(c) || x.name() == c.name("actor"))
      return json(x);
  return problem(404, "there is no actor called " + actor_path(c), "not_found");
}

response ask_actor(const call& c) {
  const auto order = c.body<wire::AskOrder>();
  if (!order)
    return problem(order.error());
  if (!find_message(order->message()))
    return problem(404, "there is no message called " + order->message() + "; see /v1/messages", "not_found");
  // Asking through the observer must not say what the caller may not say itself.
  if (!permitted(order->message(), sender_of_role(c.asked.who.role)))
    return problem(403, "the role " + c.asked.who.role + " may not say " + order->message(), "denied");
  auto question = wire::Ask{};
  question.set_actor(actor_path(c));
  question.set_message(order->message());
  question.set_timeout_ms(std::min<std::uint64_t>(order->timeout_ms(), 60'000));
  if (order->json().kind_case() == google::protobuf::Value::kStringValue)
    question.set_json(order->json().string_value());
  else if (order->has_json())
    question.set_json(to_json(order->json()));
  return c.relay<wire::Answer>(observer_of(c), question, milliseconds{question.timeout_ms()});
}

response trace_actor(const call& c) {
  auto question = wire::TraceRequest{};
  question.set_actor(actor_path(c));
  question.set_limit(static_cast<std::uint32_t>(std::clamp<std::int64_t>(c.number("limit"), 0, 10'000)));
  question.set_after(static_cast<std::uint64_t>(c.number("after")));
  question.set_wait_ms(static_cast<std::uint64_t>(c.wait().count()));
  return c.relay<wire::Trace>(observer_of(c), question, milliseconds{question.wait_ms()});
}

/// "door" here, or that of the node which the request names.
std::string local_or(const std::string& node, const std::string& actor) {
  return node.empty() ? actor : node + "/" + actor;
}

response list_links(const call& c) {
  return c.relay<wire::LinkList>(local_or(c.text("node"), "door"), wire::LinkListRequest{});
}

response set_log_level(const call& c) {
  const auto wanted = c.body<wire::LogOrder>();
  if (!wanted)
    return problem(wanted.error());
  auto order = wire::SetLogLevel{};
  order.set_level(wanted->level());
  order.set_actor(wanted->actor());
  return c.relay<wire::Done>(local_or(wanted->node(), "observer"), order);
}

response import_image(const call& c) {
  const auto wanted = c.body<wire::ImageOrder>();
  if (!wanted)
    return problem(wanted.error());
  auto order = wire::ImageImport{};
  order.set_path(wanted->path());
  order.set_name(wanted->name());
  return c.relay<wire::Image>(local_or(wanted->node(), "images"), order);
}

response delete_image(const call& c) {
  auto order = wire::ImageDelete{};
  order.set_name(c.name("image"));
  return c.relay<wire::Done>(local_or(c.text("node"), "images"), order);
}

response create_template(const call& c) {
  const auto wanted = c.body<wire::TemplateOrder>();
  if (!wanted)
    return problem(wanted.error());
  auto order = wire::TemplateCreate{};
  *order.mutable_spec() = wanted->spec();
  return c.relay<wire::Template>(local_or(wanted->node(), "templates"), order);
}

response delete_template(const call& c) {
  auto order = wire::TemplateDelete{};
  order.set_name(c.name("template"));
  return c.relay<wire::Done>(local_or(c.text("node"), "templates"), order);
}

response delete_checkpoint(const call& c) {
  auto order = wire::CheckpointDelete{};
  order.set_name(c.name("checkpoint"));
  return c.relay<wire::Done>(local_or(c.text("node"), "checkpoints"), order);
}

void describe(const google::protobuf::FieldDescriptor& from, wire::FieldView& into) {
  using google::protobuf::FieldDescriptor;
  const auto type = [](const FieldDescriptor& x) -> std::string {
    if (x.type() == FieldDescriptor::TYPE_MESSAGE)
      return x.message_type()->name();
    return x.type() == FieldDescriptor::TYPE_ENUM ? x.enum_type()->name() : x.type_name();
  };
  into.set_name(from.name());
  into.set_repeated(from.is_repeated() && !from.is_map());
  into.set_type(type(from.is_map() ? *from.message_type()->map_value() : from));
  if (from.is_map())
    into.set_key(type(*from.message_type()->map_key()));
  if (from.type() == FieldDescriptor::TYPE_ENUM)
    for (auto i = 0; i < from.enum_type()->value_count(); ++i)
      into.add_values(from.enum_type()->value(i)->name());
}

response list_messages(const call&) {
  auto all = wire::MessageList{};
  for (const auto& name : message_names()) {
    auto& view = *all.add_messages();
    view.set_name(name);
    const auto* known = find_message(name);
    for (auto i = 0; i < known->field_count(); ++i)
      describe(*known->field(i), *view.add_fields());
    for (const auto& [who, word] : {std::pair{cloud, "cloud"}, {worker, "worker"}, {person, "person"}})
      if (permitted(name, who))
        view.add_allowed(word);
  }
  return json(all);
}

} // namespace

std::vector<route> fabric_routes() {
  return {
      {.method = "GET", .pattern = "/v1/nodes", .title = "listNodes", .help = "All nodes of the fabric.",
       .answer = &wire::NodeList::descriptor, .query = {limit_parameter, page_parameter}, .run = list_nodes},
      {.method = "GET", .pattern = "/v1/nodes/{node}", .title = "showNode", .help = "One node.",
       .answer = &wire::NodeView::descriptor, .run = show_node},
      {.method = "POST", .pattern = "/v1/nodes/{node}:drain", .title = "drainNode",
       .help = "Moves everything off a node and gives it nothing new; {\"drained\": false} takes that back.",
       .body = &wire::DrainOrder::descriptor, .answer = &wire::Done::descriptor, .order = true,
       .patience = std::chrono::seconds{10}, .run = drain_node},
      {.method = "GET", .pattern = "/v1/nodes/{node}/drain", .title = "planDrain",
       .help = "What would become of each instance of a node if it were drained: `migrate` is a move while it runs, "
               "`move` a new start elsewhere.",
       .answer = &wire::Plan::descriptor, .run = plan_drain},
      {.method = "POST", .pattern = "/v1/nodes/{node}:taint", .title = "taintNode",
       .help = "Keeps workloads off a node that do not tolerate it, or takes the taint of that key back.",
       .body = &wire::TaintOrder::descriptor, .answer = &wire::Done::descriptor, .order = true,
       .patience = std::chrono::seconds{10}, .run = taint_node},
      {.method = "DELETE", .pattern = "/v1/nodes/{node}", .title = "forgetNode",
       .help = "Forgets a node that will not come back; what it ran is placed again.",
       .answer = &wire::Done::descriptor, .order = true, .patience = std::chrono::seconds{10}, .run = forget_node},
      {.method = "GET", .pattern = "/v1/links", .title = "listLinks", .help = "The links of a node to its peers.",
       .answer = &wire::LinkList::descriptor, .query = {{"node", kind::text, "Of this node; without it, of the node that is asked."}},
       .run = list_links},
      {.method = "GET", .pattern = "/v1/actors", .title = "listActors", .help = "The actors of all nodes.",
       .answer = &wire::ActorList::descriptor, .query = {node_parameter}, .patience = std::chrono::seconds{2}, .run = list_actors},
      {.method = "GET", .pattern = "/v1/actors/{node}/{actor*}", .title = "showActor", .help = "One actor.",
       .answer = &wire::ActorView::descriptor, .run = show_actor},
      {.method = "POST", .pattern = "/v1/actors/{node}/{actor*}:ask", .title = "askActor",
       .help = "Sends an actor any message of the language and returns its answer.", .body = &wire::AskOrder::descriptor,
       .answer = &wire::Answer::descriptor, .run = ask_actor},
      {.method = "GET", .pattern = "/v1/actors/{node}/{actor*}/trace", .title = "traceActor",
       .help = "The last messages of an actor, and the next ones.", .answer = &wire::Trace::descriptor,
       .query = {{"after", kind::number, "Only messages after the one with this number."},
                 {"limit", kind::number, "How many at most."},
                 {"wait_ms", kind::number, "How long to wait when there is nothing yet; at most 30000."}},
       .run = trace_actor},
      {.method = "GET", .pattern = "/v1/messages", .title = "listMessages",
       .help = "The messages of the language, their fields, and who may say them.",
       .answer = &wire::MessageList::descriptor, .run = list_messages},
      {.method = "GET", .pattern = "/v1/images", .title = "listImages", .help = "The images in the stores of the nodes.",
       .answer = &wire::ImageList::descriptor, .query = {node_parameter}, .run = list_images},
      {.method = "POST", .pattern = "/v1/images:import", .title = "importImage",
       .help = "Brings an OCI layout or docker-archive that lies on a node into its image store.",
       .body = &wire::ImageOrder::descriptor, .answer = &wire::Image::descriptor, .query = {lasting_parameter},
       .order = true, .lasting = true, .patience = std::chrono::minutes{10}, .run = import_image},
      {.method = "DELETE", .pattern = "/v1/images/{image}", .title = "deleteImage", .help = "Takes an image out of a store.",
       .answer = &wire::Done::descriptor, .query = {{"node", kind::text, "From this node; without it, from the node that is asked."}},
       .patience = std::chrono::seconds{30}, .run = delete_image},
      {.method = "GET", .pattern = "/v1/templates", .title = "listTemplates", .help = "What machines begin from on the nodes.",
       .answer = &wire::TemplateList::descriptor, .query = {node_parameter}, .run = list_templates},
      {.method = "POST", .pattern = "/v1/templates", .title = "createTemplate",
       .help = "Makes a template ahead of time for machines of workloads like this one.",
       .body = &wire::TemplateOrder::descriptor, .answer = &wire::Template::descriptor, .query = {lasting_parameter},
       .order = true, .lasting = true, .patience = std::chrono::minutes{4}, .run = create_template},
      {.method = "DELETE", .pattern = "/v1/templates/{template}", .title = "deleteTemplate",
       .help = "Deletes a template; machines that began as its clones run on.", .answer = &wire::Done::descriptor,
       .query = {{"node", kind::text, "On this node; without it, on the node that is asked."}},
       .patience = std::chrono::seconds{30}, .run = delete_template},
      {.method = "GET", .pattern = "/v1/checkpoints", .title = "listCheckpoints",
       .help = "What was written down of machines on the nodes, and whether something can be restored from it.",
       .answer = &wire::CheckpointList::descriptor, .query = {node_parameter}, .run = list_checkpoints},
      {.method = "DELETE", .pattern = "/v1/checkpoints/{checkpoint}", .title = "deleteCheckpoint",
       .help = "Deletes a checkpoint; what was restored from it runs on.", .answer = &wire::Done::descriptor,
       .query = {{"node", kind::text, "On this node; without it, on the node that is asked."}}, .order = true,
       .patience = std::chrono::seconds{30}, .run = delete_checkpoint},
      {.method = "POST", .pattern = "/v1/log", .title = "setLogLevel", .help = "Changes what a node logs from now on.",
       .body = &wire::LogOrder::descriptor, .answer = &wire::Done::descriptor, .run = set_log_level},
  };
}

} // namespace novacron::api
