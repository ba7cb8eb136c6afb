#include "actors/state/election.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace novacron::ledger;
using namespace std::chrono_literals;

SCENARIO("voters wait as long for an election as their disks need, within bounds") {
  CHECK(election_ms_for(300, 0ms) == 300);
  CHECK(election_ms_for(300, 37ms) == 300);
  CHECK(election_ms_for(300, 38ms) == 304);
  CHECK(election_ms_for(300, 400ms) == 3'200);
  CHECK(election_ms_for(300, 1h) == election_ms_max);
  CHECK(election_ms_for(8'000, 1h) == 8'000);
  CHECK(election_ms_for(300, -1ms) == 300);
}
