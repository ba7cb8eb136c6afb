#include "actors/host/resolver.hpp"

#include <doctest/doctest.h>

using namespace novacron::host;

SCENARIO("of the host's name servers those remain that can be asked from elsewhere") {
  const auto x =
      parse_resolver("# comment\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n nameserver\t192.0.2.2 \n"
                     "nameserver ::1\nnameserver 2001:db8::1\nnameserver 0.0.0.0\nsearch a.example b.example\n"
                     "options edns0\nsortlist 192.0.2.0\nnameserver\nnameserver 192.0.2.3\nnameserver 192.0.2.4");
  CHECK(x.servers == std::vector<std::string>{"192.0.2.1", "192.0.2.2", "192.0.2.3"});
  CHECK(
      to_text(x) ==
      "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nsearch a.example b.example\noptions edns0\n");
  CHECK(to_text(parse_resolver("")).empty());
  CHECK(parse_resolver(std::string{"nameserver \0\xff\n", 14}).servers.empty());
}
