#pragma once

/// What speaks for and against moves of what runs: what can be moved at all, how many move at a time, and how what may
/// not stay on its node leaves it.

#include "messages/wire/scheduler.pb.h"
#include "messages/wire/workload.pb.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace novacron::scheduler {

namespace wire = novacron::v1;

/// Why the record of a move says that it was begun.
inline constexpr auto cause_asked = std::string_view{"asked"};
inline constexpr auto cause_drain = std::string_view{"drain"};
inline constexpr auto cause_rebalance = std::string_view{"rebalance"};

/// Why it was kept, when somebody wanted it so.
inline constexpr auto was_cancelled = std::string_view{"it was cancelled"};

/// Why nothing of this spec can be moved while it runs, on whatever node, as in "it uses a GPU, whose state cannot be
/// moved"; empty when it can.
std::string why_never_live(const wire::WorkloadSpec& spec);

/// The moves under way, by node and by pair of nodes: two of a node at a time, and one between two nodes.
class move_slots {
public:
  void take(const std::string& source, const std::string& target);
  /// Whether one more may leave `source`, or come to `target`, over the link between them.
  [[nodiscard]] bool free(const std::string& source, const std::string& target) const;
  [[nodiscard]] bool has_free(const std::string& node) const { return taken_of(node) < of_node_max; }
  /// Why not, in words; empty when it may.
  [[nodiscard]] std::string why_not(const std::string& source, const std::string& target) const;
  /// The nodes to which nothing can go from `source` at the moment.
  [[nodiscard]] std::vector<std::string> closed_from(const std::string& source) const;

private:
  /// Chosen: a second move of a node halves what the first one gets, and the link between two nodes carries one.
  static constexpr auto of_node_max = std::size_t{2};
  static constexpr auto of_link_max = std::size_t{1};

  [[nodiscard]] std::size_t taken_of(const std::string& node) const;
  [[nodiscard]] std::size_t taken_between(const std::string& one, const std::string& other) const;

  std::map<std::string, std::size_t> of_node_;
  /// By both names, the lesser first.
  std::map<std::pair<std::string, std::string>, std::size_t> of_link_;
};

/// How an instance leaves a node on which it may not stay.
struct leave_choice {
  enum class way : std::uint8_t {
    /// It moves while it runs.
    live,
    /// Not yet: at `until_ms` it is to be looked at again.
    wait,
    /// It is stopped, and started elsewhere.
    restart
  };
  way how = way::live;
  /// Of waiting and restarting: why it does not move while it runs.
  std::string why = {};
  std::int64_t until_ms = 0;
  /// Of a move: where it could not go before; other nodes are better.
  std::vector<std::string> failed_at = {};
};

/// From `why_not`, what speaks against moving it while it runs, and from what was tried before: `moves` are all that
/// are remembered. Of these count the moves of `instance` off `source` that began at `since_ms` or later, were begun
/// because it had to leave, and were given up not long ago. It is tried twice, and not soon again after somebody has
/// cancelled it.
leave_choice choose_leave(const std::string& why_not, const std::vector<const wire::Migration*>& moves,
                          const std::string& instance, const std::string& source, std::int64_t since_ms,
                          std::int64_t now_ms);

/// Why it is started anew, where people expect it to move: of containers nobody does.
std::string why_anew(const wire::WorkloadSpec& spec, const leave_choice& choice);

/// Whether `choose_leave` may still have to know of it.
bool counts_as_attempt(const wire::Migration& x, std::int64_t now_ms);

} // namespace novacron::scheduler
