#pragma once

/// Puts an assignment together that came in parts.

#include "messages/wire/agent.pb.h"

#include <optional>

namespace novacron::workload {

namespace wire = novacron::v1;

/// Parts come one after the other, each again until it was answered.
class assignment_parts {
public:
  /// Where a part leads to: the whole assignment, or (nothing) to more parts. `astray` is one that does not follow
  /// what is here: its sender has to begin again.
  struct progress {
    std::optional<wire::Assign> whole;
    bool astray = false;
  };
  progress take(const wire::Assign& part);

private:
  wire::Assign gathered_;
  std::uint32_t next_ = 0;
};

} // namespace novacron::workload
