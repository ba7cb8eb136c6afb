#pragma once

/// Decides whether a recorded history of a register per key can be explained by operations done one after another.

#include <cstdint>
#include <istream>
#include <ostream>
#include <string>
#include <vector>

namespace novacron::ledger {

struct operation {
  enum class kind { read, write, cas, remove };
  enum class result { ok, fail, unknown };
  kind what = kind::read;
  result how = result::ok;
  std::string process;
  std::string key;
  /// A value, or that there is none.
  struct content {
    bool there = false;
    std::string text;
    auto operator<=>(const content&) const = default;
  };
  content value;
  content expect;
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

struct verdict {
  enum class kind { linearizable, violated, undecided } what = kind::linearizable;
  /// Of the first key that cannot be explained.
  std::string key;
  /// The operation before which the longest explanation ends, and what the key held then.
  std::string reason;
  std::uint64_t steps = 0;
};

/// At most `steps_max` placements of an operation are tried for all keys together; then it is undecided.
verdict check(const std::vector<operation>& history, std::uint64_t steps_max = 50'000'000);

/// One line of a history, without its end of line.
std::string to_line(const operation& x);
/// Returns what is wrong with the line, empty when nothing is.
std::string from_line(const std::string& line, operation& into);

/// Reads JSON lines (see doc/ledger.md), writes a verdict in words. Returns 0 linearizable, 1 violated, 2 not a history
/// or undecided.
int check_history(std::istream& lines, std::ostream& words);

} // namespace novacron::ledger
