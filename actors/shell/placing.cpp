#include "actors/shell/placing.hpp"

#include "actors/shell/answers.hpp"
#include "actors/shell/model_file.hpp"
#include "actors/shell/units.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace novacron::shell {
namespace {

using nlohmann::json;

std::string amount_in_words(const std::string& resource, std::uint64_t x) {
  if (resource == "memory" || resource == "disk")
    return print_bytes(x);
  return resource == "cpu" || resource == "gpu" ? fmt::format("{:g}", static_cast<double>(x) / 1000)
                                                : std::to_string(x);
}

template <class Map>
std::string amounts_in_words(const Map& x) {
  auto text = std::string{};
  for (const auto& [name, count] : std::map<std::string, std::uint64_t>(x.begin(), x.end()))
    text += (text.empty() ? "" : " ") + name + "=" + amount_in_words(name, count);
  return text;
}

template <class Map>
std::string weights_in_words(const Map& x) {
  auto text = std::string{};
  for (const auto& [name, weight] : std::map<std::string, double>(x.begin(), x.end()))
    if (weight != 0)
      text += fmt::format("{}{}={:g}", text.empty() ? "" : " ", name, weight);
  return text;
}

double number_of(const std::string& text, const char* what) {
  auto x = 0.0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), x);
  if (wrong != std::errc{} || end != text.data() + text.size())
    throw failure{exit_code::usage, fmt::format("{} is '{}', but must be a number", what, text)};
  return x;
}

/// What a flag called like a resource says: thousandths or bytes.
std::uint64_t amount_of(const invocation& what, const std::string& resource) {
  const auto bytes = resource == "memory" || resource == "disk";
  const auto x = bytes ? parse_bytes(what.get(resource)) : parse_milli(what.get(resource));
  if (!x)
    throw failure{exit_code::usage, fmt::format("--{} is '{}', but must be {}", resource, what.get(resource),
                                                bytes ? bytes_wanted : milli_wanted)};
  return *x;
}

std::string resources_in_words(const v1::Resources& x) {
  auto named = std::map<std::string, std::uint64_t>{
      {"cpu", x.cpu_milli()}, {"memory", x.memory_bytes()}, {"disk", x.disk_bytes()}, {"gpu", x.gpu_milli()}};
  named.insert(x.extra().begin(), x.extra().end());
  std::erase_if(named, [](const auto& each) { return each.second == 0; });
  return amounts_in_words(named);
}

/// "room=1,spread=2".
json weights_of(const std::string& text) {
  auto found = json::object();
  for (auto rest = std::string_view{text}; !rest.empty();) {
    const auto part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    const auto sign = part.find('=');
    if (sign == part.npos || sign == 0)
      throw failure{exit_code::usage, fmt::format("--weights holds '{}', but must be FEATURE=NUMBER,...", part)};
    found[std::string{part.substr(0, sign)}] = number_of(std::string{part.substr(sign + 1)}, "a weight");
  }
  return found;
}

/// "learned, 96.3 % where balance fills 93.4 %", or why it is not used.
std::string origin_in_words(const v1::Policy& x) {
  if (!x.fallback().empty())
    return "not used: " + x.fallback();
  if (!x.has_training())
    return {};
  return fmt::format("learned, {:.2f} % where {} fills {:.2f} %", x.training().score(), x.training().against(),
                     x.training().score_against());
}

json model_of(const std::string& file, session& with) {
  const auto found = parse_model(with.read_file(file), file == "-" ? "stdin" : file);
  auto text = std::string{};
  for (const auto& x : found.errors)
    text += (text.empty() ? "" : "\n") + harmless(x);
  if (!text.empty())
    throw failure{exit_code::usage, text};
  return json::parse(json_of(found.order));
}

int show_plan(const std::string& answer, session& with) {
  return emit(with, answer, [&] {
    const auto plan = read<v1::Plan>(answer);
    if (plan.steps_size() > 0)
      print(with.out, plan_table(plan), with.output);
    if (!with.output.quiet && with.output.as != format::name)
      with.err << harmless(plan.summary()) << '\n';
  });
}

v1::PolicyList policies(session& with) {
  return read<v1::PolicyList>(with.fabric().get("/v1/policies"));
}

} // namespace

// policies

int policy_list(const invocation&, session& with) {
  return list<v1::PolicyList>(with, "/v1/policies", [](const auto& x) {
    auto out = table{.columns = {{"NAME"}, {"DEFAULT"}, {"ORIGIN"}, {"WEIGHTS"}}, .rows = {}, .noun = "policy"};
    for (const auto& p : x.policies())
      out.rows.push_back({p.name(), p.name() == x.settings().policy() ? "yes" : "", origin_in_words(p),
                          weights_in_words(p.weights())});
    return out;
  });
}

int policy_show(const invocation& what, session& with) {
  const auto all = policies(with);
  auto known = std::vector<std::string>{};
  for (const auto& x : all.policies()) {
    known.push_back(x.name());
    if (x.name() != what.argument(0))
      continue;
    return emit(with, json_of(x), [&] {
      auto page = lines{{"name", x.name()}, {"default", x.name() == all.settings().policy() ? "yes" : ""}};
      if (const auto& how = x.training(); x.has_training()) {
        page.emplace_back("version", std::to_string(x.version()));
        page.emplace_back("learned from", how.history());
        page.emplace_back("filled", fmt::format("{:.2f} % of what it had not seen, {} runs", how.score(), how.runs()));
        page.emplace_back(how.against(),
                          fmt::format("{:.2f} %, deviation {:.2f}", how.score_against(), how.deviation()));
      }
      if (!x.fallback().empty())
        page.emplace_back("not used", x.fallback() + "; balance is used in its place");
      for (const auto& [feature, weight] : std::map<std::string, double>(x.weights().begin(), x.weights().end()))
        page.emplace_back(feature, fmt::format("{:g}", weight));
      print(with.out, page, with.output);
    });
  }
  throw failure{exit_code::not_found,
                fmt::format("there is no policy '{}'{}", what.argument(0), did_you_mean(what.argument(0), known))};
}

int policy_set(const invocation& what, session& with) {
  const auto name = what.argument(0);
  if (what.has("dry-run")) {
    if (what.has("weights") || what.has("model"))
      throw failure{exit_code::usage, "--dry-run tries a policy that is there; write it down first with --define"};
    const auto body = json{{"dry_run", true}, {"policy", name}, {"max_moves", 100}};
    return show_plan(with.fabric().order("POST", "/v1/scheduler:rebalance", body.dump()), with);
  }
  const auto define = what.has("define");
  if (what.has("model")) {
    if (what.has("weights"))
      throw failure{exit_code::usage, "--model and --weights exclude each other"};
    auto body = model_of(what.get("model"), with);
    body["only_define"] = define;
    return order(with, "PUT", below("policies", name), body,
                 define ? fmt::format("the next version of {} is written down", name)
                        : fmt::format("the next version of {} is the cluster's policy", name));
  }
  if (define && !what.has("weights"))
    throw failure{exit_code::usage, "--define needs --weights or --model"};
  const auto body = json{{"weights", weights_of(what.get("weights"))}, {"only_define", define}};
  return order(with, "PUT", below("policies", name), body,
               define ? fmt::format("{} is written down", name) : fmt::format("{} is the cluster's policy", name));
}

int policy_delete(const invocation& what, session& with) {
  return order(with, "DELETE", below("policies", what.argument(0)), {},
               fmt::format("{} is forgotten", what.argument(0)));
}

// quotas

int quota_list(const invocation&, session& with) {
  return list<v1::QuotaList>(with, "/v1/quotas", [](const auto& x) {
    auto out = table{.columns = {{"TENANT"}, {"LIMITS"}, {"USED"}, {"SHARE", false, true}, {"WEIGHT", false, true}},
                     .rows = {},
                     .noun = "tenant"};
    for (const auto& q : x.quotas())
      out.rows.push_back({q.quota().tenant(), amounts_in_words(q.quota().limits()), amounts_in_words(q.used()),
                          fmt::format("{:.3f}", q.share()),
                          fmt::format("{:g}", q.quota().weight() > 0 ? q.quota().weight() : 1)});
    return out;
  });
}

int quota_set(const invocation& what, session& with) {
  auto quota = v1::Quota{};
  quota.set_tenant(what.argument(0));
  auto& limits = *quota.mutable_limits();
  for (const auto* name : {"cpu", "gpu", "memory", "disk"})
    if (what.has(name))
      limits[name] = amount_of(what, name);
  if (what.has("weight"))
    quota.set_weight(number_of(what.get("weight"), "--weight"));
  return order(
      with, "PUT", below("quotas", what.argument(0)), json::parse(json_of(quota)),
      fmt::format("{} may have {}", what.argument(0), limits.empty() ? "all there is" : amounts_in_words(limits)));
}

int quota_delete(const invocation& what, session& with) {
  return order(with, "DELETE", below("quotas", what.argument(0)), {},
               fmt::format("{} has no limit any more", what.argument(0)));
}

// room that is kept

int reservation_list(const invocation&, session& with) {
  return list<v1::ReservationList>(with, "/v1/reservations", [](const auto& x) {
    auto out = table{
        .columns =
            {{"NAME"}, {"STATE"}, {"PLACES", false, true}, {"EACH"}, {"TAKEN"}, {"TENANT"}, {"UNTIL"}, {"REASON"}},
        .rows = {},
        .noun = "reservation"};
    for (const auto& r : x.reservations()) {
      const auto& kept = r.reservation();
      out.rows.push_back({kept.name(), r.state(), std::to_string(kept.places()), resources_in_words(kept.resources()),
                          resources_in_words(r.taken()), kept.tenant(),
                          kept.until_ms() > 0 ? print_time(kept.until_ms()) : "", r.reason()});
    }
    return out;
  });
}

int reservation_create(const invocation& what, session& with) {
  auto wanted = v1::ReservationOrder{};
  auto& each = *wanted.mutable_resources();
  if (what.has("cpu"))
    each.set_cpu_milli(amount_of(what, "cpu"));
  if (what.has("memory"))
    each.set_memory_bytes(amount_of(what, "memory"));
  if (what.has("disk"))
    each.set_disk_bytes(amount_of(what, "disk"));
  if (what.has("gpu"))
    each.set_gpu_milli(amount_of(what, "gpu"));
  each.set_gpu_model(what.get("gpu-model"));
  const auto places = parse_number(what.get("places", "1")).value_or(0);
  if (places < 1 || places > 1000)
    throw failure{exit_code::usage, fmt::format("--places is {}, but must be from 1 to 1000", what.get("places"))};
  wanted.set_places(static_cast<std::uint32_t>(places));
  wanted.set_tenant(what.get("tenant"));
  const auto labels = what.get("require");
  for (auto rest = std::string_view{labels}; !rest.empty();) {
    const auto part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    const auto sign = part.find('=');
    if (sign == part.npos || sign == 0)
      throw failure{exit_code::usage, fmt::format("--require holds '{}', but must be KEY=VALUE,...", part)};
    (*wanted.mutable_require())[std::string{part.substr(0, sign)}] = part.substr(sign + 1);
  }
  wanted.set_begins_in_ms(parse_duration(what.get("begins-in", "0")).value_or(0));
  wanted.set_lasts_ms(parse_duration(what.get("for", "0")).value_or(0));
  return order(with, "PUT", below("reservations", what.argument(0)), json::parse(json_of(wanted)),
               fmt::format("{} keeps {} at {} place{}; `novacron reservation list` says where it stands",
                           what.argument(0), resources_in_words(each), places, places == 1 ? "" : "s"));
}

int reservation_delete(const invocation& what, session& with) {
  return order(with, "DELETE", below("reservations", what.argument(0)), {},
               fmt::format("{} keeps no room any more", what.argument(0)));
}

// taints

int node_taint(const invocation& what, session& with) {
  const auto text = what.argument(1);
  const auto sign = text.find('=');
  const auto taint = json{{"key", text.substr(0, sign)},
                          {"value", sign == text.npos ? "" : text.substr(sign + 1)},
                          {"effect", what.get("effect", "refuse")}};
  return order(with, "POST", below("nodes", what.argument(0)) + ":taint", {{"taint", taint}},
               fmt::format("{} has the taint {}", what.argument(0), text));
}

int node_untaint(const invocation& what, session& with) {
  return order(with, "POST", below("nodes", what.argument(0)) + ":taint",
               {{"taint", {{"key", what.argument(1)}}}, {"removed", true}},
               fmt::format("{} no longer has the taint {}", what.argument(0), what.argument(1)));
}

// moves

int rebalance(const invocation& what, session& with) {
  auto body = json{{"dry_run", what.has("dry-run")}, {"max_moves", what.number("max-moves", 0)}};
  if (what.has("every"))
    body["every_ms"] = what.milliseconds("every", 0);
  return show_plan(with.fabric().order("POST", "/v1/scheduler:rebalance", body.dump()), with);
}

} // namespace novacron::shell
