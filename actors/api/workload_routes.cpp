/// What one asks about workloads, their instances, and what happens to them.

#include "actors/api/route.hpp"

#include <algorithm>
#include <charconv>

namespace novacron::api {
namespace {

using kind = parameter::kind;

/// How long a watcher's question waits for news: short enough that a stopping server need not wait for it.
constexpr auto watch_step = milliseconds{1000};
/// Quiet steps after which a watcher is sent a comment, so that what is between does not give up.
constexpr auto quiet_steps_max = 15;
constexpr auto exec_wait_max = milliseconds{30'000};

std::string workload_of(const std::string& instance) { return instance.substr(0, instance.rfind('.')); }

const auto workload_key = [](const wire::WorkloadView& x) { return x.record().spec().name(); };
const auto instance_key = [](const wire::InstanceStatus& x) { return x.name(); };

caf::expected<wire::WorkloadList> workloads(const call& c, const std::string& name) {
  auto question = wire::WorkloadListRequest{};
  question.set_name(name);
  return c.ask<wire::WorkloadList>("scheduler", question);
}

/// The agent of the node that has the instance in the path.
caf::expected<std::string> agent_of(const call& c) {
  const auto& instance = c.name("instance");
  const auto list = workloads(c, workload_of(instance));
  if (!list)
    return list.error();
  for (const auto& workload : list->workloads())
    for (const auto& status : workload.instances())
      if (status.name() == instance) {
        if (status.node().empty())
          return caf::make_error(fault::unavailable, instance + " is on no node yet: " + status.reason());
        return status.node() + "/agent";
      }
  return caf::make_error(fault::not_found, "there is no instance called " + instance);
}

response list_workloads(const call& c) {
  auto list = workloads(c, {});
  if (!list)
    return problem(list.error());
  const auto next = keep_page(*list->mutable_workloads(), workload_key, static_cast<std::size_t>(c.number("limit")),
                              c.text("page_token"));
  auto out = json(*list);
  link_next(out, c, next);
  return out;
}

/// What a later If-Match can expect.
void tag(response& x, std::uint64_t revision) {
  if (revision > 0)
    x.headers["ETag"] = "\"" + std::to_string(revision) + "\"";
}

/// Whoever said what they expect hears by the status that HTTP has for it when it is otherwise.
response unmet(const caf::error& why, bool expects) {
  const auto what = explain(why);
  return expects && what.kind == fault::conflict ? problem(412, what.text, name_of(what.kind)) : problem(why);
}

response show_workload(const call& c) {
  const auto list = workloads(c, c.name("workload"));
  if (!list)
    return problem(list.error());
  for (const auto& x : list->workloads())
    if (workload_key(x) == c.name("workload")) {
      auto out = json(x);
      tag(out, x.revision());
      return out;
    }
  return problem(404, "there is no workload called " + c.name("workload"), "not_found");
}

response put_workload(const call& c) {
  const auto expected = c.expected_revision();
  if (!expected)
    return problem(expected.error());
  auto spec = c.body<wire::WorkloadSpec>();
  if (!spec)
    return problem(spec.error());
  if (!spec->name().empty() && spec->name() != c.name("workload"))
    return problem(400, "the path says " + c.name("workload") + " and the body says " + spec->name(), "bad_request");
  spec->set_name(c.name("workload"));
  auto order = wire::Submit{};
  c.sign(*order.mutable_order());
  *order.mutable_spec() = std::move(*spec);
  if (*expected)
    order.set_revision(**expected);
  const auto done = c.ask<wire::Submitted>("scheduler", order);
  if (!done)
    return unmet(done.error(), expected->has_value());
  auto out = json(*done, done->effect() == "created" ? 201 : 200);
  tag(out, done->index());
  return out;
}

response plan_workload(const call& c) {
  auto spec = c.body<wire::WorkloadSpec>();
  if (!spec)
    return problem(spec.error());
  auto question = wire::PlanRequest{};
  *question.mutable_spec() = std::move(*spec);
  return c.relay<wire::Plan>("scheduler", question);
}

response end_workload(const call& c, bool forget) {
  const auto expected = c.expected_revision();
  if (!expected)
    return problem(expected.error());
  auto order = wire::StopWorkload{};
  c.sign(*order.mutable_order());
  order.set_name(c.name("workload"));
  order.set_forget(forget);
  if (*expected)
    order.set_revision(**expected);
  const auto done = c.ask<wire::Done>("scheduler", order);
  return done ? json(*done) : unmet(done.error(), expected->has_value());
}

response explain_workload(const call& c) {
  auto question = wire::Explain{};
  question.set_name(c.name("workload"));
  return c.relay<wire::Explanation>("scheduler", question);
}

response list_instances(const call& c) {
  const auto list = workloads(c, c.text("workload"));
  if (!list)
    return problem(list.error());
  auto all = wire::InstanceList{};
  for (const auto& workload : list->workloads()) {
    if (!c.text("workload").empty() && workload_key(workload) != c.text("workload"))
      continue;
    for (const auto& status : workload.instances())
      if (c.text("node").empty() || status.node() == c.text("node"))
        *all.add_instances() = status;
  }
  const auto next = keep_page(*all.mutable_instances(), instance_key, static_cast<std::size_t>(c.number("limit")),
                              c.text("page_token"));
  auto out = json(all);
  link_next(out, c, next);
  return out;
}

wire::LogRequest log_request(const call& c, std::int64_t offset, milliseconds wait) {
  auto question = wire::LogRequest{};
  question.set_instance(c.name("instance"));
  question.set_offset(offset);
  question.set_limit(static_cast<std::uint32_t>(std::clamp<std::int64_t>(c.number("limit"), 0, 512 << 10)));
  question.set_wait_ms(static_cast<std::uint64_t>(wait.count()));
  return question;
}

/// Writes an instance's output as it grows, until nothing will ever follow.
bool follow(const call& c, const std::string& agent, wire::LogChunk chunk, sink& out) {
  while (out.open()) {
    if (!chunk.data().empty() && !out.write(chunk.data()))
      return false;
    if (chunk.ended())
      return true;
    auto more = c.ask<wire::LogChunk>(agent, log_request(c, chunk.next_offset(), watch_step), watch_step);
    if (!more)
      return false;
    chunk = std::move(*more);
  }
  return true;
}

response show_log(const call& c) {
  const auto agent = agent_of(c);
  if (!agent)
    return problem(agent.error());
  const auto wait = c.flag("follow") ? milliseconds{0} : c.wait();
  auto first = c.ask<wire::LogChunk>(*agent, log_request(c, c.number("offset"), wait), wait);
  if (!first)
    return problem(first.error());
  if (!c.flag("follow"))
    return json(*first);
  auto out = response{};
  out.type = "text/plain; charset=utf-8";
  out.stream = [c, agent = *agent, first = std::move(*first)](sink& to) { return follow(c, agent, first, to); };
  return out;
}

/// Hands an order about one instance to the agent that has it.
template <class Answer, class Question>
response tell_agent(const call& c, const Question& order, milliseconds more = {}) {
  const auto agent = agent_of(c);
  return agent ? c.relay<Answer>(*agent, order, more) : problem(agent.error());
}

response start_exec(const call& c) {
  auto order = c.body<wire::ExecStart>();
  if (!order)
    return problem(order.error());
  order->set_instance(c.name("instance"));
  return tell_agent<wire::ExecSession>(c, *order);
}

response exchange_exec(const call& c) {
  auto order = c.body<wire::ExecExchange>();
  if (!order)
    return problem(order.error());
  order->set_session(c.name("session"));
  order->set_wait_ms(std::min(order->wait_ms(), static_cast<std::uint64_t>(exec_wait_max.count())));
  return tell_agent<wire::ExecOutput>(c, *order, milliseconds{order->wait_ms()});
}

response pause_instance(const call& c, bool paused) {
  auto order = wire::PauseInstance{};
  order.set_instance(c.name("instance"));
  order.set_paused(paused);
  return tell_agent<wire::Done>(c, order);
}

response restart_instance(const call& c) {
  auto order = wire::RestartInstance{};
  order.set_instance(c.name("instance"));
  return tell_agent<wire::Done>(c, order);
}

response convert_instance(const call& c) {
  auto order = c.body<wire::ConvertInstance>();
  if (!order)
    return problem(order.error());
  order->set_instance(c.name("instance"));
  return tell_agent<wire::Converted>(c, *order);
}

response checkpoint_instance(const call& c) {
  auto order = c.body<wire::CheckpointInstance>();
  if (!order)
    return problem(order.error());
  order->set_instance(c.name("instance"));
  return tell_agent<wire::Checkpoint>(c, *order);
}

response restore_instance(const call& c) {
  auto order = c.body<wire::RestoreInstance>();
  if (!order)
    return problem(order.error());
  order->set_instance(c.name("instance"));
  return tell_agent<wire::Restored>(c, *order);
}

response resize_instance(const call& c) {
  auto wanted = c.body<wire::Resources>();
  if (!wanted)
    return problem(wanted.error());
  auto order = wire::ResizeInstance{};
  order.set_instance(c.name("instance"));
  *order.mutable_resources() = std::move(*wanted);
  return tell_agent<wire::Done>(c, order);
}

std::uint64_t last_event(const call& c) {
  const auto header = c.asked.header("last-event-id");
  auto after = static_cast<std::uint64_t>(c.number("after"));
  if (!header.empty())
    std::from_chars(header.data(), header.data() + header.size(), after);
  return after;
}

caf::expected<wire::Events> events(const call& c, std::uint64_t after, milliseconds wait) {
  auto question = wire::EventsRequest{};
  question.set_after(after);
  question.set_limit(static_cast<std::uint32_t>(std::clamp<std::int64_t>(c.number("limit"), 0, 10'000)));
  question.set_wait_ms(static_cast<std::uint64_t>(wait.count()));
  return c.ask<wire::Events>("scheduler", question, wait);
}

std::string sse_of(const wire::Events& news) {
  auto out = std::string{news.missed() ? "event: missed\ndata: {}\n\n" : ""};
  for (const auto& x : news.events())
    out += "id: " + std::to_string(x.number()) + "\nevent: " + x.noun() + "." + x.verb() + "\ndata: " + to_json(x) + "\n\n";
  return out;
}

/// Writes events as they happen. It ends when the scheduler cannot be asked: a watcher comes back by itself.
bool watch(const call& c, wire::Events news, sink& out) {
  if (!out.write("retry: 1000\n\n"))
    return false;
  for (auto quiet = 0; out.open();) {
    const auto text = sse_of(news);
    quiet = text.empty() ? quiet + 1 : 0;
    if (!text.empty() && !out.write(text))
      return false;
    if (quiet >= quiet_steps_max) {
      quiet = 0;
      if (!out.write(": still here\n\n"))
        return false;
    }
    auto more = events(c, news.next(), watch_step);
    if (!more)
      return out.write("event: problem\ndata: " + problem(more.error()).body + "\n\n");
    news = std::move(*more);
  }
  return true;
}

response show_events(const call& c) {
  const auto stream = c.asked.header("accept").find("text/event-stream") != std::string_view::npos;
  const auto wait = stream ? milliseconds{0} : c.wait();
  auto first = events(c, last_event(c), wait);
  if (!first)
    return problem(first.error());
  if (!stream)
    return json(*first);
  auto out = response{};
  out.type = "text/event-stream";
  out.stream = [c, first = std::move(*first)](sink& to) { return watch(c, first, to); };
  return out;
}

const auto wait_parameter =
    parameter{"wait_ms", kind::number, "How long to wait when there is nothing new yet; at most 30000."};

} // namespace

std::vector<route> workload_routes() {
  return {
      {.method = "GET", .pattern = "/v1/workloads", .title = "listWorkloads", .help = "All workloads and how they do.",
       .answer = &wire::WorkloadList::descriptor, .query = {limit_parameter, page_parameter}, .run = list_workloads},
      {.method = "POST", .pattern = "/v1/workloads:plan", .title = "planWorkload",
       .help = "What would happen if this workload were submitted.", .body = &wire::WorkloadSpec::descriptor,
       .answer = &wire::Plan::descriptor, .run = plan_workload},
      {.method = "GET", .pattern = "/v1/workloads/{workload}", .title = "showWorkload", .help = "One workload; its ETag is what If-Match expects.",
       .answer = &wire::WorkloadView::descriptor, .run = show_workload},
      {.method = "PUT", .pattern = "/v1/workloads/{workload}", .title = "submitWorkload",
       .help = "Creates the workload, or changes it to this. Answers 201 when it is new.",
       .body = &wire::WorkloadSpec::descriptor, .answer = &wire::Submitted::descriptor, .order = true, .conditional = true,
       .patience = std::chrono::seconds{10}, .run = put_workload},
      {.method = "DELETE", .pattern = "/v1/workloads/{workload}", .title = "deleteWorkload",
       .help = "Stops the workload and forgets it.", .answer = &wire::Done::descriptor, .order = true, .conditional = true,
       .patience = std::chrono::seconds{10}, .run = [](const call& c) { return end_workload(c, true); }},
      {.method = "POST", .pattern = "/v1/workloads/{workload}:stop", .title = "stopWorkload",
       .help = "Stops the workload; its record stays.", .answer = &wire::Done::descriptor, .order = true, .conditional = true,
       .patience = std::chrono::seconds{10}, .run = [](const call& c) { return end_workload(c, false); }},
      {.method = "GET", .pattern = "/v1/workloads/{workload}:explain", .title = "explainWorkload",
       .help = "Why each of its instances is where it is, or nowhere.", .answer = &wire::Explanation::descriptor,
       .run = explain_workload},
      {.method = "GET", .pattern = "/v1/instances", .title = "listInstances", .help = "The instances of all workloads.",
       .answer = &wire::InstanceList::descriptor,
       .query = {{"workload", kind::text, "Only those of this workload."},
                 {"node", kind::text, "Only those on this node."},
                 limit_parameter,
                 page_parameter},
       .run = list_instances},
      {.method = "GET", .pattern = "/v1/instances/{instance}/logs", .title = "showLogs",
       .help = "The output of an instance: one chunk, or with follow=true all of it as plain text while it grows.",
       .answer = &wire::LogChunk::descriptor,
       .query = {{"offset", kind::number, "Where to begin; negative counts from the end."},
                 {"limit", kind::number, "Bytes in one chunk at most."},
                 wait_parameter,
                 {"follow", kind::flag, "Stream until the instance is gone for good."}},
       .type = "text/plain", .run = show_log},
      {.method = "POST", .pattern = "/v1/instances/{instance}:exec", .title = "startExec",
       .help = "Starts a process inside an instance.", .body = &wire::ExecStart::descriptor,
       .answer = &wire::ExecSession::descriptor, .run = start_exec},
      {.method = "POST", .pattern = "/v1/instances/{instance}/exec/{session}", .title = "exchangeExec",
       .help = "Gives such a process input and takes its output.", .body = &wire::ExecExchange::descriptor,
       .answer = &wire::ExecOutput::descriptor, .run = exchange_exec},
      {.method = "POST", .pattern = "/v1/instances/{instance}:pause", .title = "pauseInstance",
       .help = "Freezes an instance.", .answer = &wire::Done::descriptor,
       .run = [](const call& c) { return pause_instance(c, true); }},
      {.method = "POST", .pattern = "/v1/instances/{instance}:resume", .title = "resumeInstance",
       .help = "Lets a frozen instance go on.", .answer = &wire::Done::descriptor,
       .run = [](const call& c) { return pause_instance(c, false); }},
      {.method = "POST", .pattern = "/v1/instances/{instance}:restart", .title = "restartInstance",
       .help = "Restarts an instance where it is.", .answer = &wire::Done::descriptor,
       .patience = std::chrono::seconds{30}, .run = restart_instance},
      {.method = "POST", .pattern = "/v1/instances/{instance}:convert", .title = "convertInstance",
       .help = "Changes the format in which a running instance runs: container, sandbox or virtual machine.",
       .body = &wire::ConvertInstance::descriptor, .answer = &wire::Converted::descriptor, .query = {lasting_parameter},
       .order = true, .lasting = true, .patience = std::chrono::minutes{10}, .run = convert_instance},
      {.method = "POST", .pattern = "/v1/instances/{instance}:checkpoint", .title = "checkpointInstance",
       .help = "Writes down how a running sandbox or virtual machine is; it stands still for that, and runs on.",
       .body = &wire::CheckpointInstance::descriptor, .answer = &wire::Checkpoint::descriptor, .query = {lasting_parameter},
       .order = true, .lasting = true, .patience = std::chrono::minutes{10}, .run = checkpoint_instance},
      {.method = "POST", .pattern = "/v1/instances/{instance}:restore", .title = "restoreInstance",
       .help = "Puts a running instance back to how it was at a checkpoint; what it has done since then is lost.",
       .body = &wire::RestoreInstance::descriptor, .answer = &wire::Restored::descriptor, .query = {lasting_parameter},
       .order = true, .lasting = true, .patience = std::chrono::minutes{10}, .run = restore_instance},
      {.method = "POST", .pattern = "/v1/instances/{instance}:resize", .title = "resizeInstance",
       .help = "Changes the processors and memory of a running instance.", .body = &wire::Resources::descriptor,
       .answer = &wire::Done::descriptor, .run = resize_instance},
      {.method = "GET", .pattern = "/v1/events", .title = "watchEvents",
       .help = "What happened; with Accept: text/event-stream also what happens from now on. Last-Event-ID goes on.",
       .answer = &wire::Events::descriptor,
       .query = {{"after", kind::number, "Only events after the one with this number."},
                 {"limit", kind::number, "How many at once at most."},
                 wait_parameter},
       .type = "text/event-stream", .run = show_events},
  };
}

} // namespace novacron::api
