#pragma once

/// Which faults are at work, and when each of them began and ended.

#include "actors/simulation/network.hpp"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace novacron::simulation {

/// Something that happened to the world, for the picture and the report.
struct incident {
  moment begin{0};
  moment end{0};
  std::string what;
  std::string whom;
};

class fault_diary {
public:
  /// `name` is what ends it as a whole; `hosts` are those that have it, if it is theirs.
  void begin(moment now, std::string what, std::string whom, std::string name, const host_set& hosts = {});
  /// All that are called so end.
  void end(moment now, const std::string& name);
  /// All of these kinds end.
  void end_all(moment now, const std::vector<std::string>& kinds);
  /// These hosts do not have it any more; it ends with the last one of them.
  void end_on(moment now, const std::string& what, const host_set& hosts);

  bool at_work(const std::string& what) const { return at_work_.contains(what); }
  /// All that ever began; what has not ended yet ends now.
  std::vector<incident> told(moment now) const;

private:
  struct open_fault {
    std::size_t incident = 0;
    std::string name;
    std::vector<host_number> hosts;
  };
  void close(moment now, const open_fault& x);

  std::vector<incident> incidents_;
  std::vector<open_fault> open_;
  /// How many of each kind are open.
  std::map<std::string, std::size_t> at_work_;
};

} // namespace novacron::simulation
