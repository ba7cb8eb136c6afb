/// The specs of the ledger with real processes; started as "ledger-server" this program is the ledger's process.
#define DOCTEST_CONFIG_IMPLEMENT
#include "actors/state/ledger_bench.hpp"
#include "actors/state/ledger_server.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstring>
#include <iostream>

int main(int argc, char** argv) {
  using namespace novacron;
  if (argc > 1 && std::strcmp(argv[1], "ledger-server") == 0)
    return ledger::ledger_server_main(argc - 1, argv + 1);
  if (argc > 2 && std::strcmp(argv[1], "bench") == 0) {
    auto options = ledger::bench_options{.program = {"/proc/self/exe", "ledger-server"}, .directory = argv[2]};
    if (argc > 3)
      options.kills = static_cast<std::uint32_t>(std::atoi(argv[3]));
    std::cout << host::bench_json("ledger", "spec", ledger::bench_ledger(options)) << '\n';
    return 0;
  }
  return doctest::Context{argc, argv}.run();
}
