#pragma once

/// The machine reassignment problem: which process runs on which machine, what that costs, and which rules bind.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::scheduler {

/// As the ROADEF/EURO challenge of 2012 defines it. All tables are flat: what belongs to machine m and resource r is
/// at m * resources + r.
struct reassignment {
  struct balance {
    std::uint32_t first = 0;
    std::uint32_t second = 0;
    /// That much of `second` should be free for one free unit of `first`.
    std::int64_t target = 0;
    std::int64_t weight = 0;
  };

  std::size_t resources = 0;
  std::size_t machines = 0;
  std::size_t services = 0;
  std::size_t processes = 0;

  /// Per resource: a moved process holds it on both machines.
  std::vector<char> transient;
  std::vector<std::int64_t> load_weight;

  /// Per machine.
  std::vector<std::uint32_t> neighbourhood;
  std::vector<std::uint32_t> location;
  std::vector<std::int64_t> capacity;
  std::vector<std::int64_t> safety;
  /// From machine m to machine n at m * machines + n.
  std::vector<std::uint32_t> machine_move_cost;

  /// Per service.
  std::vector<std::uint32_t> spread_min;
  std::vector<std::vector<std::uint32_t>> depends_on;

  /// Per process.
  std::vector<std::uint32_t> service;
  std::vector<std::int64_t> need;
  std::vector<std::int64_t> process_move_cost;
  /// Where the process runs before anything moves.
  std::vector<std::uint32_t> home;

  std::vector<balance> balances;
  std::int64_t process_move_weight = 0;
  std::int64_t service_move_weight = 0;
  std::int64_t machine_move_weight = 0;

  std::int64_t capacity_of(std::size_t machine, std::size_t resource) const {
    return capacity[machine * resources + resource];
  }
  std::int64_t safety_of(std::size_t machine, std::size_t resource) const {
    return safety[machine * resources + resource];
  }
  std::int64_t need_of(std::size_t process, std::size_t resource) const { return need[process * resources + resource]; }
};

/// The machine of every process.
using assignment = std::vector<std::uint32_t>;

/// Reads the two files of an instance. Throws, naming the value, when one is cut short, too long or out of range.
reassignment read_reassignment(std::string_view model, std::string_view initial);

/// Reads the machines of `problem`'s processes. Throws as above.
assignment read_assignment(const reassignment& problem, std::string_view text);

/// One line of machines.
std::string write_assignment(const assignment& where);

struct assessment {
  std::int64_t load = 0;
  std::int64_t balance = 0;
  std::int64_t process_moves = 0;
  std::int64_t service_moves = 0;
  std::int64_t machine_moves = 0;
  std::size_t moved = 0;
  /// One sentence per broken rule, at most a hundred.
  std::vector<std::string> faults;

  std::int64_t cost() const { return load + balance + process_moves + service_moves + machine_moves; }
};

/// Counts everything anew, straight from the statement of the problem; searches are judged by it.
assessment assess(const reassignment& problem, const assignment& where);

/// What no assignment can cost less than: all machines taken as one.
std::int64_t cost_bound(const reassignment& problem);

} // namespace novacron::scheduler
