#pragma once

/// A fabric with a virtual machine that counts aloud and writes down what it has counted, to be moved about.

#include "spec/reality/fabric_fixture.hpp"

#include <nlohmann/json.hpp>
#include <sys/types.h>

#include <string>
#include <vector>

namespace novacron::spec {

/// Whether moves cannot be shown on this host; then it is said that `what` is skipped.
bool cannot_move(const char* what);

/// A number from the environment, for longer runs by hand.
long wished(const char* name, long usual);

class moving_fabric {
public:
  struct wishes {
    int edges = 2;
    /// Beside counting, it writes to its memory at this pace, and says what is not as written (share/guest/workload).
    int dirty_pages_per_second = 0;
  };
  explicit moving_fabric(wishes x);
  moving_fabric() : moving_fabric(wishes{}) {}
  moving_fabric(const moving_fabric&) = delete;
  moving_fabric& operator=(const moving_fabric&) = delete;

  std::string command(std::vector<std::string> words) const;
  [[nodiscard]] nlohmann::json instance() const;
  [[nodiscard]] std::string node() const { return instance().value("node", ""); }
  [[nodiscard]] bool runs() const { return instance().value("phase", "") == "PHASE_RUNNING"; }
  /// The next edge node in turn.
  [[nodiscard]] std::string elsewhere() const;
  [[nodiscard]] std::vector<std::string> edges() const;

  /// The last number that it has said; 0 while there is none.
  [[nodiscard]] long count() const;
  /// What it said last of its memory: how many pages are not as written; -1 while it has said nothing here.
  [[nodiscard]] long bad_pages() const;

  /// Begins a move; its name.
  [[nodiscard]] std::string begin_move(const std::string& to) const;
  [[nodiscard]] nlohmann::json await_end(const std::string& migration) const;
  [[nodiscard]] pid_t machine_on(const std::string& which) const;

  /// What it has written down: how often it began anew. Each number follows the one before, or is the first.
  int begins();
  /// It runs, and on one node only.
  void check_once();
  /// It goes on from where it was, and never began anew.
  void check_whole(long since);

  /// What is left on the machine once all has ended.
  [[nodiscard]] bool is_clean() const;

  live_fabric fabric;

private:
  wishes wishes_;
};

} // namespace novacron::spec
