// A process that hosts an agent and nothing else, to be killed by the container specs at any moment.
//
//     agent-host DATA ROOT ASSIGN CUT    ASSIGN is a file with the JSON of the Assign to run; while there is a file CUT
//                                        nobody answers its reports, and it is assigned nothing

#include "actors/host/files.hpp"
#include "actors/workload/agent_actor.hpp"
#include "actors/workload/container_driver.hpp"
#include "actors/workload/driver_by_kind.hpp"
#include "actors/workload/machine_driver.hpp"
#include "actors/workload/qemu_monitor.hpp"
#include "messages/language.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>

#include <unistd.h>

using namespace novacron;

namespace {

wire::Assign order_in(const std::string& file) {
  auto order = wire::Assign{};
  from_json(host::read_file(file).value_or(""), order);
  return order;
}

/// Answers reports as a scheduler does: who follows no assignment is sent its own.
caf::behavior controller(caf::event_based_actor* self, std::string assign, std::string cut) {
  return {[=](const wire::NodeReport& x) -> caf::result<wire::Done> {
    if (std::filesystem::exists(cut))
      return caf::make_error(fault::unreachable, "cut");
    if (x.revision() == 0)
      caf::anon_send(caf::actor_cast<caf::actor>(self->current_sender()), order_in(assign));
    return wire::Done{};
  }};
}

} // namespace

int main(int count, char** arguments) {
  if (count != 5)
    return 2;
  // The spec ends it by closing its input; a signal ends it at once.
  auto settings = caf::actor_system_config{};
  add_language(settings);
  auto system = caf::actor_system{settings};
  const auto containers = workload::make_container_driver({.data = arguments[1]});
  auto machines = workload::machine_settings{.data = arguments[1], .monitor = workload::make_qemu_monitor()};
  machines.networks = containers->networks();
  machines.templates = workload::make_machine_templates(arguments[1], machines.monitor, std::uint64_t{1} << 30);
  machines.checkpoints = workload::make_machine_checkpoints(arguments[1], "n", std::uint64_t{10} << 30);
  const auto driver = workload::make_driver_by_kind(containers, workload::make_machine_driver(machines));
  const auto boss = system.spawn(controller, std::string{arguments[3]}, std::string{arguments[4]});
  auto agent = workload::spawn_agent(system, {.node = "n", .data = arguments[1]}, driver,
                                     workload::access_to(std::filesystem::path{arguments[2]}), boss);
  if (!std::filesystem::exists(arguments[4]))
    caf::anon_send(agent, order_in(arguments[3]));
  for (auto byte = char{}; ::read(0, &byte, 1) > 0;) {
    const auto name = order_in(arguments[3]).instances(0).name();
    if (byte == 'k') {
      auto order = wire::CheckpointInstance{};
      order.set_instance(name);
      caf::anon_send(agent, order);
      continue;
    }
    auto order = wire::ConvertInstance{};
    order.set_instance(name);
    order.set_to(byte == 's' ? wire::WORKLOAD_KIND_SANDBOX : wire::WORKLOAD_KIND_CONTAINER);
    caf::anon_send(agent, order);
  }
  caf::anon_send_exit(agent, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(boss, caf::exit_reason::user_shutdown);
  return 0;
}
