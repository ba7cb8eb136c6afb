#include "actors/simulation/swarm.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <utility>

namespace novacron::simulation {
namespace {

using nlohmann::json;

/// Chosen: a scenario whose runs are longer is no test but a study.
constexpr auto result_bytes_max = std::size_t{1} << 20;

seed_result play_one(const scenario& what, std::uint64_t seed, bool coverage) {
  auto found = seed_result{.seed = seed};
  try {
    const auto x = player{what, {.seed = seed, .coverage = coverage}}.play();
    found.hash = x.hash;
    found.events = x.events;
    found.violations = x.violations.size();
    if (!x.violations.empty())
      found.first = x.violations.front().rule + ": " + x.violations.front().text;
    found.operations = x.operations;
    found.arrivals = x.arrivals;
  } catch (const std::exception& problem) {
    found.violations = 1;
    found.first = fmt::format("it broke off: {}", problem.what());
  }
  return found;
}

json to_json(const coverage_table& x) {
  auto cells = json::array();
  for (const auto& [pair, count] : x)
    cells.push_back({pair.first, pair.second, count});
  return cells;
}

coverage_table cells_in(const json& x) {
  auto found = coverage_table{};
  for (const auto& each : x)
    found[{each[0], each[1]}] = each[2];
  return found;
}

std::string to_line(const seed_result& x) {
  return json{{"seed", x.seed},
              {"hash", x.hash},
              {"events", x.events},
              {"violations", x.violations},
              {"first", x.first},
              {"operations", to_json(x.operations)},
              {"arrivals", to_json(x.arrivals)}}
             .dump(-1, ' ', false, json::error_handler_t::replace) +
         "\n";
}

seed_result from_line(const std::string& line) {
  const auto x = json::parse(line);
  auto found = seed_result{
      .seed = x["seed"], .hash = x["hash"], .events = x["events"], .violations = x["violations"], .first = x["first"]};
  found.operations = cells_in(x["operations"]);
  found.arrivals = cells_in(x["arrivals"]);
  return found;
}

struct worker {
  pid_t process = -1;
  int from = -1;
  std::string heard;
  std::uint64_t next = 0;
};

worker start_worker(const scenario& what, std::uint64_t first, std::uint64_t last, unsigned stride, bool coverage) {
  int ends[2];
  if (::pipe(ends) != 0)
    throw std::runtime_error{"no pipe for a worker"};
  auto made = worker{.process = ::fork(), .from = ends[0], .next = first};
  if (made.process < 0)
    throw std::runtime_error{"no process for a worker"};
  if (made.process > 0) {
    ::close(ends[1]);
    return made;
  }
  ::close(ends[0]);
  for (auto seed = first; seed <= last; seed += stride) {
    const auto line = to_line(play_one(what, seed, coverage));
    for (auto at = std::size_t{0}; at < line.size();) {
      const auto count = ::write(ends[1], line.data() + at, line.size() - at);
      if (count <= 0)
        ::_exit(1);
      at += static_cast<std::size_t>(count);
    }
  }
  ::_exit(0);
}

} // namespace

void run_swarm(const scenario& what, std::uint64_t first, std::uint64_t last, unsigned jobs, bool coverage,
               const std::function<void(const seed_result&)>& told) {
  auto workers = std::vector<worker>{};
  for (auto i = 0u; i < jobs && first + i <= last; ++i)
    workers.push_back(start_worker(what, first + i, last, jobs, coverage));
  while (!workers.empty()) {
    auto waits = std::vector<pollfd>{};
    for (const auto& x : workers)
      waits.push_back({x.from, POLLIN, 0});
    if (::poll(waits.data(), waits.size(), -1) < 0)
      continue;
    for (auto i = workers.size(); i-- > 0;) {
      if (waits[i].revents == 0)
        continue;
      auto& x = workers[i];
      char block[16384];
      const auto count = ::read(x.from, block, sizeof block);
      if (count > 0 && x.heard.size() < result_bytes_max) {
        x.heard.append(block, static_cast<std::size_t>(count));
        for (auto end = x.heard.find('\n'); end != x.heard.npos; end = x.heard.find('\n')) {
          told(from_line(x.heard.substr(0, end)));
          x.heard.erase(0, end + 1);
          x.next += jobs;
        }
        continue;
      }
      ::close(x.from);
      auto status = 0;
      ::waitpid(x.process, &status, 0);
      const auto unfinished = x.next;
      workers.erase(workers.begin() + static_cast<std::ptrdiff_t>(i));
      if (unfinished > last)
        continue;
      told({.seed = unfinished,
            .violations = 1,
            .first = fmt::format("the process ended with signal {}", WIFSIGNALED(status) ? WTERMSIG(status) : 0)});
      if (unfinished + jobs <= last)
        workers.push_back(start_worker(what, unfinished + jobs, last, jobs, coverage));
    }
  }
}

std::set<std::uint32_t> shrink(const std::vector<std::uint32_t>& faults,
                               const std::function<bool(const std::set<std::uint32_t>& spared)>& fails) {
  auto spared = std::set<std::uint32_t>{};
  auto left = faults;
  // Halves first, then smaller and smaller parts, as long as what is left still fails.
  for (auto part = (left.size() + 1) / 2; part > 0 && !left.empty(); part = part == 1 ? 0 : (part + 1) / 2)
    for (auto from = std::size_t{0}; from < left.size();) {
      const auto to = std::min(left.size(), from + part);
      auto tried = spared;
      tried.insert(left.begin() + static_cast<std::ptrdiff_t>(from), left.begin() + static_cast<std::ptrdiff_t>(to));
      if (fails(tried)) {
        spared = std::move(tried);
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(from), left.begin() + static_cast<std::ptrdiff_t>(to));
      } else {
        from = to;
      }
    }
  return spared;
}

} // namespace novacron::simulation
