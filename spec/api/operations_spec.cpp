#include "actors/api/operations.hpp"

#include <doctest/doctest.h>

#include <future>

namespace {
using namespace novacron;
using namespace novacron::api;
using namespace std::chrono_literals;

/// Plenty for a thread to do what it was told to, also on a loaded machine.
constexpr auto long_enough = 20s;

operations::config small() {
  return {.running_max = 2, .ended_max = 1, .now = [] { return std::int64_t{42}; }};
}

response good(const std::string& body = R"({"name":"web:1"})") {
  return {.status = 200, .type = "application/json", .body = body, .headers = {}, .stream = {}};
}

SCENARIO("what takes long goes on after its request, and can be asked about") {
  auto gate = std::promise<void>{};
  auto open = gate.get_future().share();
  auto all = operations{small()};
  const auto first = all.run(
      "a", "importImage", [open] { return open.wait(), good(); }, 0ms);
  CHECK(first.status == 202);
  CHECK(first.headers.at("Location") == "/v1/operations/a");
  REQUIRE(all.find("a", 0ms));
  CHECK(all.find("a", 0ms)->state() == "running");
  CHECK(all.find("a", 0ms)->started_ms() == 42);
  THEN("the same identity again is the same operation, and not a second one") {
    CHECK(all.run(
                 "a", "importImage", [] { return problem(500, "twice"); }, 0ms)
              .status == 202);
    CHECK(all.list().operations_size() == 1);
  }
  gate.set_value();
  const auto ended = all.find("a", long_enough);
  REQUIRE(ended);
  CHECK(ended->state() == "done");
  CHECK(ended->status() == 200);
  CHECK(ended->result().struct_value().fields().at("name").string_value() == "web:1");
  CHECK(all.run(
               "a", "importImage", [] { return problem(500, "twice"); }, 0ms)
            .status == 200);
  CHECK(!all.find("b", 0ms));
}

SCENARIO("what ends in time is answered as if it were no operation") {
  auto all = operations{small()};
  CHECK(all.run(
               "a", "x", [] { return good(); }, long_enough)
            .body == R"({"name":"web:1"})");
  const auto no = all.run(
      "b", "x", [] { return problem(404, "no such file", "not_found"); }, long_enough);
  CHECK(no.status == 404);
  CHECK(all.find("b", 0ms)->state() == "failed");
  CHECK(all.find("b", 0ms)->result().struct_value().fields().at("detail").string_value() == "no such file");
}

SCENARIO("there is a limit to what runs and to what is remembered") {
  auto gate = std::promise<void>{};
  auto open = gate.get_future().share();
  auto all = operations{small()};
  for (const auto* id : {"a", "b"})
    CHECK(all.run(
                 id, "x", [open] { return open.wait(), good(); }, 0ms)
              .status == 202);
  const auto third = all.run(
      "c", "x", [] { return good(); }, 0ms);
  CHECK(third.status == 429);
  CHECK(third.headers.contains("Retry-After"));
  gate.set_value();
  for (const auto* id : {"a", "b"})
    CHECK(all.find(id, long_enough)->state() == "done");
  CHECK(all.run(
               "d", "x", [] { return good(); }, long_enough)
            .status == 200);
  CHECK(all.list().operations_size() == 2);
  CHECK(!all.find("a", 0ms));
}

} // namespace
