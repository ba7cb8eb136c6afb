// A process that hosts an agent and nothing else, to be killed by the container spec at any moment.
//
//     agent-host DATA ROOT ASSIGN    ASSIGN is a file with the JSON of the Assign to run

#include "actors/host/files.hpp"
#include "actors/workload/agent_actor.hpp"
#include "actors/workload/container_driver.hpp"
#include "messages/language.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>

#include <signal.h>
#include <unistd.h>

using namespace novacron;

int main(int count, char** arguments) {
  if (count != 4)
    return 2;
  // The spec ends it by closing its input; a signal ends it at once.
  auto settings = caf::actor_system_config{};
  add_language(settings);
  auto system = caf::actor_system{settings};
  auto driver = workload::make_container_driver({.data = arguments[1]});
  auto agent = workload::spawn_agent(system, {.node = "n", .data = arguments[1]}, driver,
                                     workload::access_to(std::filesystem::path{arguments[2]}), {});
  auto order = wire::Assign{};
  if (!from_json(host::read_file(arguments[3]).value_or(""), order).empty())
    return 2;
  caf::scoped_actor{system}->request(agent, std::chrono::seconds{20}, order).receive([](const wire::Done&) {},
                                                                                     [](const caf::error&) {});
  for (auto byte = char{}; ::read(0, &byte, 1) > 0;)
    ;
  caf::anon_send_exit(agent, caf::exit_reason::user_shutdown);
  return 0;
}
