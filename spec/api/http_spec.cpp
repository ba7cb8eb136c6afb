#include "actors/api/http.hpp"

#include <doctest/doctest.h>

namespace {
using namespace novacron::api;

std::variant<head, refusal> parse(const std::string& text) { return parse_head(text); }
unsigned status(const std::string& text) {
  const auto x = parse(text);
  return std::holds_alternative<refusal>(x) ? std::get<refusal>(x).status : 200;
}
std::string get(const std::string& more) { return "GET / HTTP/1.1\r\nHost: x\r\n" + more + "\r\n"; }

SCENARIO("a request is understood") {
  WHEN("it is whole") {
    const auto x = std::get<head>(parse("POST /v1/a%2Fb:c?node=edge-1&name=a+b%26c&flag HTTP/1.1\r\n"
                                        "Host: here\r\nX-Two: a\r\nx-two:  b \r\nContent-Length: 12\r\n\r\n"));
    THEN("its parts are there, and the path keeps its encoding") {
      CHECK(x.asked.method == "POST");
      CHECK(x.asked.path == "/v1/a%2Fb:c");
      CHECK(x.asked.query.find("node")->second == "edge-1");
      CHECK(x.asked.query.find("name")->second == "a b&c");
      CHECK(x.asked.query.find("flag")->second.empty());
      CHECK(x.asked.header("x-two") == "a, b");
      CHECK(x.length == 12);
      CHECK(x.keep_alive);
    }
  }
  WHEN("it is of HTTP/1.0") {
    CHECK_FALSE(std::get<head>(parse("GET / HTTP/1.0\r\n\r\n")).keep_alive);
    CHECK(std::get<head>(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")).keep_alive);
  }
  WHEN("it says close, or is in absolute form") {
    CHECK_FALSE(std::get<head>(parse(get("Connection: close\r\n"))).keep_alive);
    CHECK(std::get<head>(parse("GET http://h/x?y=1 HTTP/1.1\r\nHost: h\r\n\r\n")).asked.path == "/x");
    CHECK(std::get<head>(parse("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n")).asked.path == "/");
  }
  WHEN("it expects 100-continue") {
    CHECK(std::get<head>(parse(get("Expect: 100-continue\r\nContent-Length: 1\r\n"))).expects_continue);
  }
}

SCENARIO("a head is complete at its empty line") {
  CHECK(head_end("GET / HTTP/1.1\r\nHost: x\r\n") == std::string::npos);
  CHECK(head_end("GET / HTTP/1.1\r\n\r\nrest") == 18);
}

SCENARIO("what is malformed, or could be understood in two ways, is refused") {
  CHECK(status("") == 400);
  CHECK(status("\r\n\r\n") == 400);
  CHECK(status("GET /\r\n\r\n") == 400);
  CHECK(status("GET  HTTP/1.1\r\nHost: x\r\n\r\n") == 400);
  CHECK(status("GET / HTTP/2.0\r\nHost: x\r\n\r\n") == 505);
  CHECK(status("GET / FTP/1.1\r\nHost: x\r\n\r\n") == 400);
  CHECK(status("G(T / HTTP/1.1\r\nHost: x\r\n\r\n") == 400);
  CHECK(status("GET x HTTP/1.1\r\nHost: x\r\n\r\n") == 400);
  CHECK(status("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n") == 400);
  CHECK(status("GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n") == 400);
  CHECK(status("GET /?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n") == 400);
  CHECK(status("GET / HTTP/1.1\r\n\r\n") == 400);
  CHECK(status(get("Host: y\r\n")) == 400);
  CHECK(status(get("No colon\r\n")) == 400);
  CHECK(status(get("Space : x\r\n")) == 400);
  CHECK(status(get(" folded\r\n")) == 400);
  CHECK(status(get("X: a\x01" "b\r\n")) == 400);
  CHECK(status(get("X: a\nY: b\r\n")) == 400);
  CHECK(status(get("Content-Length: 1\r\nContent-Length: 2\r\n")) == 400);
  CHECK(status(get("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")) == 400);
  CHECK(status(get("Content-Length: -1\r\n")) == 400);
  CHECK(status(get("Content-Length: +1\r\n")) == 400);
  CHECK(status(get("Content-Length: 1x\r\n")) == 400);
  CHECK(status(get("Content-Length:\r\n")) == 400);
  CHECK(status(get("Content-Length: 99999999999999999999999\r\n")) == 400);
  CHECK(status(get("Content-Length: 8388609\r\n")) == 413);
  CHECK(status(get("Content-Length: 8388608\r\n")) == 200);
  CHECK(status(get("Transfer-Encoding: gzip, chunked\r\n")) == 501);
  CHECK(status(get("Content-Encoding: gzip\r\n")) == 415);
  CHECK(status(get("Expect: a miracle\r\n")) == 417);
  CHECK(status("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
}

SCENARIO("the head has limits") {
  auto many = std::string{};
  for (auto i = 0; i < 99; ++i)
    many += "X-" + std::to_string(i) + ": y\r\n";
  CHECK(status(get(many)) == 200);
  CHECK(status(get(many + "One: more\r\n")) == 431);
  CHECK(status(get("X: " + std::string(40'000, 'y') + "\r\n")) == 431);
}

SCENARIO("a chunked body comes in pieces") {
  const auto wire = std::string{"4\r\nWiki\r\n6;ext=1\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nX-Trailer: y\r\n\r\nNEXT"};
  THEN("wherever it is cut, it gives the same, and leaves what follows") {
    for (auto cut = std::size_t{1}; cut <= wire.size(); ++cut) {
      auto body = chunked_body{};
      auto left = std::string{};
      for (auto at = std::size_t{0}; at < wire.size(); at += cut) {
        left += wire.substr(at, cut);
        const auto taken = body.feed(left);
        REQUIRE(std::holds_alternative<std::size_t>(taken));
        left.erase(0, std::get<std::size_t>(taken));
      }
      CHECK(body.complete());
      CHECK(body.take() == "Wikipedia in \r\n\r\nchunks.");
      CHECK(left == "NEXT");
    }
  }
  THEN("a wrong one is refused") {
    const auto wrong = [](const std::string& text, limits bounds = {}) {
      auto body = chunked_body{bounds};
      const auto x = body.feed(text);
      return std::holds_alternative<refusal>(x) ? std::get<refusal>(x).status : 200;
    };
    CHECK(wrong("x\r\n") == 400);
    CHECK(wrong("-1\r\n") == 400);
    CHECK(wrong("\r\n") == 400);
    CHECK(wrong("4\n") == 400);
    CHECK(wrong("3\r\nWiki\r\n") == 400);
    CHECK(wrong("fffffffff\r\n") == 400);
    CHECK(wrong("ffffffff\r\n") == 413);
    CHECK(wrong("5\r\n", {.body_bytes_max = 4}) == 413);
    CHECK(wrong("3\r\nabc\r\n2\r\n", {.body_bytes_max = 4}) == 413);
    CHECK(wrong(std::string(100, '0')) == 400);
    CHECK(wrong("0\r\n" + std::string(9000, 'x')) == 400);
  }
}

SCENARIO("percent-encoding goes both ways") {
  CHECK(percent_decoded("a%2fb%3A1") == "a/b:1");
  CHECK(percent_decoded("a+b") == "a+b");
  CHECK(percent_decoded("a+b", true) == "a b");
  CHECK(percent_decoded("%E2%82%AC") == "\xe2\x82\xac");
  for (const auto* wrong : {"%", "%4", "%4g", "%00", "%0a", "%7f", "%ff", "%c0%80", "%ed%a0%80", "%f4%90%80%80"})
    CHECK_FALSE(percent_decoded(wrong));
  CHECK(percent_encoded("demo/web:1 \xe2\x82\xac~") == "demo%2Fweb%3A1%20%E2%82%AC~");
  CHECK(percent_decoded(percent_encoded("a b/c?d&e=f+g%")) == "a b/c?d&e=f+g%");
}

SCENARIO("a response becomes bytes") {
  auto x = response{.status = 201, .body = "{}"};
  x.headers["Link"] = "<a>";
  CHECK(format_head(x, true) == "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                                "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nLink: <a>\r\n\r\n");
  CHECK(format_head({.status = 204}, false) == "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\n"
                                               "Cache-Control: no-store\r\nConnection: close\r\n\r\n");
  CHECK(format_chunk("0123456789abcdef") == "10\r\n0123456789abcdef\r\n");
  CHECK(format_chunk("") == "0\r\n\r\n");
}

SCENARIO("a problem is told as RFC 9457 says") {
  const auto x = problem(404, "there is no \"x\"", "not_found");
  CHECK(x.status == 404);
  CHECK(x.type == "application/problem+json");
  CHECK(x.body == R"({"type":"urn:novacron:problem:not_found","title":"Not Found","status":404,)"
                  R"("detail":"there is no \"x\"","fault":"not_found"})");
  CHECK(problem(400, "bytes \xff").body.find("bytes ?") != std::string::npos);
}

} // namespace
