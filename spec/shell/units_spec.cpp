#include "actors/shell/units.hpp"

#include <doctest/doctest.h>

using namespace novacron::shell;

SCENARIO("sizes are read exactly, or not at all") {
  THEN("units are binary or decimal as written") {
    CHECK(parse_bytes("0") == 0);
    CHECK(parse_bytes("4096") == 4096);
    CHECK(parse_bytes("64MiB") == 64u << 20);
    CHECK(parse_bytes("64Mi") == 64u << 20);
    CHECK(parse_bytes("64MB") == 64'000'000);
    CHECK(parse_bytes("10kB") == 10'000);
    CHECK(parse_bytes("1.5GiB") == 1'610'612'736);
    CHECK(parse_bytes("0.001kB") == 1);
  }
  THEN("2^63 is the last that fits") {
    CHECK(parse_bytes("9223372036854775808") == std::uint64_t{1} << 63);
    CHECK(!parse_bytes("9223372036854775809"));
    CHECK(parse_bytes("8192PiB") == std::uint64_t{1} << 63);
    CHECK(!parse_bytes("8193PiB"));
    CHECK(!parse_bytes("9999999999999999999PiB"));
    CHECK(!parse_bytes("99999999999999999999"));
  }
  THEN("what is no size is refused") {
    for (const auto* x : {"", "MiB", "-1", "+1", "1 MiB", "64Mb", "64mib", "1.", ".5", "1e3", "0x10", "0.5", "0.0001kB",
                          "1.5.1", "64MiB "})
      CHECK_MESSAGE(!parse_bytes(x), x);
  }
}

SCENARIO("durations are read in whole milliseconds") {
  THEN("units may be joined") {
    CHECK(parse_duration("0") == 0);
    CHECK(parse_duration("100ms") == 100);
    CHECK(parse_duration("30s") == 30'000);
    CHECK(parse_duration("1h30m") == 5'400'000);
    CHECK(parse_duration("1.5s") == 1'500);
    CHECK(parse_duration("2d") == 172'800'000);
    CHECK(parse_duration("0.001s") == 1);
  }
  THEN("a century is the most") {
    CHECK(parse_duration("36600d") == std::uint64_t{36'600} * 86'400'000);
    CHECK(!parse_duration("36601d"));
    CHECK(!parse_duration("36600d1ms"));
    CHECK(!parse_duration("9999999999999999999h"));
  }
  THEN("what is no duration is refused") {
    for (const auto* x : {"", "5", "1", "s", "-1s", "5us", "0.5ms", "5 s", "5s ", "5sec", "1h 30m", "."})
      CHECK_MESSAGE(!parse_duration(x), x);
  }
}

SCENARIO("amounts of processors are read in thousandths") {
  CHECK(parse_milli("0.5") == 500);
  CHECK(parse_milli("2") == 2'000);
  CHECK(parse_milli("250m") == 250);
  CHECK(parse_milli("0.001") == 1);
  CHECK(parse_milli("1000000") == 1'000'000'000);
  for (const auto* x :
       {"", "0.0001", "0.5m", "1000000.001", "-1", "nan", "inf", "1e3", "2 cores", "9999999999999999999"})
    CHECK_MESSAGE(!parse_milli(x), x);
}

SCENARIO("whole numbers keep to 64 bits") {
  CHECK(parse_number("-5") == -5);
  CHECK(parse_number("9223372036854775807") == INT64_MAX);
  CHECK(!parse_number("9223372036854775808"));
  CHECK(!parse_number("5x"));
  CHECK(!parse_number(""));
}

SCENARIO("amounts are shown as people say them") {
  CHECK(print_bytes(0) == "0B");
  CHECK(print_bytes(1023) == "1023B");
  CHECK(print_bytes(64u << 20) == "64MiB");
  CHECK(print_bytes(1536u << 20) == "1.5GiB");
  CHECK(print_bytes((1u << 20) - 1) == "1MiB");
  CHECK(print_milli(250) == "0.25");
  CHECK(print_milli(2'000) == "2");
  CHECK(print_milli(0) == "0");
  CHECK(print_age(-5) == "0s");
  CHECK(print_age(119'999) == "119s");
  CHECK(print_age(185'000) == "3m");
  CHECK(print_age(7'200'000) == "2h");
  CHECK(print_age(3 * 86'400'000LL) == "3d");
  CHECK(print_seconds(0.00123) == "1.23ms");
  CHECK(print_time(1'767'225'600'123) == "2026-01-01T00:00:00.123Z");
}
