#include "actors/shell/web.hpp"

#include <doctest/doctest.h>

using namespace novacron::shell;

namespace {

page_request ask(const std::string& line, const std::string& more = {}) {
  return read_page_request(line + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + more + "\r\n", "k3y");
}

} // namespace

SCENARIO("a browser reads what lies below the key, and nothing else") {
  CHECK(ask("GET /k3y/").path == "/");
  CHECK(ask("GET /k3y/v1/nodes?limit=1").path == "/v1/nodes?limit=1");
  CHECK(ask("GET /k3y").location == "/k3y/");
  CHECK(ask("GET /k3y").refused == 307);
  for (const auto* line : {"GET /", "GET /v1/nodes", "GET /k3yx/", "GET /k3/", "GET /other/k3y/", "GET /k3y/a b"})
    CHECK_MESSAGE(ask(line).refused == 404, line);
  for (const auto* line : {"POST /k3y/v1/nodes/edge-1:drain", "DELETE /k3y/v1/workloads/web", "get /k3y/", "GET k3y"})
    CHECK_MESSAGE(ask(line).refused == 405, line);
  CHECK(read_page_request("", "k3y").refused == 400);
  CHECK(read_page_request("GET /k3y/ HTTP/1.1\r\n", "k3y").refused == 400);
  CHECK(read_page_request("GET /k3y/ HTTP/2\r\n\r\n", "k3y").refused == 400);
  CHECK(read_page_request("GET // HTTP/1.1\r\n\r\n", "").refused == 404);
}

SCENARIO("of the head only what a stream needs goes on") {
  const auto x =
      ask("GET /k3y/v1/events", "accept: text/event-stream\r\nCookie: a=b\r\nLast-Event-ID: 7\r\nOrigin: x\r\n");
  CHECK(x.refused == 0);
  CHECK(x.more == "accept: text/event-stream\r\nLast-Event-ID: 7\r\n");
}
