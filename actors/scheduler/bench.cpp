#include "actors/scheduler/bench.hpp"

#include "actors/scheduler/placement.hpp"
#include "actors/scheduler/scan.hpp"

#include <algorithm>
#include <chrono>
#include <random>

namespace novacron::scheduler {
namespace {

using clock = std::chrono::steady_clock;

double seconds(clock::duration x) {
  return std::chrono::duration<double>(x).count();
}

node_shape synthetic_node(std::uint32_t number, std::mt19937_64& chance) {
  const auto cores = std::int64_t{16} << chance() % 3;
  return {"node-" + std::to_string(number),
          {{"zone", "z" + std::to_string(number % 5)}},
          {cores * 1000, cores << 32, cores << 35, 0, "", {}},
          {},
          true,
          node_state::ready};
}

request synthetic_request(std::mt19937_64& chance) {
  auto x = request{};
  x.workload = "w" + std::to_string(chance() % 200);
  x.kind = "container";
  const auto cpu = static_cast<std::int64_t>(250 * (1 + chance() % 16));
  x.need = {cpu, cpu << 20, 1 << 20, 0, "", {}};
  if (chance() % 4 == 0)
    x.require["zone"] = "z" + std::to_string(chance() % 5);
  return x;
}

/// One scan of all nodes, and beside it a pass that only reads the same columns; both by turns.
host::figure measure_scan(std::uint32_t nodes, std::mt19937_64& chance) {
  auto columns = std::vector<std::vector<float>>(7, std::vector<float>(nodes));
  for (auto& column : columns)
    for (auto& x : column)
      x = static_cast<float>(1 + chance() % 1000) / 1000;
  const auto view = node_columns{columns[0].data(), columns[1].data(), columns[2].data(), columns[3].data(),
                                 columns[4].data(), columns[5].data(), columns[6].data()};
  const auto x = scan_question{0.5f, 0.5f, 0.1f, 0, 1, 0.3f, 0, 1, 0};
  auto scores = std::vector<float>(nodes);
  auto scans = std::vector<double>{};
  auto passes = std::vector<double>{};
  // Kept, so that no compiler may leave the passes out.
  volatile auto sum = 0.0f;
  for (auto round = 0; round < 400; ++round) {
    const auto begin = clock::now();
    sum = sum_nodes(view, 0, nodes);
    const auto middle = clock::now();
    score_nodes(view, x, 0, nodes, scores.data());
    const auto end = clock::now();
    passes.push_back(seconds(middle - begin));
    scans.push_back(seconds(end - middle));
  }
  static_cast<void>(sum);
  return host::beside("scan", host::quantile(scans, 0.5), "s", "a pass over the same columns",
                      host::quantile(passes, 0.5));
}

} // namespace

std::vector<host::figure> bench_scheduler(const bench_options& options) {
  auto chance = std::mt19937_64{options.seed};
  auto all = cluster{};
  auto capacity = std::int64_t{0};
  for (auto i = std::uint32_t{0}; i < options.nodes; ++i) {
    const auto node = synthetic_node(i, chance);
    capacity += node.capacity.cpu_milli;
    all.set_node(node);
  }
  auto held = std::int64_t{0};
  auto guests = std::vector<std::pair<std::string, std::int64_t>>{};
  auto next = std::uint64_t{0};
  const auto admit = [&](const request& x, const decision& where) {
    guests.emplace_back(std::to_string(next++), x.need.cpu_milli);
    all.take(guests.back().first, {where.node, x.workload, x.need, where.gpus, {}, {}});
    held += x.need.cpu_milli;
  };
  const auto wanted = static_cast<std::int64_t>(options.fill * static_cast<double>(capacity));
  for (auto failures = 0; held < wanted && failures < 1000;) {
    const auto x = synthetic_request(chance);
    if (const auto where = all.place(x))
      admit(x, *where);
    else
      ++failures;
  }
  auto times = std::vector<double>{};
  times.reserve(options.decisions);
  auto placed = std::uint64_t{0};
  for (auto i = std::uint32_t{0}; i < options.decisions; ++i) {
    while (held > wanted && !guests.empty()) {
      std::swap(guests[chance() % guests.size()], guests.back());
      all.release(guests.back().first);
      held -= guests.back().second;
      guests.pop_back();
    }
    const auto x = synthetic_request(chance);
    const auto begin = clock::now();
    const auto where = all.place(x);
    if (where)
      admit(x, *where);
    times.push_back(seconds(clock::now() - begin));
    placed += where.has_value();
  }
  auto total = 0.0;
  for (const auto time : times)
    total += time;
  return {{"decision_rate", total > 0 ? double(times.size()) / total : 0, "1/s"},
          {"decision_p50", host::quantile(times, 0.5), "s"},
          {"decision_p99", host::quantile(times, 0.99), "s"},
          measure_scan(options.nodes, chance),
          {"placed", times.empty() ? 0 : double(placed) / double(times.size()), "1"}};
}

} // namespace novacron::scheduler
