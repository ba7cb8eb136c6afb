/// The program `novacron`: one node, a whole fabric for development, or a client of one, as its first words say.

#include "actors/node/commands.hpp"

#include "actors/shell/shell_main.hpp"
#include "actors/state/ledger_server.hpp"

#include <string_view>

int main(int argc, char** argv) {
  // Started by the ledger actor; not a command for people.
  if (argc > 1 && std::string_view{argv[1]} == "ledger-server")
    return novacron::ledger::ledger_server_main(argc - 1, argv + 1);
  return novacron::shell::shell_main(argc, argv, novacron::node::process_commands());
}
