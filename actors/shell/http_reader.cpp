#include "actors/shell/http_reader.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <vector>

namespace novacron::shell {
namespace {

std::string lower(std::string_view text) {
  auto out = std::string{text};
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == text.npos)
    return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool parse_whole(std::string_view text, std::uint64_t& value, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

} // namespace

http_reader::state http_reader::feed(std::string_view bytes) {
  if (now != state::more)
    return now;
  buffer += bytes;
  while (now == state::more) {
    const auto before = std::pair{buffer.size(), at};
    step();
    if (std::pair{buffer.size(), at} == before)
      break;
  }
  if (now == state::more && at != part::counted && at != part::chunk && buffer.size() > head_bytes_max)
    fail("a line without end");
  return now;
}

http_reader::state http_reader::close() {
  if (now == state::more)
    at == part::until_close ? finish() : fail("the answer broke off");
  return now;
}

http_reader::state http_reader::fail(std::string why) {
  wrong = std::move(why);
  return now = state::broken;
}

http_reader::state http_reader::step() {
  auto line = std::string{};
  switch (at) {
    case part::head: return read_head();
    case part::chunk_size: return read_chunk_size();
    case part::counted:
    case part::chunk:
    case part::until_close: return read_bytes();
    case part::chunk_end:
      if (take_line(line)) {
        if (!line.empty())
          return fail("a chunk is longer than it says");
        at = part::chunk_size;
      }
      return now;
    case part::trailers:
      if (take_line(line) && line.empty())
        return finish();
      return now;
  }
  return now;
}

bool http_reader::take_line(std::string& line) {
  const auto end = buffer.find('\n');
  if (end == buffer.npos)
    return false;
  line = buffer.substr(0, end > 0 && buffer[end - 1] == '\r' ? end - 1 : end);
  buffer.erase(0, end + 1);
  return true;
}

http_reader::state http_reader::read_head() {
  const auto end = std::min(buffer.find("\r\n\r\n"), buffer.find("\n\n"));
  if (buffer.size() >= 5 && !buffer.starts_with("HTTP/"))
    return fail("this is not HTTP");
  if (end == buffer.npos)
    return now;
  auto line = std::string{};
  take_line(line);
  auto status = std::uint64_t{0};
  const auto space = line.find(' ');
  if (space == line.npos || !parse_whole(std::string_view{line}.substr(space + 1, 3), status, 10) || status < 100)
    return fail("the status line makes no sense");
  reply = {};
  reply.status = static_cast<int>(status);
  reply.keeps_open = !line.starts_with("HTTP/1.0");
  counted = chunked = false;
  left = 0;
  while (take_line(line) && !line.empty())
    if (!read_field(line))
      return fail("a header makes no sense");
  // An interim answer; the real one follows.
  if (status < 200)
    return now;
  if (status == 204 || status == 304)
    return finish();
  if (chunked)
    at = part::chunk_size;
  else if (!counted)
    at = part::until_close;
  else if (left == 0)
    return finish();
  else
    at = part::counted;
  return now;
}

bool http_reader::read_field(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == line.npos || colon == 0)
    return false;
  const auto name = lower(line.substr(0, colon));
  const auto value = lower(trim(line.substr(colon + 1)));
  if (name == "content-length") {
    counted = true;
    return parse_whole(value, left, 10) && left <= body_bytes_max;
  }
  if (name == "transfer-encoding")
    return chunked = value == "chunked";
  if (name == "connection" && value == "close")
    reply.keeps_open = false;
  if (name == "content-type")
    reply.type = trim(value.substr(0, value.find(';')));
  return true;
}

http_reader::state http_reader::read_chunk_size() {
  auto line = std::string{};
  if (!take_line(line))
    return now;
  const auto size = trim(std::string_view{line}.substr(0, line.find(';')));
  if (!parse_whole(size, left, 16) || left > body_bytes_max)
    return fail("a chunk's size makes no sense");
  at = left == 0 ? part::trailers : part::chunk;
  return now;
}

http_reader::state http_reader::read_bytes() {
  const auto count = at == part::until_close ? buffer.size() : std::min<std::uint64_t>(left, buffer.size());
  if (reply.body.size() + count > body_bytes_max)
    return fail("the answer is too large");
  reply.body.append(buffer, 0, count);
  buffer.erase(0, count);
  if (at == part::until_close)
    return now;
  left -= count;
  if (left == 0) {
    if (at == part::counted)
      return finish();
    at = part::chunk_end;
  }
  return now;
}

} // namespace novacron::shell
