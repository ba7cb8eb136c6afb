#pragma once

/// Spawns the agent: it runs what its node was assigned, one actor per instance.

#include "actors/host/crew.hpp"
#include "actors/host/files.hpp"
#include "actors/host/metrics.hpp"
#include "actors/workload/driver.hpp"
#include "actors/workload/guest_mover.hpp"
#include "actors/workload/image_access.hpp"
#include "actors/workload/lease.hpp"
#include "messages/agent.hpp"
#include "messages/vocabulary.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace novacron::workload {

struct agent_settings {
  std::string node;
  std::uint64_t incarnation = 0;
  /// The node's data directory; the agent keeps `agent/` in it.
  std::filesystem::path data;
  wire::Resources capacity;
  duration report_interval = std::chrono::seconds{2};
  /// What the image store has, for the report.
  std::function<std::vector<std::string>()> images = [] { return std::vector<std::string>{}; };
  /// Lists the actor of an instance for people, and gives the address through which to speak to it.
  std::function<caf::actor(const std::string& instance, const caf::actor& itself)> list = [](const auto&, const auto& itself) {
    return itself;
  };
  std::function<void(const std::string& instance)> unlist = [](const auto&) {};
  /// Where to count; null counts nothing.
  std::shared_ptr<host::metrics> numbers = nullptr;
  /// The disk that `data` is on, the lease on it, who does what blocks, and the time since boot. Null takes those of
  /// this host; the virtual world has its own.
  std::shared_ptr<host::disk> disk = nullptr;
  std::shared_ptr<workload::lease> lease = nullptr;
  std::shared_ptr<host::crew> workers = nullptr;
  /// Who fetches images, so that one that does not come holds up no start of another; null takes threads of its own.
  std::shared_ptr<host::crew> fetchers = nullptr;
  /// Moves what runs to other nodes; null refuses to.
  std::shared_ptr<guest_mover> mover = nullptr;
  std::function<duration()> since_boot = workload::since_boot;
};

/// `report_to` gets a NodeReport at every interval, and at each change that or, if it takes it, a ReportChange. The
/// agent has swept and starts what it was last assigned before it takes its first message, so it also works with no
/// controller in reach.
agent_actor spawn_agent(caf::actor_system& system, agent_settings settings, std::shared_ptr<driver> driver,
                        image_access images, caf::actor report_to);

} // namespace novacron::workload
