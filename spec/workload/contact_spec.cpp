#include "actors/workload/contact.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace std::chrono_literals;
using workload::contact;

SCENARIO("silence is counted from when that was sent which a controller answered") {
  auto controllers = contact{10s};
  CHECK(controllers.silence(11s) == 1s);
  controllers.confirm(20s);
  CHECK(controllers.silence(25s) == 5s);
  // An answer that comes late, or twice, says nothing new.
  controllers.confirm(15s);
  controllers.confirm(20s);
  CHECK(controllers.silence(25s) == 5s);
}

SCENARIO("silence goes on over a restart of the process, and has lasted for ever after one of the host") {
  CHECK(contact{70s}.silence(101s) == 31s);
  CHECK(contact{0s}.silence(6s) == 6s);
}

SCENARIO("what shall run is certain while no silence was long enough for another node to take over") {
  auto controllers = contact{0s};
  controllers.confirm(100s);
  CHECK_FALSE(controllers.instructed());
  CHECK_FALSE(controllers.assured(10s, 100s));
  controllers.instruct();
  CHECK(controllers.instructed());
  CHECK(controllers.assured(10s, 109s));
  CHECK_FALSE(controllers.assured(10s, 110s));
  WHEN("the silence was shorter") {
    controllers.confirm(109s);
    THEN("it is still certain") { CHECK(controllers.assured(10s, 112s)); }
  }
  WHEN("the silence was as long as that") {
    controllers.confirm(110s);
    THEN("it must be said again") {
      CHECK_FALSE(controllers.assured(10s, 110s));
      CHECK(controllers.assured(11s, 110s));
      controllers.instruct();
      CHECK(controllers.assured(10s, 110s));
    }
  }
  WHEN("it is said again before the silence has ended") {
    controllers.instruct();
    controllers.confirm(120s);
    THEN("that may have been said before the silence, and is not enough") { CHECK_FALSE(controllers.assured(10s, 120s)); }
  }
}
