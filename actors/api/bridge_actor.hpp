#pragma once

/// Lets threads that are no actors ask actors.

#include "actors/api/call.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/expected.hpp>

#include <mutex>
#include <set>
#include <string_view>

namespace novacron::api {

/// Finds an actor by its path: "scheduler", "edge-1/agent", ... Called from several threads at once.
using finder = std::function<caf::expected<caf::actor>(std::string_view path)>;

class bridge {
public:
  bridge(caf::actor_system& system, finder find);

  /// As `world::ask` promises. Blocks the calling thread.
  world::answers ask(const std::vector<std::string>& paths, const caf::message& question, milliseconds patience);

  /// Ends all waiting, now and from now on: it is answered with `fault::unavailable`.
  void give_up();

private:
  caf::actor_system& system_;
  const finder find_;
  std::mutex guard_;
  std::set<caf::actor> waiting_;
  bool over_ = false;
};

} // namespace novacron::api
