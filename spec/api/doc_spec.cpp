#include "actors/api/route.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

namespace {
using namespace novacron::api;

std::string table() {
  auto out = std::string{"| method | path | body | answer | what |\n|---|---|---|---|---|\n"};
  const auto name = [](auto descriptor) { return descriptor ? "`" + descriptor()->name() + "`" : std::string{}; };
  for (const auto& x : routes()) {
    auto query = std::string{};
    for (const auto& p : x.query)
      query += (query.empty() ? " ?" : "&") + std::string{p.name};
    auto path = std::string{x.pattern};
    std::erase(path, '*');
    auto answer = name(x.answer);
    if (x.type != "application/json" || !x.answer)
      answer += (answer.empty() ? "" : ", ") + std::string{x.type};
    out += "| " + std::string{x.method} + " | `" + path + "`" + query + " | " + name(x.body) + " | " + answer + " | " +
           std::string{x.help} + " |\n";
  }
  return out;
}

SCENARIO("the page about the interface lists every route as it is") {
  auto file = std::ifstream{HOUSE_ROOT "/doc/api.md"};
  const auto text = std::string{std::istreambuf_iterator<char>{file}, {}};
  const auto begin = std::string{"<!-- routes -->\n"};
  const auto from = text.find(begin);
  const auto to = text.find("<!-- /routes -->");
  REQUIRE(from != text.npos);
  REQUIRE(to != text.npos);
  const auto there = text.substr(from + begin.size(), to - from - begin.size());
  const auto same = there == table();
  CHECK_MESSAGE(same, "put this between the marks in doc/api.md:\n" << table());
}

} // namespace
