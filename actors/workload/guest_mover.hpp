#pragma once

/// What brings a guest's memory and disk from one node to another while it runs: a seam behind which any engine fits.

#include "actors/workload/outcome.hpp"
#include "messages/wire/workload.pb.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace novacron::workload {

namespace wire = novacron::v1;

/// How it went, as the source knows it. It is decided: who does not know waits until he does.
struct departure {
  /// It runs at the target, and must not go on here.
  bool moved = false;
  /// Why it goes on here.
  std::string reason;
};

/// Answers come on any thread. One move of an instance is under way at a time.
class guest_mover {
public:
  using told = std::function<void(const wire::MoveProgress&)>;

  virtual ~guest_mover() = default;

  /// The machine of `what` waits for its guest: listens for the source of its move and takes in what comes. `listens`
  /// hears at which addresses. Ends the machine when that goes wrong; once all has come, it is kept until somebody who
  /// knows says what becomes of it.
  virtual void take_in(const wire::Instance& what, then<std::vector<std::string>> listens) = 0;

  /// Sends the guest of `what`, which runs here, to the target of its move.
  virtual void send(const wire::Instance& what, told progress, then<departure> done) = 0;

  /// What a former life of this process left standing still: finds out whether it goes on here, and has it go on then.
  virtual void settle(const wire::Instance& what, then<departure> done) = 0;

  /// Ends what is under way for an instance in either direction; where it is decided already, that stays so.
  virtual void stop(const std::string& instance) = 0;
};

} // namespace novacron::workload
