#include "actors/scheduler/packing.hpp"
#include "actors/scheduler/packing_plot.hpp"

#include "spec/skip.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using namespace novacron::scheduler;

namespace {

namespace fs = std::filesystem;

constexpr auto nodes_text = "sn,cpu_milli,memory_mib,gpu,model\n"
                            "a,32000,65536,2,T4\n"
                            "b,96000,262144,8,G2\r\n"
                            "c,16000,32768,0,\n";

std::vector<trace_pod> random_pods(std::size_t count, std::uint64_t seed) {
  auto chance = std::mt19937_64{seed};
  auto text = std::string{"name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n"};
  const auto shares = std::vector<int>{110, 320, 470, 650, 810, 1000, 1000};
  for (auto i = std::size_t{0}; i < count; ++i) {
    const auto gpus = chance() % 8 == 0 ? 0 : chance() % 10 == 0 ? 2 : 1;
    text += "p" + std::to_string(i) + "," + std::to_string(1000 * (1 + chance() % 12)) + "," +
            std::to_string(1024 * (1 + chance() % 16)) + "," + std::to_string(gpus) + "," +
            std::to_string(gpus == 2 ? 1000 : shares[chance() % shares.size()]) + "," + (chance() % 9 ? "" : "G2|A10") +
            "\n";
  }
  return parse_trace_pods(text);
}

std::vector<trace_node> copies(std::size_t count) {
  auto nodes = std::vector<trace_node>{};
  for (auto i = std::size_t{0}; i < count; ++i)
    for (auto x : parse_trace_nodes(nodes_text)) {
      x.name += std::to_string(i);
      nodes.push_back(x);
    }
  return nodes;
}

/// Reads what --out wrote, knowing nothing of how it came to be, and says what is wrong with it.
std::string wrong_with(const std::string& text, const std::vector<trace_node>& nodes,
                       const std::vector<trace_pod>& pods) {
  struct free {
    std::int64_t cpu, memory;
    std::map<std::string, std::int64_t> gpus;
    std::string model;
  };
  auto room = std::map<std::string, free>{};
  for (const auto& x : nodes) {
    auto& here = room[x.name] = {x.cpu_milli, x.memory_mib, {}, x.model};
    for (auto i = 0; i < x.gpus; ++i)
      here.gpus[std::to_string(i)] = 1000;
  }
  auto known = std::map<std::string, trace_pod>{};
  for (const auto& x : pods)
    known[x.name] = x;
  const auto may = [](const trace_pod& pod, const std::string& model) {
    auto models = std::stringstream{pod.models};
    for (auto each = std::string{}; std::getline(models, each, '|');)
      if (each == model)
        return true;
    return pod.models.empty() || pod.gpus == 0;
  };
  auto lines = std::stringstream{text};
  for (auto line = std::string{}; std::getline(lines, line);) {
    auto fields = std::stringstream{line};
    auto seed = std::string{}, arrival = std::string{}, name = std::string{}, node = std::string{},
         gpus = std::string{};
    std::getline(fields, seed, ',');
    std::getline(fields, arrival, ',');
    std::getline(fields, name, ',');
    std::getline(fields, node, ',');
    std::getline(fields, gpus);
    const auto& pod = known.at(name);
    if (node.empty()) {
      for (const auto& [other, here] : room) {
        auto able = 0;
        for (const auto& [device, free] : here.gpus)
          able += free >= pod.gpu_milli;
        if (here.cpu >= pod.cpu_milli && here.memory >= pod.memory_mib && able >= pod.gpus && may(pod, here.model))
          return line + ": " + other + " had room";
      }
      continue;
    }
    auto& here = room.at(node);
    here.cpu -= pod.cpu_milli;
    here.memory -= pod.memory_mib;
    if (here.cpu < 0 || here.memory < 0 || !may(pod, here.model))
      return line;
    auto devices = std::stringstream{gpus};
    auto count = 0;
    for (auto device = std::string{}; std::getline(devices, device, '|'); ++count)
      if ((here.gpus.at(device) -= pod.gpu_milli) < 0)
        return line;
    if (count != pod.gpus)
      return line;
  }
  return {};
}

} // namespace

SCENARIO("a trace is read as it is, and what makes no sense is named") {
  const auto nodes = parse_trace_nodes(nodes_text);
  REQUIRE(nodes.size() == 3);
  CHECK(nodes[1].model == "G2");
  CHECK(nodes[2].gpus == 0);
  const auto pods = parse_trace_pods("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1000,2,4,1000\nq,1,2,0,700");
  CHECK(pods[0].gpu_total() == 4000);
  CHECK(pods[1].gpu_total() == 0);
  CHECK(pods[0].created == -1);
  CHECK(pods[0].deleted == -1);
  const auto timed = parse_trace_pods("h\np,1,2,0,0,,LS,Running,30,90,31\nq,1,2,0,0,,LS,Pending,40,40,\n");
  CHECK(timed[0].created == 30);
  CHECK(timed[0].deleted == 90);
  CHECK(timed[1].deleted == 40);
  CHECK_THROWS_WITH(parse_trace_pods("h\np,1,2,0,0,,LS,Running,30,29,31\n"), "line 2: p ends before it begins");
  CHECK_THROWS_WITH(parse_trace_pods("name\np,1000,2,x,1\n"),
                    "line 2: column 4 is \"x\"; a number from 0 to 255 is wanted");
  CHECK_THROWS(parse_trace_pods("name\np,1000,2\n"));
  CHECK_THROWS(parse_trace_nodes("sn\nn,-1,2,3,T4\n"));
}

SCENARIO("arrivals are all pods once, in an order that the seed decides, and then more up to the demand") {
  const auto nodes = copies(4);
  const auto pods = random_pods(20, 1);
  const auto order = trace_arrivals(pods, nodes, 1.3, 5);
  CHECK(std::set<std::uint32_t>(order.begin(), order.begin() + 20).size() == 20);
  CHECK(order == trace_arrivals(pods, nodes, 1.3, 5));
  CHECK(order != trace_arrivals(pods, nodes, 1.3, 6));
  auto sum = std::int64_t{0};
  for (const auto x : order)
    sum += pods[x].gpu_total();
  CHECK(sum >= 52000);
  CHECK(sum - pods[order.back()].gpu_total() < 52000);
}

SCENARIO("another program finds nothing wrong with what is written of a run") {
  const auto nodes = copies(4);
  for (const auto* policy : {"fragmentation", "pack", "balance"})
    for (auto seed = 1u; seed <= 6; ++seed) {
      const auto pods = random_pods(120, seed);
      auto options = packing_options{};
      options.policy = policy;
      options.mix_known = seed % 2 == 0;
      const auto run = run_packing(pods, nodes, trace_arrivals(pods, nodes, 1.3, seed), options);
      CAPTURE(policy);
      CHECK(wrong_with(packing_text(pods, nodes, run.decisions, seed), nodes, pods) == "");
      CHECK(packing_violations(pods, nodes, run.decisions) == 0);
    }
}

SCENARIO("how full it is follows what is asked for until something does not fit, and a picture shows it") {
  const auto nodes = parse_trace_nodes("h\nn,9000,100,2,G1\n");
  const auto pods = parse_trace_pods("h\none,1000,1,1,1000\nhalf,1000,1,1,500\n");
  // One device, half of the other, one that does not fit, and the other half.
  const auto curve = packing_curve(pods, nodes, std::vector<packed_pod>{{0, 0, {0}}, {1, 0, {1}}, {0, -1, {}}, {1, 0, {1}}});
  REQUIRE(curve.size() == 151);
  CHECK(curve[0] == 0);
  CHECK(curve[50] == doctest::Approx(50));
  CHECK(curve[75] == doctest::Approx(75));
  CHECK(curve[125] == doctest::Approx(75));
  CHECK(curve[150] == doctest::Approx(100));
  const auto picture = plot_packing({"pods <of> may", {{"mine", curve}, {"other", curve}}, {{"theirs", 93.5}, {"nobody", 10}}});
  CHECK(picture.starts_with("<svg "));
  CHECK(picture.ends_with("</svg>\n"));
  CHECK(picture.find("pods &lt;of&gt; may") != std::string::npos);
  CHECK(picture.find("mine: 100.00 %") != std::string::npos);
  CHECK(picture.find("theirs: 93.50 %") != std::string::npos);
  // What lies outside is left out.
  CHECK(picture.find("nobody") == std::string::npos);
  CHECK(plot_packing({}).ends_with("</svg>\n"));
}

SCENARIO("a decision that breaks a rule is counted") {
  const auto nodes = parse_trace_nodes(nodes_text);
  const auto pods =
      parse_trace_pods("h\nshare,1000,1,1,600\npair,1000,1,2,1000\ng2,1000,1,1,1000,G2\nbig,40000,1,0,0\n");
  const auto wrong = [&](std::vector<packed_pod> x) { return packing_violations(pods, nodes, x); };
  CHECK(wrong({{0, 0, {0}}, {0, 0, {1}}, {2, 1, {3}}, {3, 1, {}}}) == 0);
  CHECK(wrong({{0, 0, {0}}, {0, 0, {0}}}) == 1);
  CHECK(wrong({{1, 0, {0, 0}}}) == 1);
  CHECK(wrong({{1, 0, {0}}}) == 1);
  CHECK(wrong({{2, 0, {0}}}) == 1);
  CHECK(wrong({{3, 0, {}}}) == 1);
  CHECK(wrong({{0, -1, {}}}) == 1);
  CHECK(wrong({{0, 9, {0}}}) == 1);
}

SCENARIO("knowing what comes packs more than filling up") {
  const auto nodes = copies(25);
  auto sums = std::map<std::string, double>{};
  for (auto seed = 1u; seed <= 3; ++seed) {
    const auto pods = random_pods(300, seed);
    for (const auto* policy : {"fragmentation", "pack"}) {
      auto options = packing_options{};
      options.policy = policy;
      options.mix_known = false;
      const auto run = run_packing(pods, nodes, trace_arrivals(pods, nodes, 1.3, seed), options);
      sums[policy] += packing_allocation(pods, nodes, run.decisions) / 3;
    }
  }
  CHECK(sums["fragmentation"] > sums["pack"]);
}

SCENARIO("the openb trace is packed better than by any published policy") {
  const auto data = fs::path{HOUSE_ROOT}.parent_path() / "shared/data/openb";
  if (!fs::exists(data)) {
    novacron::spec::skip("packing of openb", "there is no " + data.string());
    return;
  }
  auto options = packing_options{};
  options.nodes = data / "openb_node_list_gpu_node.csv";
  options.pods = data / "openb_pod_list_default.csv.gz";
  options.mix_known = false;
  options.seeds = 1;
  for (const auto& x : bench_packing(options))
    if (x.name == "allocation_mean")
      CHECK(x.value > 95.95);
    else if (x.name == "violations")
      CHECK(x.value == 0);
}
