#pragma once

/// What the benches of a start share: a node's agent on fresh ground, and a program started by hand beside it.

#include "actors/workload/agent_actor.hpp"
#include "actors/workload/bench_container.hpp"
#include "actors/workload/driver.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace novacron::workload {

/// What throws, throws std::runtime_error.
class bench_node {
public:
  struct patience {
    /// For an answer of the agent.
    std::chrono::seconds answer;
    /// For the next output.
    std::chrono::seconds output;
    /// Between looks whether the instance has gone.
    std::chrono::milliseconds step;
  };

  /// Makes a fresh directory below `scratch`; it is removed in the end.
  bench_node(const std::filesystem::path& scratch, patience limits);
  ~bench_node();
  bench_node(const bench_node&) = delete;
  bench_node& operator=(const bench_node&) = delete;

  [[nodiscard]] const std::filesystem::path& top() const { return top_; }
  [[nodiscard]] std::filesystem::path data() const { return top_ / "data"; }

  /// Has the agent run on `driver` what is in the image at `root`. Once, and before `start`.
  void begin(std::shared_ptr<workload::driver> driver, const std::filesystem::path& root);

  /// The seconds from the order for an instance, "start.0", to output with `greeting` in it, as a client of the agent
  /// sees it. Calls `keep` while the instance is there, then removes it.
  double start(const wire::WorkloadSpec& spec, const std::string& greeting, const std::function<void()>& keep);

  /// The seconds from the order for an instance of a function, "start.0", to the answer of its first call. It stays.
  double start_function(const wire::WorkloadSpec& spec);
  /// The seconds from a call of it to the answer, which must be `greeting`.
  double call(const std::string& greeting);
  /// The seconds from the order for `count` instances at once until the last of them has said `greeting`. They stay.
  double start_many(const wire::WorkloadSpec& spec, int count, const std::string& greeting);
  [[nodiscard]] static std::string name_of(int ordinal) { return "start." + std::to_string(ordinal); }
  /// Removes what runs.
  void clear();

private:
  wire::Assign order();
  void want(const wire::WorkloadSpec& spec, int count = 1);
  void await_output(caf::scoped_actor& self, int ordinal, const std::string& greeting);

  std::filesystem::path top_;
  const patience limits_;
  caf::actor_system_config settings_;
  std::unique_ptr<caf::actor_system> system_;
  std::shared_ptr<workload::driver> driver_;
  agent_actor agent_;
  std::uint64_t revision_ = 0;
};

/// A pipe for what a program started by hand says.
class bench_pipe {
public:
  /// Throws std::runtime_error.
  bench_pipe();
  ~bench_pipe();
  bench_pipe(const bench_pipe&) = delete;
  bench_pipe& operator=(const bench_pipe&) = delete;

  /// The end for the program.
  [[nodiscard]] int writer() const { return ends_[1]; }
  /// Reads until `greeting` was said; false when the program ended, or said nothing for `limit`, before. Only once,
  /// when the program has been given its end.
  [[nodiscard]] bool says(const std::string& greeting, std::chrono::milliseconds limit);

private:
  std::array<int, 2> ends_{-1, -1};
};

/// `start_p50`, `start_p95`, from 100 rounds on `start_p99`, and `overhead_p50` of `ours` beside `theirs`, which say
/// how many seconds they took: `rounds` of each, interleaved, after one that does not count.
std::map<std::string, bench_figure> compare_starts(int rounds, const std::string& peer,
                                                   const std::function<double()>& ours,
                                                   const std::function<double()>& theirs);

} // namespace novacron::workload
