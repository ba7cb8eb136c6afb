#pragma once

/// HTTP/1.1 as bytes: from a head to a request, from a response to a head. Knows no sockets and no actors.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace novacron::api {

/// Who sent a request, as far as the connection proves it.
struct caller {
  /// "person", a role of nodes, or empty when the connection proves nothing.
  std::string role;
  std::string name;
};

struct request {
  std::string method;
  /// Still percent-encoded, so that an encoded slash stays part of a name.
  std::string path;
  std::multimap<std::string, std::string, std::less<>> query;
  /// Names are in lower case; repeated ones are joined by ", ".
  std::map<std::string, std::string, std::less<>> headers;
  std::string body;
  caller who;

  /// The value of a header, empty without it.
  std::string_view header(std::string_view name) const;
};

/// Where the body of a streamed response goes.
class sink {
public:
  virtual ~sink() = default;
  /// False when the reader is gone or too slow, or the server stops: then the stream must end.
  virtual bool write(std::string_view bytes) = 0;
  /// Whether it is worth going on, without writing.
  virtual bool open() = 0;
};

struct response {
  unsigned status = 200;
  std::string type = "application/json";
  std::string body;
  std::map<std::string, std::string> headers;
  /// Makes the body bit by bit, in place of `body`. Returns false when it broke off.
  std::function<bool(sink&)> stream;
};

/// A request that cannot be understood: how to answer it. The connection is closed after it.
struct refusal {
  unsigned status = 400;
  std::string text;
};

struct limits {
  std::size_t head_bytes_max = 32u << 10;
  std::size_t headers_max = 100;
  std::size_t body_bytes_max = 8u << 20;
};

struct head {
  request asked;
  bool keep_alive = true;
  /// HTTP/1.0.
  bool old = false;
  bool chunked = false;
  bool expects_continue = false;
  std::size_t length = 0;
};

/// Where the head in `bytes` ends (after its empty line); npos while it is not complete.
std::size_t head_end(std::string_view bytes);

/// Understands a complete head. Strict: what two parsers could understand differently is refused.
std::variant<head, refusal> parse_head(std::string_view bytes, const limits& bounds = {});

/// Decodes a chunked body as it comes in.
class chunked_body {
public:
  explicit chunked_body(const limits& bounds = {}) : bounds_{bounds} {}
  /// Takes what it can from the front of `bytes`; returns how much that was, or why it is wrong.
  std::variant<std::size_t, refusal> feed(std::string_view bytes);
  bool complete() const { return step_ == step::done; }
  std::string take() { return std::move(body_); }

private:
  enum class step { size, content, content_end, trailer, done };
  std::optional<refusal> take_line(std::string_view line);

  limits bounds_;
  step step_ = step::size;
  std::string line_;
  std::size_t left_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::string body_;
};

/// Decodes %41; nothing when it is malformed or holds a control character.
std::optional<std::string> percent_decoded(std::string_view text, bool plus_is_space = false);

/// The inverse of percent_decoded, for one segment of a path.
std::string percent_encoded(std::string_view text);

std::string_view reason_phrase(unsigned status);

/// The status line and headers of `x`. A streamed body is announced as chunked, any other by its length.
std::string format_head(const response& x, bool keep_alive, std::string_view date = {});

/// One chunk of a chunked body; an empty one ends it.
std::string format_chunk(std::string_view bytes);

/// An RFC 9457 problem.
response problem(unsigned status, std::string_view detail, std::string_view fault = {});

} // namespace novacron::api
