#include "actors/node/benches.hpp"

#include "actors/host/gzip.hpp"
#include "actors/host/log.hpp"
#include "actors/migration/bench_moves.hpp"
#include "actors/migration/coding.hpp"
#include "actors/migration/greeting.hpp"
#include "actors/node/bench_decisions.hpp"
#include "actors/node/bench_kernels.hpp"
#include "actors/node/bench_messages.hpp"
#include "actors/node/bench_migration.hpp"
#include "actors/node/bench_placements.hpp"
#include "actors/node/credentials.hpp"
#include "actors/node/doctor.hpp"
#include "actors/node/doctor_probe.hpp"
#include "actors/scheduler/bench.hpp"
#include "actors/scheduler/demand.hpp"
#include "actors/scheduler/packing.hpp"
#include "actors/scheduler/trial.hpp"
#include "actors/shell/model_file.hpp"
#include "actors/shell/units.hpp"
#include "actors/simulation/bench_world.hpp"
#include "actors/state/ledger_bench.hpp"
#include "actors/workload/bench_container.hpp"

#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <stdexcept>
#include <unistd.h>

namespace novacron::node {
namespace {

namespace fs = std::filesystem;

using figures = std::vector<host::figure>;

/// A directory on the disk that is to be measured, cleared at the end.
class scratch {
public:
  explicit scratch(const std::string& where)
      : path_{fs::path{where} / ("novacron-bench-" + host::to_hex(host::random_bytes(6)))} {
    fs::create_directories(path_);
  }
  ~scratch() {
    auto ignored = std::error_code{};
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

private:
  fs::path path_;
};

figures kernels_bench(const shell::invocation& flags, const std::string&) {
  auto options = bench_kernels_options{};
  options.rounds = static_cast<unsigned>(flags.number("rounds", options.rounds));
  options.seed = static_cast<std::uint64_t>(flags.number("seed", 1));
  options.memory_file = flags.get("memory", "");
  return bench_kernels(options);
}

/// By moving a guest, if one is at hand.
figures moves_bench(const shell::invocation& flags) {
  auto options = migration::bench_moves_options{};
  options.guest = flags.get("guest", "");
  options.scratch = flags.get("scratch", options.scratch.string());
  options.links = migration::read_numbers(flags.get("links", "1000,200,0"));
  options.dirty = migration::read_numbers(flags.get("dirty", "0,3000"));
  options.repetitions = static_cast<unsigned>(flags.number("reps", options.repetitions));
  options.streams = static_cast<std::uint16_t>(flags.number("streams", options.streams));
  options.modes = migration::read_words(flags.get("modes", ""));
  options.coding = migration::read_coding(flags.get("codec", "auto"));
  if (!options.coding && flags.get("codec", "auto") != "auto")
    throw std::invalid_argument{"--codec is one of auto, none, lz4, zstd"};
  if (options.links.empty() || options.dirty.empty() || options.repetitions == 0 ||
      options.streams > migration::stream_count_max)
    throw std::invalid_argument{"--links is Mbit/s such as 1000,200,0 (0: no limit), --dirty pages per second such as "
                                "0,3000, --reps at least 1, --streams at most 64"};
  if (!flags.has("quiet"))
    options.progress = [](const std::string& text) { std::cerr << text << "\n"; };
  return migration::bench_moves(options);
}

figures migration_bench(const shell::invocation& flags, const std::string&) {
  if (flags.has("guest"))
    return moves_bench(flags);
  if (!flags.has("model"))
    throw std::invalid_argument{
        "bench migration needs --guest=DIR (moves it; share/guest/workload DIR makes one) or --model "
        "(calculates)"};
  auto options = bench_migration_options{};
  const auto memory = shell::parse_bytes(flags.get("ram", "1TB"));
  const auto link = parse_link_rate(flags.get("link", "100Gbit"));
  if (!memory || *memory == 0 || !link)
    throw std::invalid_argument{"--ram is a size such as 1TB, --link a rate such as 100Gbit or 200Mbit"};
  options.memory = static_cast<double>(*memory);
  options.link_rate = *link;
  options.cores = static_cast<double>(flags.number("cores", static_cast<std::int64_t>(options.cores)));
  options.rounds = static_cast<unsigned>(flags.number("rounds", options.rounds));
  return bench_migration(options);
}

figures messages(const shell::invocation& flags, const std::string&) {
  auto options = bench_messages_options{};
  options.rounds = static_cast<unsigned>(flags.number("rounds", options.rounds));
  return bench_messages(options);
}

figures ledger_bench(const shell::invocation& flags, const std::string& program) {
  const auto place = scratch{flags.get("scratch", "/var/tmp")};
  auto options = ledger::bench_options{};
  options.program = {program, "ledger-server"};
  options.directory = place.path() / "ledger";
  options.trust = place.path() / "trust";
  options.rounds = static_cast<std::uint32_t>(flags.number("rounds", options.rounds));
  options.kills = static_cast<std::uint32_t>(flags.number("kills", options.kills));
  options.seed = static_cast<std::uint64_t>(flags.number("seed", 1));
  fs::create_directories(options.directory);
  const auto now = std::chrono::system_clock::now();
  fs::create_directories(options.trust / "authority");
  lay_authority(options.trust / "authority", "bench", now);
  for (const auto* voter : {"voter-1", "voter-2", "voter-3"})
    lay_certificate(options.trust / "authority", options.trust / voter, voter, "cloud", now, std::chrono::hours{1});
  auto found = figures{};
  for (const auto& x : ledger::bench_ledger(options))
    found.push_back({x.name, x.value, x.unit, x.peer, x.peer_value, x.ratio});
  return found;
}

figures workload_bench(const shell::invocation& flags, const std::string&) {
  auto options = workload::bench_options{};
  options.scratch = flags.get("scratch", "/var/tmp");
  options.accelerated = [] { return is_usable(try_kvm()); };
  const auto kind = flags.get("kind", "container");
  const auto function = kind == "function";
  const auto container = kind == "container";
  // A machine's start takes a hundred times as long.
  options.rounds =
      static_cast<int>(flags.number("count", flags.number("rounds", container  ? options.rounds
                                                                    : function ? (flags.has("cold") ? 21 : 200)
                                                                               : 7)));
  if (!container && !function && kind != "sandbox" && kind != "vm")
    throw std::runtime_error{"there is no bench of workloads of kind '" + kind +
                             "'; there are container, function, sandbox and vm"};
  if (flags.has("template") && (container || function))
    throw std::runtime_error{"only machines begin from a template: --kind=sandbox --template, or --kind=vm --template"};
  if (flags.has("density") && kind != "sandbox")
    throw std::runtime_error{"--density is measured of sandboxes: --kind=sandbox --density --count=50"};
  auto found = figures{};
  const auto run = [&] {
    if (flags.has("density"))
      return workload::bench_density(options);
    return container  ? workload::bench_container(options)
           : function ? workload::bench_function(options, flags.has("cold"))
                      : workload::bench_machine(options, kind == "vm", flags.has("template"));
  };
  for (const auto& [name, x] : run())
    found.push_back({name, x.value, x.unit, x.peer, x.peer_value, x.ratio});
  return found;
}

double fraction(const shell::invocation& flags, const std::string& name, double otherwise) {
  return flags.has(name) ? std::stod(flags.get(name)) : otherwise;
}

/// As a node would find it in the ledger. Throws when the file makes no sense.
v1::Policy policy_in(const std::string& file) {
  const auto model = shell::parse_model(host::read_unpacked(file), file);
  if (!model.errors.empty())
    throw std::runtime_error{model.errors.front()};
  auto policy = v1::Policy{};
  *policy.mutable_weights() = model.order.weights();
  *policy.mutable_training() = model.order.training();
  return policy;
}

figures packing_bench(const shell::invocation& flags) {
  auto options = scheduler::packing_options{};
  options.pods = flags.get("pods");
  options.nodes = flags.get("nodes");
  options.out = flags.get("out");
  options.plot = flags.get("plot");
  options.demand = fraction(flags, "demand", options.demand);
  options.seeds = static_cast<std::uint32_t>(flags.number("seeds", options.seeds));
  options.policy = flags.get("policy", options.policy);
  options.mix_known = flags.get("mix", "seen") == "known";
  if (!flags.has("model"))
    return scheduler::bench_packing(options);
  const auto policy = policy_in(flags.get("model"));
  const auto wrong = scheduler::wrong_policy_record(policy);
  if (wrong.empty())
    options.weights = scheduler::to_features(policy);
  else
    options.policy = "balance";
  if (!wrong.empty())
    std::cerr << "novacron: the model is not used, balance is: " << wrong << "\n";
  auto found = scheduler::bench_packing(options);
  found.push_back({"fallback", wrong.empty() ? 0.0 : 1.0, "1"});
  return found;
}

figures placements_bench(const shell::invocation& flags, const std::string& program) {
  const auto place = scratch{flags.get("scratch", "/var/tmp")};
  auto options = bench_placements_options{};
  options.program = {program, "ledger-server"};
  options.directory = place.path();
  options.nodes = static_cast<std::uint32_t>(flags.number("nodes", options.nodes));
  options.workloads = static_cast<std::uint32_t>(flags.number("workloads", options.workloads));
  options.outstanding = static_cast<std::uint32_t>(flags.number("outstanding", options.outstanding));
  options.workload = flags.get("workload", options.workload);
  return bench_placements(options);
}

figures scheduler_bench(const shell::invocation& flags, const std::string& program) {
  if (flags.has("end-to-end") || flags.has("workload"))
    return placements_bench(flags, program);
  if (auto found = bench_decisions(flags))
    return *found;
  if (flags.has("pods"))
    return packing_bench(flags);
  auto options = scheduler::bench_options{};
  options.nodes = static_cast<std::uint32_t>(flags.number("nodes", options.nodes));
  options.decisions = static_cast<std::uint32_t>(flags.number("decisions", options.decisions));
  options.seed = static_cast<std::uint64_t>(flags.number("seed", 1));
  options.fill = fraction(flags, "fill", options.fill);
  return scheduler::bench_scheduler(options);
}

figures world_bench(const shell::invocation& flags, const std::string&) {
  auto options = simulation::bench_options{};
  options.hosts = static_cast<std::uint32_t>(flags.number("hosts", options.hosts));
  options.workloads = static_cast<std::uint32_t>(flags.number("workloads", options.workloads));
  options.seed = static_cast<std::uint64_t>(flags.number("seed", 1));
  options.virtual_time = std::chrono::milliseconds{
    static_cast<std::int64_t>(shell::parse_duration(flags.get("virtual", "1h")).value_or(3'600'000))};
  return simulation::bench_world(options);
}

const std::map<std::string, std::function<figures(const shell::invocation&, const std::string&)>>& areas() {
  static const auto all = std::map<std::string, std::function<figures(const shell::invocation&, const std::string&)>>{
      {"kernels", kernels_bench},
      {"ledger", ledger_bench},
      {"messages", messages},
      {"migration", migration_bench},
      {"scheduler", scheduler_bench},
      {"workload", workload_bench},
      {"world", world_bench}};
  return all;
}

} // namespace

std::optional<std::vector<host::figure>> bench(const std::string& area, const shell::invocation& flags,
                                               const std::string& program) {
  const auto found = areas().find(area);
  if (found == areas().end())
    return {};
  host::set_log_level(host::level::error);
  return found->second(flags, program);
}

std::string bench_names() {
  auto names = std::string{};
  for (const auto& [name, run] : areas())
    names += (names.empty() ? "" : ", ") + name;
  return names;
}

} // namespace novacron::node
