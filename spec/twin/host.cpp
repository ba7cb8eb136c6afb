/// The other host as a process of its own: says its port, and ends with its standard input.

#include "actors/node/node_system.hpp"
#include "spec/twin/far_actor.hpp"

#include <iostream>
#include <string>

int main() {
  auto config = novacron::node::system_config{1};
  auto system = caf::actor_system{config};
  system.await_actors_before_shutdown(false);
  const auto port = system.middleman().publish(system.spawn(twin::far_actor), 0, "127.0.0.1");
  if (!port)
    return 1;
  std::cout << *port << std::endl;
  for (auto line = std::string{}; std::getline(std::cin, line);)
    ;
  return 0;
}
