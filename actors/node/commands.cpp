#include "actors/node/commands.hpp"

#include "actors/host/figures.hpp"
#include "actors/host/version.hpp"
#include "actors/node/benches.hpp"
#include "actors/node/demo.hpp"
#include "actors/node/dev.hpp"
#include "actors/node/doctor_probe.hpp"
#include "actors/node/join.hpp"
#include "actors/node/local_fabric.hpp"
#include "actors/node/node_process.hpp"
#include "actors/node/policy_training.hpp"
#include "actors/shell/output.hpp"
#include "actors/simulation/simulate.hpp"
#include "actors/state/history.hpp"
#include "actors/workload/image_pack.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

namespace novacron::node {
namespace {

namespace fs = std::filesystem;

constexpr auto exit_usage = 2;

std::string own_path() {
  return fs::read_symlink("/proc/self/exe").string();
}

int complain(const std::string& text, int code = 1) {
  std::cerr << "novacron: " << text << "\n";
  return code;
}

/// Flags that are settings, in the words of the configuration: --log-level is log.level, --data-dir is data_dir.
std::map<std::string, std::string> settings_in(const shell::invocation& x) {
  auto found = std::map<std::string, std::string>{};
  for (const auto& [key, variable] : single_settings()) {
    auto flag = key;
    std::ranges::replace(flag, '.', '-');
    std::ranges::replace(flag, '_', '-');
    if (x.has(flag))
      found.emplace(key, x.get(flag));
  }
  return found;
}

/// The settings of a process, or nothing after all that is wrong with them was said.
std::optional<configuration> configured(const shell::invocation& x, const fs::path& data_root) {
  auto found = resolve(usual_layers(settings_in(x), x.get("config")), data_root);
  for (const auto& wrong : found.problems)
    std::cerr << "novacron: " << to_string(wrong) << "\n";
  if (!found.problems.empty())
    return {};
  host::set_log_level(found.settings.log.level);
  host::set_log_format(found.settings.log.format);
  return std::move(found.settings);
}

int run_role(const shell::invocation& x) {
  auto settings = configured(x, usual_data_root());
  if (!settings)
    return exit_usage;
  if (!settings->self)
    return complain("which node is this? Say --role=ROLE and --name=NAME, or NAME alone for one of nodes.toml", exit_usage);
  return run_node({*settings, *settings->self, own_path()});
}

int run_dev(const shell::invocation& x) {
  return dev({.program = own_path(), .config_file = x.get("config"), .data_dir = x.get("data-dir")});
}

int run_demo(const shell::invocation& x) {
  return demo({.program = own_path(), .config_file = x.get("config"), .interactive = ::isatty(0) == 1 && ::isatty(1) == 1});
}

int run_join(const shell::invocation& x) {
  const auto server = parse_endpoint(x.get("connect"));
  if (!server || !x.has("token") || !x.has("name") || !x.has("role"))
    return complain("join needs --connect=HOST:PORT (the API of a controller), --token=TOKEN, --name=NAME and --role=ROLE", exit_usage);
  const auto data = x.has("data-dir") ? fs::path{x.get("data-dir")} : usual_data_root() / x.get("name");
  try {
    const auto who = join({*server, x.get("token"), x.get("name"), x.get("role"), data / "trust"});
    const auto where = x.has("data-dir") ? " --data-dir=" + data.string() : std::string{};
    std::cerr << fmt::format("{} {} has joined; start it with: novacron --role={} --name={}{}\n", who.role, who.name, who.role,
                             who.name, where);
    return 0;
  } catch (const join_error& problem) {
    return complain(problem.what(), problem.what_kind == join_error::kind::unreachable ? 6 : 7);
  } catch (const std::exception& problem) {
    return complain(problem.what());
  }
}

int run_doctor(const shell::invocation& x) {
  auto settings = configured(x, usual_data_root());
  if (!settings)
    return exit_usage;
  const auto* self = settings->self ? &settings->nodes[*settings->self] : nullptr;
  const auto found = diagnose(probe(*settings, self, false));
  const auto as_json = x.get("output") == "json";
  std::cout << (as_json ? to_json(found) : to_table(found, ::isatty(1) == 1)) << (as_json ? "\n" : "");
  return worst(found) == grade::missing ? 1 : 0;
}

int show_config(const shell::invocation& x) {
  const auto found = resolve(usual_layers(settings_in(x), x.get("config")), usual_data_root());
  for (const auto& wrong : found.problems)
    std::cerr << "novacron: " << to_string(wrong) << "\n";
  auto rows = shell::table{.columns = {{"SETTING"}, {"VALUE"}, {"FROM"}}, .rows = {}, .noun = {}};
  auto as_json = nlohmann::ordered_json::array();
  for (const auto& one : found.shown) {
    rows.rows.push_back({one.key, one.value, one.from});
    as_json.push_back({{"setting", one.key}, {"value", one.value}, {"from", one.from}});
  }
  const auto as = shell::parse_format(x.get("output"));
  if (as == shell::format::json)
    std::cout << as_json.dump() << "\n";
  else if (as == shell::format::yaml)
    std::cout << shell::to_yaml(as_json.dump());
  else
    shell::print(std::cout, rows, {.as = as, .headers = !x.has("no-headers"), .quiet = x.has("quiet")});
  return found.problems.empty() ? 0 : exit_usage;
}

int run_check(const shell::invocation& x) {
  auto file = std::ifstream{x.argument(0)};
  if (!file)
    return complain("cannot read " + x.argument(0), 3);
  return ledger::check_history(file, std::cout);
}

int run_image_create(const shell::invocation& x) {
  try {
    auto config = workload::image_config{};
    auto words = [](const std::string& text) {
      auto in = std::istringstream{text};
      return std::vector<std::string>{std::istream_iterator<std::string>{in}, {}};
    };
    config.cmd = words(x.get("command"));
    config.entrypoint = words(x.get("entrypoint"));
    config.workdir = x.get("workdir");
    config.user = x.get("user");
    const auto made = workload::pack_image(x.argument(1), config, x.argument(2), {.name = x.argument(0)});
    std::cout << made.digest << "\n";
    return 0;
  } catch (const std::exception& problem) {
    return complain(problem.what());
  }
}

int run_bench(const shell::invocation& x) {
  try {
    const auto figures = bench(x.argument(0), x, own_path());
    if (!figures)
      return complain("there is no bench called '" + x.argument(0) + "'; there are " + bench_names(), exit_usage);
    const auto as_json = x.get("output") == "json";
    std::cout << (as_json ? host::bench_json(x.argument(0), host::version(), *figures) + "\n"
                          : host::bench_table(x.argument(0), *figures));
    return 0;
  } catch (const std::exception& problem) {
    return complain(problem.what());
  }
}

/// Where the fabric of ./nodes.toml listens: the socket of one of its nodes that runs here, controllers first, else the
/// address of a controller elsewhere.
std::string find_fabric() {
  if (!fs::exists("nodes.toml"))
    return {};
  const auto found = resolve(usual_layers({}, {}), usual_data_root());
  if (!found.problems.empty())
    return {};
  auto nodes = found.settings.nodes;
  std::ranges::stable_partition(nodes, [](const auto& x) { return x.is_controller(); });
  for (const auto& node : nodes)
    if (const auto socket = node.data_dir / "api.sock"; listens(socket))
      return socket.string();
  // What a `novacron dev` on this machine has announced is nearer than an address.
  if (listens(announced_socket()))
    return {};
  for (const auto& node : nodes)
    if (node.is_controller() && node.api && !is_wildcard(*node.api))
      return to_string(*node.api);
  return {};
}

} // namespace

shell::process_commands process_commands() {
  auto commands = shell::process_commands{};
  commands.run = {{"--role", run_role},
                  {"bench", run_bench},
                  {"config show", show_config},
                  {"demo", run_demo},
                  {"dev", run_dev},
                  {"doctor", run_doctor},
                  {"image create", run_image_create},
                  {"join", run_join},
                  {"ledger check", run_check},
                  {"policy train", run_policy_train},
                  {"simulate", simulation::run_simulate}};
  commands.version = fmt::format("{} ({})", host::version(), host::commit());
  commands.build = {std::string{host::build_options()}};
  commands.find_fabric = find_fabric;
  return commands;
}

} // namespace novacron::node
