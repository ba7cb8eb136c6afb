#pragma once

/// What every machine of a reassignment holds and costs, answered for one or two processes at a time in a few vectors.

#include "actors/scheduler/reassignment.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace novacron::scheduler {

template <class Word>
struct lane;

/// Four numbers at once; the compiler splits them where the processor has less.
template <>
struct lane<std::int32_t> {
  using quad = std::int32_t __attribute__((vector_size(16)));
  using test = std::int32_t __attribute__((vector_size(16)));
};

template <>
struct lane<double> {
  using quad = double __attribute__((vector_size(32)));
  using test = std::int64_t __attribute__((vector_size(32)));
};

using quad_cost = double __attribute__((vector_size(32)));

/// A cost that no move may have: a rule forbids it.
constexpr auto forbidden = std::numeric_limits<double>::infinity();

/// A balance cost is a load like any other: what a process adds to it is its need of the second resource less the
/// target times its need of the first. So a machine costs the sum of max(0, load) * weight over resources and
/// balances, and every limit is one comparison. A process that left home still holds its transient needs there,
/// which lowers the limit. `Word` holds every load exactly; four times `Width` is enough for resources and balances.
template <class Word, std::size_t Width>
class machine_loads {
  using quad = typename lane<Word>::quad;
  using test = typename lane<Word>::test;

public:
  explicit machine_loads(const reassignment& problem) : machines_(problem.machines), needs_(problem.processes) {
    const auto resources = problem.resources;
    for (auto r = std::size_t{0}; r < resources; ++r) {
      set(weight_, r, static_cast<double>(problem.load_weight[r]));
      set(held_, r, problem.transient[r] != 0 ? Word{1} : Word{0});
    }
    for (auto b = std::size_t{0}; b < problem.balances.size(); ++b)
      set(weight_, resources + b, static_cast<double>(problem.balances[b].weight));
    for (auto m = std::size_t{0}; m < problem.machines; ++m)
      lay_machine(problem, m);
    for (auto p = std::size_t{0}; p < problem.processes; ++p) {
      for (auto r = std::size_t{0}; r < resources; ++r)
        set(needs_[p], r, static_cast<Word>(problem.need_of(p, r)));
      for (auto b = std::size_t{0}; b < problem.balances.size(); ++b) {
        const auto& x = problem.balances[b];
        set(needs_[p], resources + b,
            static_cast<Word>(problem.need_of(p, x.second) - x.target * problem.need_of(p, x.first)));
      }
    }
  }

  /// What the machine costs as it is.
  double cost(std::size_t machine) const {
    auto sum = quad_cost{};
    for (auto k = std::size_t{0}; k < Width; ++k) {
      const auto load = machines_[machine].load[k];
      sum += __builtin_convertvector(load > 0 ? load : quad{}, quad_cost) * weight_[k];
    }
    return sum[0] + sum[1] + sum[2] + sum[3];
  }

  /// ... without a process that it holds.
  double cost_without(std::size_t machine, std::size_t process) const {
    auto sum = quad_cost{};
    for (auto k = std::size_t{0}; k < Width; ++k) {
      const auto load = machines_[machine].load[k] - needs_[process][k];
      sum += __builtin_convertvector(load > 0 ? load : quad{}, quad_cost) * weight_[k];
    }
    return sum[0] + sum[1] + sum[2] + sum[3];
  }

  /// ... with one more process, which comes home or not; `forbidden` when it does not fit.
  double cost_with(std::size_t machine, std::size_t process, bool comes_home) const {
    auto sum = quad_cost{};
    auto over = test{};
    for (auto k = std::size_t{0}; k < Width; ++k) {
      const auto need = needs_[process][k];
      const auto load = machines_[machine].load[k] + need;
      auto limit = machines_[machine].limit[k];
      if (comes_home)
        limit += need * held_[k];
      over |= load > limit;
      sum += __builtin_convertvector(load > 0 ? load : quad{}, quad_cost) * weight_[k];
    }
    return (over[0] | over[1] | over[2] | over[3]) != 0 ? forbidden : sum[0] + sum[1] + sum[2] + sum[3];
  }

  /// ... with one process for another.
  double cost_traded(std::size_t machine, std::size_t leaver, bool leaves_home, std::size_t comer,
                     bool comes_home) const {
    auto sum = quad_cost{};
    auto over = test{};
    for (auto k = std::size_t{0}; k < Width; ++k) {
      const auto less = needs_[leaver][k];
      const auto more = needs_[comer][k];
      const auto load = machines_[machine].load[k] - less + more;
      auto limit = machines_[machine].limit[k];
      if (comes_home)
        limit += more * held_[k];
      if (leaves_home)
        limit -= less * held_[k];
      over |= load > limit;
      sum += __builtin_convertvector(load > 0 ? load : quad{}, quad_cost) * weight_[k];
    }
    return (over[0] | over[1] | over[2] | over[3]) != 0 ? forbidden : sum[0] + sum[1] + sum[2] + sum[3];
  }

  void add(std::size_t machine, std::size_t process) {
    for (auto k = std::size_t{0}; k < Width; ++k)
      machines_[machine].load[k] += needs_[process][k];
  }

  void remove(std::size_t machine, std::size_t process) {
    for (auto k = std::size_t{0}; k < Width; ++k)
      machines_[machine].load[k] -= needs_[process][k];
  }

  /// The process leaves its home or comes back to it.
  void hold(std::size_t home, std::size_t process, bool leaves) {
    for (auto k = std::size_t{0}; k < Width; ++k) {
      const auto held = needs_[process][k] * held_[k];
      machines_[home].limit[k] += leaves ? -held : held;
    }
  }

private:
  using row = std::array<quad, Width>;
  struct machine {
    row load{};
    row limit{};
  };

  template <class Row, class Value>
  static void set(Row& x, std::size_t at, Value value) {
    x[at / 4][at % 4] = value;
  }

  void lay_machine(const reassignment& problem, std::size_t m) {
    auto& x = machines_[m];
    // Loads far below any limit in the lanes that nothing uses, and limits that balances never reach.
    const auto never = static_cast<Word>(std::numeric_limits<std::int32_t>::max() / 2);
    for (auto at = std::size_t{0}; at < 4 * Width; ++at)
      set(x.limit, at, std::is_same_v<Word, double> ? std::numeric_limits<Word>::max() : never);
    for (auto r = std::size_t{0}; r < problem.resources; ++r) {
      set(x.load, r, static_cast<Word>(-problem.safety_of(m, r)));
      set(x.limit, r, static_cast<Word>(problem.capacity_of(m, r) - problem.safety_of(m, r)));
    }
    for (auto b = std::size_t{0}; b < problem.balances.size(); ++b) {
      const auto& y = problem.balances[b];
      set(x.load, problem.resources + b,
          static_cast<Word>(y.target * problem.capacity_of(m, y.first) - problem.capacity_of(m, y.second)));
    }
  }

  std::vector<machine> machines_;
  std::vector<row> needs_;
  std::array<quad_cost, Width> weight_{};
  row held_{};
};

} // namespace novacron::scheduler
