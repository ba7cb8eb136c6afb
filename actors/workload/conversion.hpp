#pragma once

/// What has to hold before an instance changes its format, what it loses, and which of two copies a killed node left
/// counts.

#include "actors/workload/driver.hpp"
#include "messages/wire/agent.pb.h"

#include <filesystem>
#include <string>
#include <vector>

namespace novacron::workload {

/// Why what runs as `spec` says cannot become a `to`, in words; empty when it can.
std::string refuse_conversion(const wire::WorkloadSpec& spec, wire::WorkloadKind to);

/// What it does not take along, in words.
std::vector<std::string> lost_in_conversion(const wire::WorkloadSpec& spec, wire::WorkloadKind to);

/// The answer to whoever asks for it, before it is done.
wire::Converted announce_conversion(const wire::Instance& what, const std::string& node,
                                    const wire::ConvertInstance& asked);

/// "sandbox", as a person writes it.
const char* word_of(wire::WorkloadKind kind);

/// The directory of an instance that is about to become another format.
///
/// The new one is made beside the old, which stands still meanwhile. As long as it is a draft it counts for nothing;
/// the step from there to where the old one counts for nothing is a single one. So there is exactly one whenever a node
/// looks.
class conversion_draft {
public:
  explicit conversion_draft(std::filesystem::path place) : place_{std::move(place)} {}

  /// Makes the directory, as a draft. Throws std::system_error.
  void begin() const;
  /// From now on it counts, and what it came from does not. Throws std::system_error: then it is a draft still.
  void commit() const;
  /// What it came from is gone. Does nothing for what was not converted.
  void forget_origin() const;

private:
  std::filesystem::path place_;
};

/// Has the sweep of two drivers, whose instances are below `one` and `other`, find each instance once: a draft is
/// nobody's, and so is what a draft has come to replace. Throws std::system_error.
void settle_conversions(const std::filesystem::path& one, const std::filesystem::path& other);

} // namespace novacron::workload
