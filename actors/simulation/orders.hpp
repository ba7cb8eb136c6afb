#pragma once

/// What a person asked the fabric for, what was acknowledged, and whether the truth still says so.

#include "actors/state/records.hpp"
#include "messages/wire/workload.pb.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace novacron::simulation {

namespace wire = novacron::v1;

/// The last orders about each workload, kept outside of the fabric.
class order_book {
public:
  enum class wish : std::uint8_t { run, stop, forget };

  void asked(const std::string& workload, wish what);
  /// It counts: `generation` is what the answer to a run said.
  void acknowledged(const std::string& workload, wish what, std::uint64_t generation);
  /// Whether it was done is not known; until the next acknowledged order about it, anything may be.
  void unsure(const std::string& workload);

  std::uint64_t asked_count() const { return asked_; }
  std::uint64_t acknowledged_count() const { return acknowledged_; }

  /// Acknowledged orders that the truth does not hold, in words.
  std::vector<std::string> lost(const ledger::records& truth) const;

private:
  struct last_word {
    wish what = wish::run;
    std::uint64_t generation = 0;
    bool sure = false;
  };
  std::map<std::string, last_word> last_;
  std::uint64_t asked_ = 0;
  std::uint64_t acknowledged_ = 0;
};

} // namespace novacron::simulation
