#include "actors/shell/workload_file.hpp"

#include "actors/shell/toml_reader.hpp"
#include "actors/shell/units.hpp"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include <set>

namespace novacron::shell {
namespace {

using key = toml_reader::key;

/// Chosen: more instances of one workload, or more of anything counted, are a slip of the finger.
constexpr auto count_max = std::int64_t{100'000};
constexpr auto port_max = std::int64_t{65'535};
/// Required: instance names become host names, and a label of those has 63 characters.
constexpr auto name_length_max = std::size_t{57};

class workload_reader {
public:
  explicit workload_reader(toml_reader& from) : from{from} {}

  v1::WorkloadSpec read(const toml::table& source, const std::string& where) {
    auto x = v1::WorkloadSpec{};
    auto& program = *x.mutable_program();
    x.set_kind(v1::WORKLOAD_KIND_CONTAINER);
    x.set_stop_grace_ms(10'000);
    x.mutable_on_disconnect()->set_action(v1::ON_DISCONNECT_KEEP);
    const auto keys = std::vector<key>{
        {"name", [&](auto at) { x.set_name(name_of(at)); }},
        {"kind", [&](auto at) { from.choose(at, kinds, [&](auto v) { x.set_kind(v); }); }},
        {"image", [&](auto at) { from.text(at, [&](auto v) { program.set_image(std::move(v)); }); }},
        {"command", [&](auto at) { from.texts(at, [&](auto v) { program.add_command(std::move(v)); }); }},
        {"env", [&](auto at) { from.map(at, *program.mutable_env()); }},
        {"workdir", [&](auto at) { from.text(at, [&](auto v) { program.set_workdir(std::move(v)); }); }},
        {"user", [&](auto at) { from.text(at, [&](auto v) { program.set_user(std::move(v)); }); }},
        {"read_only_root", [&](auto at) { from.yes_no(at, [&](auto v) { program.set_read_only_root(v); }); }},
        {"mounts", [&](auto at) { from.tables(at, [&](auto& t, auto p) { mount(t, p, *program.add_mounts()); }); }},
        {"replicas", [&](auto at) { from.whole(at, 0, count_max, [&](auto v) { x.set_replicas(narrow(v)); }); }},
        {"priority",
         [&](auto at) { from.whole(at, -1'000'000, 1'000'000, [&](auto v) { x.set_priority(static_cast<int>(v)); }); }},
        {"preempts", [&](auto at) { from.choose(at, preempts, [&](auto v) { x.set_preempts(v); }); }},
        {"tenant", [&](auto at) { from.text(at, [&](auto v) { x.set_tenant(std::move(v)); }); }},
        {"labels", [&](auto at) { from.map(at, *x.mutable_labels()); }},
        {"resources",
         [&](auto at) { from.table(at, [&](auto& t, auto p) { resources(t, p, *x.mutable_resources()); }); }},
        {"placement",
         [&](auto at) { from.table(at, [&](auto& t, auto p) { placement(t, p, *x.mutable_placement()); }); }},
        {"restart", [&](auto at) { from.table(at, [&](auto& t, auto p) { restart(t, p, *x.mutable_restart()); }); }},
        {"on_disconnect", [&](auto at) { on_disconnect(at, *x.mutable_on_disconnect()); }},
        {"health", [&](auto at) { from.table(at, [&](auto& t, auto p) { health(t, p, *x.mutable_health()); }); }},
        {"network", [&](auto at) { from.table(at, [&](auto& t, auto p) { network(t, p, *x.mutable_network()); }); }},
        {"batch", [&](auto at) { from.table(at, [&](auto& t, auto p) { batch(t, p, *x.mutable_batch()); }); }},
        {"function", [&](auto at) { from.table(at, [&](auto& t, auto p) { function(t, p, *x.mutable_function()); }); }},
        {"conversion",
         [&](auto at) { from.table(at, [&](auto& t, auto p) { conversion(t, p, *x.mutable_conversion()); }); }},
        {"stop_grace", [&](auto at) { from.duration(at, [&](auto v) { x.set_stop_grace_ms(v); }); }},
    };
    from.read(source, where, keys);
    complete(source, where, x);
    return x;
  }

private:
  using choices_of_kind = std::vector<std::pair<std::string, v1::WorkloadKind>>;
  inline static const auto kinds = choices_of_kind{{"container", v1::WORKLOAD_KIND_CONTAINER},
                                                   {"sandbox", v1::WORKLOAD_KIND_SANDBOX},
                                                   {"vm", v1::WORKLOAD_KIND_VM},
                                                   {"function", v1::WORKLOAD_KIND_FUNCTION},
                                                   {"batch", v1::WORKLOAD_KIND_BATCH}};

  inline static const auto preempts = std::vector<std::pair<std::string, v1::Preempts>>{
      {"lower", v1::PREEMPTS_LOWER}, {"never", v1::PREEMPTS_NEVER}};

  static std::uint32_t narrow(std::int64_t x) { return static_cast<std::uint32_t>(x); }

  std::string name_of(toml_reader::place at) {
    auto found = std::string{};
    from.text(at, [&](std::string v) {
      const auto letters = "abcdefghijklmnopqrstuvwxyz0123456789-";
      if (v.empty() || v.size() > name_length_max || v.find_first_not_of(letters) != v.npos || v.front() == '-' ||
          v.back() == '-')
        from.complain(at,
                      fmt::format("1 to {} of a-z, 0-9 and '-', not beginning or ending with '-'", name_length_max));
      else
        found = std::move(v);
    });
    return found;
  }

  /// What was left out and what does not go together.
  void complete(const toml::table& source, const std::string& where, v1::WorkloadSpec& x) {
    const auto batch = x.kind() == v1::WORKLOAD_KIND_BATCH;
    if (!source.contains("name"))
      from.miss(source, where, "name", "the workload's name, such as \"web\"");
    if (!source.contains("image"))
      from.miss(source, where, "image", "the name of an image, such as \"web:1\"");
    if (batch && source.contains("replicas"))
      from.complain(source, where + "replicas", "batch.completions and batch.parallelism for a batch workload");
    if (!batch && source.contains("batch"))
      from.complain(source, where + "batch", "kind = \"batch\" to go with it");
    const auto function = x.kind() == v1::WORKLOAD_KIND_FUNCTION;
    if (!function && source.contains("function"))
      from.complain(source, where + "function", "kind = \"function\" to go with it");
    if (function && source.contains("replicas"))
      from.complain(source, where + "replicas", "function.instances_min and function.instances_max for a function");
    if (function && source.contains("health"))
      from.complain(source, where + "health", "none: the calls of a function tell how it is");
    // What nobody chose the fabric chooses.
    if (function && !source.contains("on_disconnect"))
      x.clear_on_disconnect();
    if (batch) {
      auto& rules = *x.mutable_batch();
      rules.set_completions(std::max(1u, rules.completions()));
      rules.set_parallelism(std::max(1u, rules.parallelism()));
    } else if (!function && !source.contains("replicas"))
      x.set_replicas(1);
    auto& restart = *x.mutable_restart();
    if (restart.when() == v1::RESTART_WHEN_UNSPECIFIED)
      restart.set_when(batch ? v1::RESTART_WHEN_NEVER : v1::RESTART_WHEN_ALWAYS);
    if (!restart.delay_ms())
      restart.set_delay_ms(100);
    if (!restart.delay_max_ms())
      restart.set_delay_max_ms(std::max<std::uint64_t>(30'000, restart.delay_ms()));
    if (x.network().mode().empty())
      x.mutable_network()->set_mode("bridge");
  }

  void mount(const toml::table& t, const std::string& where, v1::Mount& x) {
    from.read(t, where,
              {{"source", [&](auto at) { path(at, [&](auto v) { x.set_source(std::move(v)); }); }},
               {"target", [&](auto at) { path(at, [&](auto v) { x.set_target(std::move(v)); }); }},
               {"read_only", [&](auto at) { from.yes_no(at, [&](auto v) { x.set_read_only(v); }); }}});
    for (const auto* name : {"source", "target"})
      if (!t.contains(name))
        from.miss(t, where, name, "an absolute path");
  }

  template <class Take>
  void path(toml_reader::place at, Take take) {
    from.text(at,
              [&](std::string v) { v.starts_with('/') ? take(std::move(v)) : from.complain(at, "an absolute path"); });
  }

  void resources(const toml::table& t, const std::string& where, v1::Resources& x) {
    from.read(t, where,
              {{"cpu", [&](auto at) { from.milli(at, [&](auto v) { x.set_cpu_milli(v); }); }},
               {"memory", [&](auto at) { from.bytes(at, [&](auto v) { x.set_memory_bytes(v); }); }},
               {"disk", [&](auto at) { from.bytes(at, [&](auto v) { x.set_disk_bytes(v); }); }},
               {"gpu", [&](auto at) { from.milli(at, [&](auto v) { x.set_gpu_milli(v); }); }},
               {"gpu_model", [&](auto at) { from.text(at, [&](auto v) { x.set_gpu_model(std::move(v)); }); }},
               {"extra", [&](auto at) { from.counts(at, *x.mutable_extra()); }}});
  }

  void placement(const toml::table& t, const std::string& where, v1::PlacementRules& x) {
    from.read(t, where,
              {{"policy", [&](auto at) { from.text(at, [&](auto v) { x.set_policy(std::move(v)); }); }},
               {"require", [&](auto at) { from.map(at, *x.mutable_require()); }},
               {"prefer", [&](auto at) { from.map(at, *x.mutable_prefer()); }},
               {"near",
                [&](auto at) {
                  from.texts_or_tables(
                      at, [&](auto v) { x.add_near(std::move(v)); },
                      [&](auto& s, auto p) { neighbour(s, p, *x.add_near_to()); });
                }},
               {"apart",
                [&](auto at) {
                  from.texts_or_tables(
                      at, [&](auto v) { x.add_apart(std::move(v)); },
                      [&](auto& s, auto p) { neighbour(s, p, *x.add_apart_from()); });
                }},
               {"spread", [&](auto at) { from.tables(at, [&](auto& s, auto p) { spread(s, p, *x.add_spread()); }); }},
               {"where", [&](auto at) { from.tables(at, [&](auto& s, auto p) { label(s, p, *x.add_where()); }); }},
               {"tolerate",
                [&](auto at) { from.tables(at, [&](auto& s, auto p) { toleration(s, p, *x.add_tolerate()); }); }},
               {"gang", [&](auto at) { from.yes_no(at, [&](auto v) { x.set_gang(v); }); }},
               {"reservation", [&](auto at) { from.text(at, [&](auto v) { x.set_reservation(std::move(v)); }); }}});
  }

  void neighbour(const toml::table& t, const std::string& where, v1::Neighbour& x) {
    from.read(t, where,
              {{"who", [&](auto at) { from.text(at, [&](auto v) { x.set_who(std::move(v)); }); }},
               {"over", [&](auto at) { from.text(at, [&](auto v) { x.set_over(std::move(v)); }); }},
               {"prefer", [&](auto at) { from.yes_no(at, [&](auto v) { x.set_prefer(v); }); }}});
    if (!t.contains("who"))
      from.miss(t, where, "who", "a workload's name, or a label of workloads such as \"app=web\"");
  }

  void label(const toml::table& t, const std::string& where, v1::LabelRule& x) {
    static const auto relations = std::vector<std::pair<std::string, std::string>>{
        {"in", "in"},         {"not_in", "not_in"}, {"exists", "exists"},
        {"absent", "absent"}, {"above", "above"},   {"below", "below"}};
    from.read(t, where,
              {{"key", [&](auto at) { from.text(at, [&](auto v) { x.set_key(std::move(v)); }); }},
               {"relation", [&](auto at) { from.choose(at, relations, [&](auto v) { x.set_relation(v); }); }},
               {"values", [&](auto at) { from.texts(at, [&](auto v) { x.add_values(std::move(v)); }); }}});
    if (!t.contains("key"))
      from.miss(t, where, "key", "\"zone\", \"region\", \"node\" or a node label");
    if (!t.contains("relation"))
      from.miss(t, where, "relation", "\"in\", \"not_in\", \"exists\", \"absent\", \"above\" or \"below\"");
  }

  void toleration(const toml::table& t, const std::string& where, v1::Toleration& x) {
    static const auto effects = std::vector<std::pair<std::string, std::string>>{
        {"refuse", "refuse"}, {"avoid", "avoid"}, {"evict", "evict"}};
    from.read(t, where,
              {{"key", [&](auto at) { from.text(at, [&](auto v) { x.set_key(std::move(v)); }); }},
               {"value", [&](auto at) { from.text(at, [&](auto v) { x.set_value(std::move(v)); }); }},
               {"effect", [&](auto at) { from.choose(at, effects, [&](auto v) { x.set_effect(v); }); }}});
  }

  void spread(const toml::table& t, const std::string& where, v1::SpreadRule& x) {
    x.set_max_skew(1);
    from.read(
        t, where,
        {{"key", [&](auto at) { from.text(at, [&](auto v) { x.set_key(std::move(v)); }); }},
         {"max_skew", [&](auto at) { from.whole(at, 1, count_max, [&](auto v) { x.set_max_skew(narrow(v)); }); }},
         {"prefer", [&](auto at) { from.yes_no(at, [&](auto v) { x.set_prefer(v); }); }}});
    if (!t.contains("key"))
      from.miss(t, where, "key", "\"zone\", \"region\", \"node\" or a node label");
  }

  void conversion(const toml::table& t, const std::string& where, v1::ConversionRules& x) {
    from.read(t, where, {{"restart", [&](auto at) { from.yes_no(at, [&](auto v) { x.set_restart(v); }); }}});
  }

  void restart(const toml::table& t, const std::string& where, v1::RestartPolicy& x) {
    static const auto when =
        std::vector<std::pair<std::string, v1::RestartWhen>>{{"always", v1::RESTART_WHEN_ALWAYS},
                                                             {"on_failure", v1::RESTART_WHEN_ON_FAILURE},
                                                             {"never", v1::RESTART_WHEN_NEVER}};
    from.read(t, where,
              {{"when", [&](auto at) { from.choose(at, when, [&](auto v) { x.set_when(v); }); }},
               {"limit", [&](auto at) { from.whole(at, 0, count_max, [&](auto v) { x.set_limit(narrow(v)); }); }},
               {"delay", [&](auto at) { from.duration(at, [&](auto v) { x.set_delay_ms(v); }); }},
               {"delay_max", [&](auto at) { from.duration(at, [&](auto v) { x.set_delay_max_ms(v); }); }}});
    if (x.delay_max_ms() && x.delay_max_ms() < x.delay_ms())
      from.complain(t, where + "delay_max", "at least restart.delay");
  }

  void on_disconnect(toml_reader::place at, v1::DisconnectPolicy& x) {
    constexpr auto wanted = "\"keep\", \"replace\" or \"stop_after 30s\"";
    from.text(at, [&](const std::string& v) {
      if (v == "keep")
        x.set_action(v1::ON_DISCONNECT_KEEP);
      else if (v == "replace")
        x.set_action(v1::ON_DISCONNECT_REPLACE);
      else if (const auto after = v.starts_with("stop_after ") ? parse_duration(v.substr(11)) : std::nullopt) {
        x.set_action(v1::ON_DISCONNECT_STOP_AFTER);
        x.set_after_ms(*after);
      } else
        from.complain(at, wanted);
    });
  }

  void health(const toml::table& t, const std::string& where, v1::HealthCheck& x) {
    x.set_interval_ms(5'000);
    x.set_timeout_ms(1'000);
    x.set_failures(3);
    x.set_grace_ms(5'000);
    from.read(t, where,
              {{"command", [&](auto at) { from.texts(at, [&](auto v) { x.add_command(std::move(v)); }); }},
               {"http", [&](auto at) { path(at, [&](auto v) { x.set_http_path(std::move(v)); }); }},
               {"port", [&](auto at) { from.whole(at, 1, port_max, [&](auto v) { x.set_port(narrow(v)); }); }},
               {"interval", [&](auto at) { positive(at, [&](auto v) { x.set_interval_ms(v); }); }},
               {"timeout", [&](auto at) { positive(at, [&](auto v) { x.set_timeout_ms(v); }); }},
               {"failures", [&](auto at) { from.whole(at, 1, count_max, [&](auto v) { x.set_failures(narrow(v)); }); }},
               {"grace", [&](auto at) { from.duration(at, [&](auto v) { x.set_grace_ms(v); }); }}});
    const auto command = t.contains("command");
    if (command ? t.contains("http") || t.contains("port") : !t.contains("port"))
      from.complain(t, where, "either `command`, or `port` with or without `http`");
  }

  template <class Take>
  void positive(toml_reader::place at, Take take) {
    from.duration(at, [&](auto v) { v > 0 ? take(v) : from.complain(at, "a duration above 0"); });
  }

  void network(const toml::table& t, const std::string& where, v1::NetworkRules& x) {
    static const auto modes =
        std::vector<std::pair<std::string, std::string>>{{"bridge", "bridge"}, {"host", "host"}, {"none", "none"}};
    from.read(t, where,
              {{"mode", [&](auto at) { from.choose(at, modes, [&](auto v) { x.set_mode(v); }); }},
               {"ports", [&](auto at) { from.tables(at, [&](auto& p, auto w) { port(p, w, *x.add_ports()); }); }}});
    auto taken = std::set<std::uint32_t>{};
    for (const auto& p : x.ports())
      if (p.host() && !taken.insert(p.host()).second)
        from.complain(t, where + "ports", fmt::format("each host port once, not {} twice", p.host()));
    if (x.mode() == "none" && x.ports_size() > 0)
      from.complain(t, where + "ports", "no ports with network.mode = \"none\"");
  }

  void port(const toml::table& t, const std::string& where, v1::PortMap& x) {
    from.read(t, where,
              {{"host", [&](auto at) { from.whole(at, 0, port_max, [&](auto v) { x.set_host(narrow(v)); }); }},
               {"inside", [&](auto at) { from.whole(at, 1, port_max, [&](auto v) { x.set_inside(narrow(v)); }); }}});
    if (!t.contains("inside"))
      from.miss(t, where, "inside", "a port from 1 to 65535");
  }

  void batch(const toml::table& t, const std::string& where, v1::BatchRules& x) {
    from.read(
        t, where,
        {{"completions", [&](auto at) { from.whole(at, 1, count_max, [&](auto v) { x.set_completions(narrow(v)); }); }},
         {"parallelism", [&](auto at) { from.whole(at, 1, count_max, [&](auto v) { x.set_parallelism(narrow(v)); }); }},
         {"retries", [&](auto at) { from.whole(at, 0, count_max, [&](auto v) { x.set_retries(narrow(v)); }); }},
         {"deadline", [&](auto at) { from.duration(at, [&](auto v) { x.set_deadline_ms(v); }); }}});
  }

  void function(const toml::table& t, const std::string& where, v1::FunctionRules& x) {
    static const auto handlers =
        std::vector<std::pair<std::string, std::string>>{{"each", "each"}, {"stream", "stream"}};
    constexpr auto lanes_max = 32;
    constexpr auto waiting_max = 1000;
    from.read(
        t, where,
        {{"handler", [&](auto at) { from.choose(at, handlers, [&](auto v) { x.set_handler(v); }); }},
         {"concurrency", [&](auto at) { from.whole(at, 1, lanes_max, [&](auto v) { x.set_concurrency(narrow(v)); }); }},
         {"instances_min",
          [&](auto at) { from.whole(at, 0, count_max, [&](auto v) { x.set_instances_min(narrow(v)); }); }},
         {"instances_max",
          [&](auto at) { from.whole(at, 1, count_max, [&](auto v) { x.set_instances_max(narrow(v)); }); }},
         {"waiting_max",
          [&](auto at) { from.whole(at, 1, waiting_max, [&](auto v) { x.set_waiting_max(narrow(v)); }); }},
         {"timeout", [&](auto at) { positive(at, [&](auto v) { x.set_timeout_ms(v); }); }},
         {"keep_alive", [&](auto at) { positive(at, [&](auto v) { x.set_keep_alive_ms(v); }); }}});
    if (x.instances_max() > 0 && x.instances_min() > x.instances_max())
      from.complain(t, where + "instances_min", "at most function.instances_max");
  }

  toml_reader& from;
};

void read_all(toml_reader& from, const toml::table& root, workload_file& out) {
  auto reader = workload_reader{from};
  if (!root.contains("workload")) {
    out.workloads.push_back(reader.read(root, ""));
    return;
  }
  from.read(root, "", {{"workload", [&](auto at) {
                          from.tables(at, [&](auto& t, auto where) { out.workloads.push_back(reader.read(t, where)); });
                        }}});
}

void check_names(workload_file& out, std::string_view file) {
  auto seen = std::set<std::string>{};
  for (const auto& x : out.workloads)
    if (!x.name().empty() && !seen.insert(x.name()).second)
      out.errors.push_back(fmt::format("{}: there are two workloads called '{}'", file, x.name()));
}

/// One spec, a list of them, or what `workload show` and `workload list` print.
void read_json(const nlohmann::json& x, std::string_view file, workload_file& out) {
  if (x.is_array() || (x.is_object() && x.contains("workloads") && x["workloads"].is_array())) {
    for (const auto& each : x.is_array() ? x : x["workloads"])
      if (each.is_object())
        read_json(each, file, out);
      else
        out.errors.push_back(fmt::format("{}: a list of workloads holds something else", file));
    return;
  }
  if (x.contains("record") && x["record"].is_object() && x["record"].contains("spec"))
    return read_json(x["record"]["spec"], file, out);
  auto spec = v1::WorkloadSpec{};
  const auto text = x.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto status = google::protobuf::util::JsonStringToMessage(text, &spec);
  if (!status.ok())
    out.errors.push_back(fmt::format("{}: {}", file, std::string{status.message()}));
  else if (spec.name().empty())
    out.errors.push_back(fmt::format("{}: name is missing: the workload's name, such as \"web\"", file));
  else
    out.workloads.push_back(std::move(spec));
}

/// Required: a parser that goes into itself for each bracket ends with the stack of the program.
constexpr auto depth_max = 64;

bool too_deep(std::string_view text) {
  auto depth = 0;
  for (const auto c : text) {
    depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
    if (depth > depth_max)
      return true;
  }
  return false;
}

} // namespace

workload_file parse_workloads(std::string_view text, std::string_view file) {
  auto out = workload_file{};
  const auto first = text.find_first_not_of(" \t\r\n");
  if (text.size() > workload_file_bytes_max)
    out.errors.push_back(fmt::format("{}: larger than {}", file, print_bytes(workload_file_bytes_max)));
  else if (first == text.npos)
    out.errors.push_back(fmt::format("{}: there is nothing in it", file));
  else if (too_deep(text))
    out.errors.push_back(fmt::format("{}: brackets within brackets, more than {} deep", file, depth_max));
  else if (text[first] == '{' || (text[first] == '[' && nlohmann::json::accept(text))) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded())
      out.errors.push_back(fmt::format("{}: this is no JSON", file));
    else
      read_json(json, file, out);
  } else {
    auto from = toml_reader{file, out.errors};
    if (const auto root = from.parse(text))
      read_all(from, *root, out);
  }
  if (out.errors.empty())
    check_names(out, file);
  if (!out.errors.empty())
    out.workloads.clear();
  return out;
}

} // namespace novacron::shell
