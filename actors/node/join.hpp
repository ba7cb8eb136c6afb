#pragma once

/// Joins a fabric: trades a token for a certificate, with the authority pinned by the token.

#include "actors/host/certificate.hpp"
#include "actors/node/configuration.hpp"

#include <filesystem>
#include <stdexcept>
#include <string>

namespace novacron::node {

/// Why the fabric did not let this node in, in words for a person.
struct join_error : std::runtime_error {
  enum class kind { bad_token, unreachable, not_believed, refused };
  join_error(kind what, const std::string& text) : std::runtime_error{text}, what_kind{what} {}
  kind what_kind;
};

struct join_request {
  /// The API address of a controller.
  endpoint server;
  std::string token;
  std::string name;
  std::string role;
  /// Where key, certificate and authority are kept: `<data>/trust`.
  std::filesystem::path directory;
  std::chrono::milliseconds patience{std::chrono::seconds{20}};
};

/// Makes a key if there is none, asks `server` for a certificate and keeps it. Blocks. Throws join_error; then nothing
/// changed but for the key. The token is not spent when the disk has no room for what it brings.
host::identity join(const join_request& what);

/// The answer to an HTTP/1.1 request, once its connection was closed; nothing when it is not one, or cut off.
struct http_answer {
  int status = 0;
  std::string body;
};
std::optional<http_answer> parse_http_answer(std::string_view text);

} // namespace novacron::node
