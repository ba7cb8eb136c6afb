#include "actors/shell/answers.hpp"
#include "actors/shell/bundle.hpp"
#include "actors/shell/calling.hpp"
#include "actors/shell/checkpoints.hpp"
#include "actors/shell/draining.hpp"
#include "actors/shell/exec.hpp"
#include "actors/shell/follow.hpp"
#include "actors/shell/lasting.hpp"
#include "actors/shell/moving.hpp"
#include "actors/shell/placing.hpp"
#include "actors/shell/units.hpp"
#include "actors/shell/views.hpp"
#include "actors/shell/web.hpp"
#include "actors/shell/workload_file.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <ostream>

namespace novacron::shell {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto wait_default_ms = std::uint64_t{60'000};

// nodes

int node_list(const invocation&, session& with) {
  return list<v1::NodeList>(with, "/v1/nodes", [&](const auto& x) { return node_table(x, with.now()); });
}
int node_show(const invocation& what, session& with) {
  return show<v1::NodeView>(with, below("nodes", what.argument(0)), what.argument(0),
                            [&](const auto& x) { print(with.out, node_page(x, with.now()), with.output); });
}
int node_links(const invocation& what, session& with) {
  return list<v1::LinkList>(with, with_node("/v1/links", what.argument(0)), link_table);
}
int node_delete(const invocation& what, session& with) {
  return order(with, "DELETE", below("nodes", what.argument(0)), {}, fmt::format("{} is forgotten", what.argument(0)));
}

// workloads

std::vector<v1::WorkloadSpec> specs_of(const std::string& file, session& with) {
  auto found = parse_workloads(with.read_file(file), file == "-" ? "stdin" : file);
  if (found.errors.empty())
    return std::move(found.workloads);
  auto text = std::string{};
  for (const auto& x : found.errors)
    text += (text.empty() ? "" : "\n") + harmless(x);
  throw failure{exit_code::usage, text};
}

int run(const invocation& what, session& with) {
  auto submitted = std::vector<v1::Submitted>{};
  const auto specs = specs_of(what.argument(0), with);
  if (what.has("if-revision") && specs.size() > 1)
    throw failure{exit_code::usage, "--if-revision goes with one workload: each has its own revision"};
  for (const auto& spec : specs) {
    const auto answer =
        with.fabric().order("PUT", below("workloads", spec.name()), json_of(spec), expected_revision(what));
    const auto& done = submitted.emplace_back(read<v1::Submitted>(answer));
    if (with.output.as == format::json || with.output.as == format::yaml)
      emit(with, answer, [] {});
    else if (with.output.quiet || with.output.as == format::name)
      with.out << (with.output.quiet ? "" : "workload/") << done.name() << '\n';
    else
      with.err << fmt::format("{} {}\n", done.name(), done.effect());
  }
  if (what.has("detach") || (!what.has("wait") && !with.terminal))
    return 0;
  return wait_for(submitted, what.milliseconds("timeout", wait_default_ms), with);
}

int plan(const invocation& what, session& with) {
  auto feasible = true;
  for (const auto& spec : specs_of(what.argument(0), with)) {
    const auto body = with.fabric().post("/v1/workloads:plan", json_of(spec));
    const auto answer = read<v1::Plan>(body);
    feasible = feasible && answer.feasible();
    emit(with, body, [&] {
      print(with.out, plan_table(answer), with.output);
      if (!with.output.quiet && with.output.as != format::name)
        with.out << harmless(answer.summary()) << '\n';
    });
  }
  return feasible ? 0 : static_cast<int>(exit_code::conflict);
}

int workload_list(const invocation&, session& with) {
  return list<v1::WorkloadList>(with, "/v1/workloads", [&](const auto& x) { return workload_table(x, with.now()); });
}
int workload_show(const invocation& what, session& with) {
  return show<v1::WorkloadView>(with, below("workloads", what.argument(0)), what.argument(0), [&](const auto& x) {
    print(with.out, workload_page(x, with.now()), with.output);
    if (x.instances().empty())
      return;
    with.out << '\n';
    print(with.out, instance_table(x.instances(), with.now()), with.output);
  });
}

/// A workload that is not there any more has ended.
bool has_ended(const std::string& name, session& with) {
  try {
    const auto view = read<v1::WorkloadView>(with.fabric().get(below("workloads", name)));
    return std::ranges::none_of(view.instances(), [](const auto& x) {
      return x.phase() != v1::PHASE_STOPPED && x.phase() != v1::PHASE_COMPLETED && x.phase() != v1::PHASE_FAILED;
    });
  } catch (const failure& x) {
    if (x.code != exit_code::not_found)
      throw;
    return true;
  }
}

int end_all(const invocation& what, session& with, bool forget) {
  if (what.has("if-revision") && what.arguments.size() > 1)
    throw failure{exit_code::usage, "--if-revision goes with one workload: each has its own revision"};
  for (const auto& name : what.arguments)
    order(with, forget ? "DELETE" : "POST", below("workloads", name) + (forget ? "" : ":stop"), {},
          fmt::format("{} is {}", name, forget ? "being deleted" : "stopping"), expected_revision(what));
  for (const auto& name : what.arguments)
    if (what.has("wait"))
      wait_until([&] { return has_ended(name, with); }, name + " has ended",
                 what.milliseconds("timeout", wait_default_ms), with);
  return 0;
}
int stop(const invocation& what, session& with) {
  return end_all(what, with, false);
}
int forget(const invocation& what, session& with) {
  return end_all(what, with, true);
}

int convert(const invocation& what, session& with) {
  if (!what.has("to"))
    throw failure{exit_code::usage, "say what it shall become: --to=container, --to=sandbox or --to=vm"};
  const auto name = instance_name(what.argument(0), with);
  auto wanted = v1::ConvertInstance{};
  wanted.set_only_check(what.has("check"));
  wanted.set_to(what.get("to") == "container" ? v1::WORKLOAD_KIND_CONTAINER
                : what.get("to") == "sandbox" ? v1::WORKLOAD_KIND_SANDBOX
                                              : v1::WORKLOAD_KIND_VM);
  const auto answer = lasting(below("instances", name) + ":convert", json_of(wanted), what, with);
  return emit(with, answer, [&] { print(with.out, read<v1::Converted>(answer)); });
}

int explain(const invocation& what, session& with) {
  const auto body = with.fabric().get(below("workloads", what.argument(0)) + ":explain");
  return emit(with, body, [&] { print(with.out, read<v1::Explanation>(body), with.output); });
}

// instances

int instance_list(const invocation& what, session& with) {
  auto query = std::string{};
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty())
      query += fmt::format("{}{}={}", query.empty() ? "?" : "&", name, url_encode(value));
  };
  add("workload", what.argument(0));
  add("node", what.get("node"));
  // A WorkloadView has its instances under the same name as the answer, and is otherwise empty.
  return list<v1::WorkloadView>(with, "/v1/instances" + query, [&](auto x) {
    auto kept = google::protobuf::RepeatedPtrField<v1::InstanceStatus>{};
    for (const auto& i : x.instances())
      if (what.has("all") || (i.phase() != v1::PHASE_STOPPED && i.phase() != v1::PHASE_COMPLETED))
        *kept.Add() = i;
    return instance_table(kept, with.now());
  });
}

int instance_show(const invocation& what, session& with) {
  const auto name = instance_name(what.argument(0), with);
  const auto all = read<v1::WorkloadView>(with.fabric().get("/v1/instances"));
  const auto found = std::ranges::find(all.instances(), name, [](const auto& x) { return x.name(); });
  if (found == all.instances().end()) {
    auto known = std::vector<std::string>{};
    for (const auto& x : all.instances())
      known.push_back(x.name());
    throw failure{exit_code::not_found, fmt::format("there is no instance '{}'{}", name, did_you_mean(name, known))};
  }
  return emit(with, json_of(*found), [&] {
    if (with.output.quiet || with.output.as == format::name)
      with.out << name << '\n';
    else
      print(with.out, instance_page(*found, with.now()), with.output);
  });
}

int instance_order(const invocation& what, session& with, const char* verb, const char* said) {
  const auto name = instance_name(what.argument(0), with);
  return order(with, "POST", below("instances", name) + ":" + verb, json::object(), fmt::format("{} {}", name, said));
}
int instance_pause(const invocation& what, session& with) {
  return instance_order(what, with, "pause", "is paused");
}
int instance_resume(const invocation& what, session& with) {
  return instance_order(what, with, "resume", "goes on");
}
int instance_restart(const invocation& what, session& with) {
  return instance_order(what, with, "restart", "is restarted");
}

int instance_resize(const invocation& what, session& with) {
  auto wanted = v1::Resources{};
  if (what.has("cpu")) {
    const auto cpu = parse_milli(what.get("cpu"));
    if (!cpu)
      throw failure{exit_code::usage, fmt::format("--cpu is '{}', but must be {}", what.get("cpu"), milli_wanted)};
    wanted.set_cpu_milli(*cpu);
  }
  if (what.has("memory")) {
    const auto memory = parse_bytes(what.get("memory"));
    if (!memory)
      throw failure{exit_code::usage,
                    fmt::format("--memory is '{}', but must be {}", what.get("memory"), bytes_wanted)};
    wanted.set_memory_bytes(*memory);
  }
  if (!wanted.cpu_milli() && !wanted.memory_bytes())
    throw failure{exit_code::usage, "nothing to change; give --cpu or --memory"};
  const auto name = instance_name(what.argument(0), with);
  return order(with, "POST", below("instances", name) + ":resize", json::parse(json_of(wanted)),
               fmt::format("{} is resized", name));
}

// images

int image_list(const invocation& what, session& with) {
  return list<v1::ImageList>(with, with_node("/v1/images", what.get("node")), [&](const auto& x) {
    say_unanswered(x, with);
    return image_table(x, with.now());
  });
}
int image_import(const invocation& what, session& with) {
  auto path = std::filesystem::path{what.argument(0)};
  if (!what.has("node"))
    path = std::filesystem::absolute(path).lexically_normal();
  const auto body = json{{"path", path.string()}, {"name", what.get("name")}, {"node", what.get("node")}};
  const auto answer = lasting("/v1/images:import", body.dump(), what, with);
  return emit(with, answer, [&] {
    auto one = v1::ImageList{};
    *one.add_images() = read<v1::Image>(answer);
    print(with.out, image_table(one, with.now()), with.output);
  });
}
int image_delete(const invocation& what, session& with) {
  return order(with, "DELETE", with_node(below("images", what.argument(0)), what.get("node")), {}, fmt::format("{} is deleted", what.argument(0)));
}

// templates

int template_list(const invocation& what, session& with) {
  return list<v1::TemplateList>(with, with_node("/v1/templates", what.get("node")), [&](const auto& x) {
    say_unanswered(x, with);
    return template_table(x, with.now());
  });
}
int template_create(const invocation& what, session& with) {
  for (const auto& spec : specs_of(what.argument(0), with)) {
    const auto body = json{{"spec", json::parse(json_of(spec))}, {"node", what.get("node")}};
    const auto answer = lasting("/v1/templates", body.dump(), what, with);
    emit(with, answer, [&] {
      auto one = v1::TemplateList{};
      *one.add_templates() = read<v1::Template>(answer);
      print(with.out, template_table(one, with.now()), with.output);
    });
  }
  return 0;
}
int template_delete(const invocation& what, session& with) {
  return order(with, "DELETE", with_node(below("templates", what.argument(0)), what.get("node")), {},
               fmt::format("{} is deleted", what.argument(0)));
}

// actors

int actor_list(const invocation& what, session& with) {
  const auto names = with.output.quiet || with.output.as == format::name;
  return list<v1::ActorList>(with, with_node("/v1/actors", what.get("node")), [&](const auto& x) {
    say_unanswered(x, with);
    return actor_table(x, !names);
  });
}
int actor_show(const invocation& what, session& with) {
  return show<v1::ActorView>(with, actor_path(what.argument(0), with), what.argument(0),
                             [&](const auto& x) { print(with.out, actor_page(x), with.output); });
}
int ask(const invocation& what, session& with) {
  const auto limit = what.milliseconds("timeout", 10'000);
  const auto text = what.argument(2).empty() ? std::string{"{}"} : what.argument(2);
  if (!json::accept(text))
    throw failure{exit_code::usage,
                  fmt::format("'{}' is no JSON; write it in single quotes, as in '{{\"name\": \"web\"}}'", text)};
  const auto body = json{{"message", what.argument(1)}, {"json", text}, {"timeout_ms", limit}};
  const auto answer = read<v1::Answer>(
      with.fabric().post(actor_path(what.argument(0), with) + ":ask", body.dump(), std::chrono::milliseconds{limit}));
  return emit(with, answer.json(), [&] {
    with.err << fmt::format("{} after {}\n", answer.message().empty() ? "an answer without name" : answer.message(),
                            print_seconds(answer.seconds()));
    with.out << pretty_json(answer.json()) << '\n';
  });
}

// ledger

int ledger_show(const invocation&, session& with) {
  return show<v1::LedgerStatus>(with, "/v1/ledger", "ledger",
                                [&](const auto& x) { print(with.out, ledger_page(x), with.output); });
}
int ledger_members(const invocation&, session& with) {
  return list<v1::LedgerStatus>(with, "/v1/ledger", member_table);
}
int ledger_records(const invocation& what, session& with) {
  const auto body = with.fabric().get("/v1/ledger/records?prefix=" + url_encode(what.argument(0)));
  return emit(with, body, [&] { print(with.out, record_table(body), with.output); });
}
int audit_show(const invocation& what, session& with) {
  const auto after = what.has("after") ? what.number("after", 0) : 0;
  const auto limit = what.has("limit") ? what.number("limit", 0) : 50;
  const auto body = with.fabric().get(fmt::format("/v1/audit?after={}&limit={}", after, limit));
  const auto found = json::parse(body);
  return emit(with, body, [&] {
    auto out = table{.columns = {{"NUMBER", false, true}, {"TIME"}, {"WHO"}, {"WHAT"}, {"RESULT"}, {"HASH", true}}, .rows = {}, .noun = "entry"};
    for (const auto& x : found.at("entries"))
      out.rows.push_back({std::to_string(x.value("number", std::uint64_t{0})), x.value("time", ""), x.value("who", ""), x.value("what", ""),
                          x.value("result", ""), x.value("hash", "")});
    print(with.out, out, with.output);
  });
}
int audit_verify(const invocation&, session& with) {
  const auto body = with.fabric().get("/v1/audit:verify");
  const auto found = json::parse(body);
  emit(with, body, [&] {
    with.out << fmt::format("{} entries, {} to {}, the last with hash {}\n", found.value("entries", std::uint64_t{0}), found.value("first", std::uint64_t{0}),
                            found.value("last", std::uint64_t{0}), harmless(found.value("hash", "")));
  });
  if (found.value("whole", false))
    return 0;
  auto text = std::string{"the record of orders and refusals is not whole:"};
  for (const auto& x : found.at("faults"))
    text += "\n" + harmless(x.get<std::string>());
  throw failure{exit_code::failed, text};
}
int applied(session& with, const std::string& answer, const std::string& said) {
  const auto x = read<v1::LedgerApplied>(answer);
  if (!x.applied())
    throw failure{exit_code::conflict,
                  "nothing was changed" + (x.key().empty() ? "" : ": " + x.key() + " is not as expected")};
  return emit(with, answer, [&] { with.err << fmt::format("{}, at index {}\n", said, x.index()); });
}
int ledger_add(const invocation& what, session& with) {
  const auto body = json{{"node", what.argument(0)}, {"address", what.argument(1)}};
  return applied(with, with.fabric().order("POST", "/v1/ledger/members", body.dump()),
                 what.argument(0) + " keeps the ledger now");
}
int ledger_remove(const invocation& what, session& with) {
  return applied(with, with.fabric().order("DELETE", below("ledger/members", what.argument(0))),
                 what.argument(0) + " left the ledger");
}
int ledger_snapshot(const invocation& what, session& with) {
  return applied(with, lasting("/v1/ledger:snapshot", {}, what, with), "the log is compacted");
}
int ledger_file(const invocation& what, session& with, const char* verb, const char* said) {
  const auto path = std::filesystem::absolute(what.argument(0)).lexically_normal().string();
  return applied(with, lasting(fmt::format("/v1/ledger:{}", verb), json{{"path", path}}.dump(), what, with),
                 fmt::format("{} {}", said, path));
}
int ledger_backup(const invocation& what, session& with) {
  return ledger_file(what, with, "backup", "the ledger is in");
}
int ledger_restore(const invocation& what, session& with) {
  return ledger_file(what, with, "restore", "the ledger is as in");
}

// operations

int operation_list(const invocation&, session& with) {
  return list<v1::OperationList>(with, "/v1/operations", [&](const auto& x) { return operation_table(x, with.now()); });
}
int operation_show(const invocation& what, session& with) {
  const auto id = what.argument(0);
  if (what.has("wait"))
    return emit(with, end_of_operation(id, what, with), [&] { with.err << id << " has ended\n"; });
  return show<v1::Operation>(with, below("operations", id), id,
                             [&](const auto& x) { print(with.out, operation_page(x, with.now()), with.output); });
}

// trust and logs

int token_create(const invocation& what, session& with) {
  for (const auto* needed : {"name", "role"})
    if (!what.has(needed))
      throw failure{exit_code::usage,
                    fmt::format("token create needs --{}; a token is for one node of one role", needed)};
  const auto body =
      json{{"name", what.get("name")}, {"role", what.get("role")}, {"life_ms", what.milliseconds("life", 3'600'000)}};
  const auto answer = with.fabric().post("/v1/tokens", body.dump());
  return emit(with, answer, [&] {
    const auto x = read<v1::JoinToken>(answer);
    with.out << harmless(x.token()) << '\n';
    if (!with.output.quiet)
      with.err << fmt::format("good once, for {}, until {}; it is not shown again\n", what.get("name"),
                              print_time(x.expires_ms()));
  });
}
int token_list(const invocation&, session& with) {
  return list<v1::TokenList>(with, "/v1/tokens", [&](const auto& x) { return token_table(x, with.now()); });
}
int certificate_revoke(const invocation& what, session& with) {
  return order(with, "POST", "/v1/certificates:revoke", {{"serial", what.argument(0)}, {"reason", what.get("reason")}},
               fmt::format("{} is refused from now on", what.argument(0)));
}
int log_level(const invocation& what, session& with) {
  return order(with, "POST", "/v1/log",
               {{"level", what.argument(0)}, {"actor", what.get("actor")}, {"node", what.get("node")}},
               fmt::format("logging {} and above", what.argument(0)));
}

using function = int (*)(const invocation&, session&);

const std::map<std::string, function, std::less<>>& functions() {
  static const auto all = std::map<std::string, function, std::less<>>{
      {"actor list", actor_list},
      {"actor show", actor_show},
      {"actor trace", trace},
      {"ask", ask},
      {"audit show", audit_show},
      {"audit verify", audit_verify},
      {"certificate revoke", certificate_revoke},
      {"checkpoint delete", checkpoint_delete},
      {"checkpoint list", checkpoint_list},
      {"checkpoint show", checkpoint_show},
      {"debug bundle", debug_bundle},
      {"delete", forget},
      {"drain", node_drain},
      {"events", events},
      {"exec", exec},
      {"explain placement", explain},
      {"function invoke", function_invoke},
      {"function list", function_list},
      {"function show", function_show},
      {"image delete", image_delete},
      {"image import", image_import},
      {"image list", image_list},
      {"instance exec", exec},
      {"instance list", instance_list},
      {"instance logs", logs},
      {"instance pause", instance_pause},
      {"instance resize", instance_resize},
      {"instance restart", instance_restart},
      {"instance resume", instance_resume},
      {"instance show", instance_show},
      {"ledger add", ledger_add},
      {"ledger backup", ledger_backup},
      {"ledger members", ledger_members},
      {"ledger records", ledger_records},
      {"ledger remove", ledger_remove},
      {"ledger restore", ledger_restore},
      {"ledger show", ledger_show},
      {"ledger snapshot", ledger_snapshot},
      {"log-level", log_level},
      {"logs", logs},
      {"migrate", migrate},
      {"migration cancel", migration_cancel},
      {"migration history", migration_history},
      {"migration list", migration_list},
      {"migration show", migration_show},
      {"node delete", node_delete},
      {"node drain", node_drain},
      {"node links", node_links},
      {"node list", node_list},
      {"node show", node_show},
      {"node taint", node_taint},
      {"node undrain", node_undrain},
      {"node untaint", node_untaint},
      {"operation list", operation_list},
      {"operation show", operation_show},
      {"plan", plan},
      {"policy delete", policy_delete},
      {"policy list", policy_list},
      {"policy set", policy_set},
      {"policy show", policy_show},
      {"ps", instance_list},
      {"quota delete", quota_delete},
      {"quota list", quota_list},
      {"quota set", quota_set},
      {"rebalance", rebalance},
      {"reservation create", reservation_create},
      {"reservation delete", reservation_delete},
      {"reservation list", reservation_list},
      {"run", run},
      {"stop", stop},
      {"template create", template_create},
      {"template delete", template_delete},
      {"template list", template_list},
      {"token create", token_create},
      {"token list", token_list},
      {"top", top},
      {"undrain", node_undrain},
      {"watch", watch},
      {"web", web},
      {"workload checkpoint", workload_checkpoint},
      {"workload convert", convert},
      {"workload create", run},
      {"workload delete", forget},
      {"workload explain", explain},
      {"workload list", workload_list},
      {"workload plan", plan},
      {"workload restore", workload_restore},
      {"workload show", workload_show},
      {"workload stop", stop},
  };
  return all;
}

} // namespace

int perform(const invocation& what, session& with) {
  const auto found = functions().find(what.what.path);
  if (found == functions().end())
    throw failure{exit_code::usage, fmt::format("'{}' does not work here", what.what.path)};
  return found->second(what, with);
}

std::vector<std::string> performed() {
  auto paths = std::vector<std::string>{};
  for (const auto& [path, unused] : functions())
    paths.push_back(path);
  return paths;
}

} // namespace novacron::shell
