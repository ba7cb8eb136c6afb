#include "actors/shell/http_reader.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace novacron::shell;
using state = http_reader::state;

namespace {

const std::string counted =
    "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello";
const std::string chunked =
    "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n";

} // namespace

SCENARIO("an answer is read whole, in whatever pieces it comes") {
  for (const auto& text : {counted, chunked})
    for (auto piece = std::size_t{1}; piece <= text.size(); ++piece) {
      auto reader = http_reader{};
      auto now = state::more;
      for (auto at = std::size_t{0}; at < text.size(); at += piece)
        now = reader.feed(std::string_view{text}.substr(at, piece));
      REQUIRE(now == state::done);
      const auto reply = reader.take();
      CHECK(reply.body == (&text == &counted || text == counted ? "hello" : "abcde"));
      CHECK(reply.status == (text == counted ? 200 : 404));
    }
}

SCENARIO("other shapes of answers") {
  THEN("an interim answer is passed over") {
    auto reader = http_reader{};
    CHECK(reader.feed("HTTP/1.1 100 Continue\r\n\r\n" + counted) == state::done);
    CHECK(reader.take().type == "application/json");
  }
  THEN("without a length it ends with the connection") {
    auto reader = http_reader{};
    CHECK(reader.feed("HTTP/1.0 200 OK\r\n\r\nabc") == state::more);
    CHECK(reader.close() == state::done);
    const auto reply = reader.take();
    CHECK(reply.body == "abc");
    CHECK(!reply.keeps_open);
  }
  THEN("there may be no body") {
    CHECK(http_reader{}.feed("HTTP/1.1 204 No Content\r\n\r\n") == state::done);
    CHECK(http_reader{}.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") == state::done);
  }
}

SCENARIO("garbage is an error and never a crash") {
  for (const auto* text :
       {"SSH-2.0-OpenSSH\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"}) {
    auto reader = http_reader{};
    CHECK_MESSAGE(reader.feed(text) == state::broken, text);
    CHECK(!reader.problem().empty());
  }
  THEN("an answer that breaks off is no answer") {
    auto reader = http_reader{};
    reader.feed(std::string_view{counted}.substr(0, counted.size() - 1));
    CHECK(reader.close() == state::broken);
  }
  THEN("a head without end is not collected for ever") {
    auto reader = http_reader{};
    CHECK(reader.feed("HTTP/1.1 200 OK\r\nX: " + std::string(http_reader::head_bytes_max, 'x')) == state::broken);
  }
  THEN("any change of a good answer is read or refused") {
    auto chance = std::mt19937{7};
    for (auto round = 0; round < 20'000; ++round) {
      auto text = round % 2 ? counted : chunked;
      for (auto n = 0; n < 3; ++n)
        text[chance() % text.size()] = static_cast<char>(chance());
      auto reader = http_reader{};
      reader.feed(text);
      CHECK(reader.close() != state::more);
    }
  }
}
