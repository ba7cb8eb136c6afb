#include "actors/node/join.hpp"

#include <doctest/doctest.h>

using namespace novacron;

SCENARIO("an HTTP answer is taken whole or not at all") {
  const auto whole = std::string{"HTTP/1.1 200 OK\r\nServer: x\r\nContent-LENGTH:  2\r\n\r\n{}"};
  REQUIRE(node::parse_http_answer(whole));
  CHECK(node::parse_http_answer(whole)->status == 200);
  CHECK(node::parse_http_answer(whole + "more")->body == "{}");
  for (auto i = std::size_t{0}; i < whole.size(); ++i)
    CHECK_FALSE(node::parse_http_answer(whole.substr(0, i)));
  CHECK_FALSE(node::parse_http_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}"));
  CHECK_FALSE(node::parse_http_answer("HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\n{}"));
  CHECK_FALSE(node::parse_http_answer("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}"));
  CHECK_FALSE(node::parse_http_answer("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n{}"));
  CHECK_FALSE(node::parse_http_answer("220 mail.example ESMTP\r\n\r\n"));
}
