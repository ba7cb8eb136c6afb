#pragma once

/// Shows the fabric's page to a browser of this machine, which has neither its socket nor a certificate.

#include "actors/shell/session.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace novacron::shell {

/// Serves on loopback until Ctrl-C.
int web(const invocation& what, session& with);

/// What a browser may have.
struct page_request {
  /// The status that refuses it; 0 when it may go on.
  int refused = 0;
  /// Where to look instead, with a redirecting status.
  std::string location;
  std::string path;
  /// Lines of its head that go on with it, each with its line end.
  std::string more;
};

/// What the head of a request asks for: only what lies below /KEY/ and only to read, since every page that the browser
/// shows and every user of this machine can reach a port on loopback.
page_request read_page_request(std::string_view head, std::string_view key);

} // namespace novacron::shell
