#include "actors/node/join.hpp"

#include "actors/node/authority.hpp"
#include "actors/node/credentials.hpp"
#include "spec/full_disk.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

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

SCENARIO("a token is not spent where the disk has no room for what it brings") {
  auto pattern = (std::filesystem::temp_directory_path() / "novacron-join-XXXXXX").string();
  const auto home = std::filesystem::path{::mkdtemp(pattern.data())};
  node::request_with_own_key(home, "edge-1", "edge");
  // Nobody listens there.
  const auto join = [&] {
    try {
      node::join({.server = {"127.0.0.1", 1},
                  .token = to_string(node::join_secret{std::string(16, 'a'), std::string(64, 'b'), std::string(64, 'c')}),
                  .name = "edge-1",
                  .role = "edge",
                  .directory = home});
    } catch (const node::join_error& problem) {
      return static_cast<int>(problem.what_kind);
    }
    return spec::died;
  };
  CHECK(join() == static_cast<int>(node::join_error::kind::unreachable));
  CHECK(spec::on_full_disk(join) == static_cast<int>(node::join_error::kind::refused));
  THEN("and nothing is left of the room that was kept for it") {
    CHECK(std::distance(std::filesystem::directory_iterator{home}, {}) == 1);
  }
  std::filesystem::remove_all(home);
}
