#include "actors/workload/contact.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace std::chrono_literals;
using workload::contact;

SCENARIO("silence begins when the last controller is gone") {
  auto controllers = contact{10s, {}};
  CHECK_FALSE(controllers.known());
  controllers.arrive("a", 20s);
  controllers.arrive("b", 21s);
  CHECK(controllers.known());
  controllers.depart("a", 30s);
  CHECK(controllers.silence(100s) == 0s);
  controllers.depart("b", 110s);
  CHECK(controllers.silence(115s) == 5s);
  controllers.arrive("a", 120s);
  CHECK(controllers.silence(130s) == 0s);
}

SCENARIO("one that is not a known link counts by what it says") {
  auto controllers = contact{0s, {}};
  controllers.hear(10s);
  controllers.depart("stranger", 50s);
  CHECK(controllers.silence(60s) == 50s);
}

SCENARIO("silence goes on over a restart of the process, and starts long ago after one of the host") {
  CHECK(contact{100s, 70s}.silence(101s) == 31s);
  CHECK(contact{5s, 70s}.silence(6s) == 6s);
}

SCENARIO("contact is noted now and then") {
  auto controllers = contact{0s, {}};
  CHECK(controllers.worth_noting(1s));
  CHECK_FALSE(controllers.worth_noting(60s));
  controllers.arrive("a", 61s);
  CHECK(controllers.worth_noting(61s));
  CHECK_FALSE(controllers.worth_noting(62s));
  CHECK(controllers.worth_noting(63s));
}
