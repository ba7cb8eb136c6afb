#include "actors/host/version.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>

using namespace novacron;

SCENARIO("the program knows what it was built from") {
  CHECK(std::ranges::count(host::version(), '.') == 2);
  CHECK(host::build_options().find(", ") != std::string_view::npos);
  const auto commit = host::commit();
  const auto number = commit.substr(0, commit.find('-'));
  CHECK((commit == "unknown" || std::ranges::all_of(number, [](unsigned char x) { return std::isxdigit(x); })));
}
