#pragma once

/// Reads one HTTP/1.1 response from pieces of bytes, with limits; pure, so that it can be fed anything.

#include <cstdint>
#include <string>
#include <string_view>

namespace novacron::shell {

struct http_reply {
  int status = 0;
  /// Content type in lower case, without parameters.
  std::string type;
  std::string body;
  bool keeps_open = true;
};

class http_reader {
public:
  enum class state { more, done, broken };

  /// Takes the next bytes. After `done` or `broken` nothing changes any more.
  state feed(std::string_view bytes);
  /// The peer has closed: done if that is how the body ends, else broken.
  state close();
  /// What is wrong, when broken.
  const std::string& problem() const { return wrong; }
  http_reply take() { return std::move(reply); }

  /// Chosen: our heads have a few lines, and a list of ten thousand instances has some megabytes.
  static constexpr std::size_t head_bytes_max = 64u << 10;
  static constexpr std::size_t body_bytes_max = 256u << 20;

private:
  enum class part { head, counted, chunk_size, chunk, chunk_end, trailers, until_close };

  state step();
  state fail(std::string why);
  state finish() { return now = state::done; }
  bool take_line(std::string& line);
  state read_head();
  bool read_field(std::string_view line);
  state read_chunk_size();
  state read_bytes();

  state now = state::more;
  part at = part::head;
  std::string buffer;
  std::uint64_t left = 0;
  bool counted = false;
  bool chunked = false;
  http_reply reply;
  std::string wrong;
};

} // namespace novacron::shell
