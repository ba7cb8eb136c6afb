#include "actors/api/http.hpp"

#include "messages/language.hpp"
#include "messages/wire/http.pb.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace novacron::api {
namespace {

constexpr auto token_marks = std::string_view{"!#$%&'*+-.^_`|~"};
constexpr auto line_end = std::string_view{"\r\n"};
constexpr auto size_line_bytes_max = std::size_t{64};
constexpr auto trailer_bytes_max = std::size_t{8192};

bool is_alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_token(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return is_alnum(c) || token_marks.find(c) != token_marks.npos; });
}

bool is_field_value(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

std::string lower(std::string_view text) {
  auto out = std::string{text};
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string_view trimmed(std::string_view text) {
  const auto from = text.find_first_not_of(" \t");
  return from == text.npos ? std::string_view{} : text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

template <class Integer>
bool read_number(std::string_view text, Integer& into, int base = 10) {
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), into, base);
  return wrong == std::errc{} && end == text.data() + text.size() && !text.empty() && text.front() != '-';
}

std::optional<std::string> parse_query(std::string_view text, request& into) {
  while (!text.empty()) {
    const auto pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty())
      continue;
    const auto equals = pair.find('=');
    const auto key = percent_decoded(pair.substr(0, equals), true);
    const auto value = percent_decoded(equals == pair.npos ? std::string_view{} : pair.substr(equals + 1), true);
    if (!key || !value)
      return "the query is not valid percent-encoding";
    into.query.emplace(*key, *value);
  }
  return {};
}

std::optional<refusal> parse_target(std::string_view target, request& into) {
  const auto printable = [](char c) { return c > 0x20 && c < 0x7f && c != '#'; };
  if (target.empty() || !std::ranges::all_of(target, printable))
    return refusal{400, "the request target holds characters that must be encoded"};
  for (const auto scheme : {std::string_view{"http://"}, std::string_view{"https://"}})
    if (target.starts_with(scheme)) {
      const auto slash = target.find('/', scheme.size());
      target = slash == target.npos ? std::string_view{"/"} : target.substr(slash);
    }
  if (!target.starts_with('/'))
    return refusal{400, "the request target must be a path"};
  const auto question = target.find('?');
  into.path = target.substr(0, question);
  if (question != target.npos)
    if (auto wrong = parse_query(target.substr(question + 1), into))
      return refusal{400, *wrong};
  return {};
}

std::optional<refusal> parse_request_line(std::string_view line, head& into) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == line.npos || first == last)
    return refusal{400, "the request line must be: method target version"};
  const auto method = line.substr(0, first);
  const auto version = line.substr(last + 1);
  if (!is_token(method) || method.size() > 32)
    return refusal{400, "the method is not a word"};
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return refusal{version.starts_with("HTTP/") ? 505u : 400u, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  into.old = version == "HTTP/1.0";
  into.asked.method = method;
  return parse_target(line.substr(first + 1, last - first - 1), into.asked);
}

std::optional<refusal> parse_header(std::string_view line, request& into) {
  const auto colon = line.find(':');
  if (colon == line.npos || !is_token(line.substr(0, colon)))
    return refusal{400, "a header line must be: name: value"};
  const auto value = trimmed(line.substr(colon + 1));
  if (!is_field_value(value))
    return refusal{400, "a header holds a control character"};
  const auto name = lower(line.substr(0, colon));
  const auto [at, fresh] = into.headers.emplace(name, value);
  if (fresh)
    return {};
  if (name == "host" || name == "content-length" || name == "transfer-encoding" || name == "idempotency-key")
    return refusal{400, "the header " + name + " may only be there once"};
  at->second.append(", ").append(value);
  return {};
}

/// How long the body is. What could hide a second request in a body is refused.
std::optional<refusal> parse_framing(head& x, const limits& bounds) {
  const auto coding = x.asked.header("transfer-encoding");
  const auto has_length = x.asked.headers.contains("content-length");
  if (!coding.empty()) {
    if (has_length || x.old)
      return refusal{400, "a body has either a length or chunks"};
    if (lower(coding) != "chunked")
      return refusal{501, "the only transfer coding spoken here is chunked"};
    x.chunked = true;
  }
  if (has_length) {
    if (!read_number(x.asked.header("content-length"), x.length) || x.asked.header("content-length").front() == '+')
      return refusal{400, "Content-Length is not a number"};
    if (x.length > bounds.body_bytes_max)
      return refusal{413, "the body is larger than " + std::to_string(bounds.body_bytes_max) + " bytes"};
  }
  const auto encoding = lower(x.asked.header("content-encoding"));
  if (!encoding.empty() && encoding != "identity")
    return refusal{415, "compressed bodies are not taken"};
  return {};
}

std::optional<refusal> parse_manners(head& x) {
  const auto connection = lower(x.asked.header("connection"));
  const auto says = [&](std::string_view word) { return connection.find(word) != connection.npos; };
  x.keep_alive = x.old ? says("keep-alive") : !says("close");
  const auto expect = lower(x.asked.header("expect"));
  if (!expect.empty() && expect != "100-continue")
    return refusal{417, "the only expectation met here is 100-continue"};
  x.expects_continue = !expect.empty() && !x.old;
  if (!x.old && !x.asked.headers.contains("host"))
    return refusal{400, "the header Host is missing"};
  return {};
}

/// Text that is safe in a JSON answer, whatever the caller sent.
std::string printable(std::string_view text) {
  auto out = std::string{};
  for (const auto c : text.substr(0, 2048))
    out += c >= 0x20 && c < 0x7f ? c : '?';
  return out;
}

/// Whether `text` is UTF-8 that JSON can carry as it is.
bool is_utf8(std::string_view text) {
  for (auto i = std::size_t{0}; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const auto more = lead < 0x80 ? 0u : (lead >> 5) == 6 ? 1u : (lead >> 4) == 14 ? 2u : (lead >> 3) == 30 ? 3u : 9u;
    if (more == 9 || i + more >= text.size() || lead == 0xc0 || lead == 0xc1 || lead > 0xf4)
      return false;
    const auto next = more > 0 ? static_cast<unsigned char>(text[i + 1]) : 0u;
    if ((lead == 0xe0 && next < 0xa0) || (lead == 0xed && next > 0x9f) || (lead == 0xf0 && next < 0x90) ||
        (lead == 0xf4 && next > 0x8f)) // overlong, a surrogate, or beyond Unicode
      return false;
    for (auto k = 1u; k <= more; ++k)
      if ((static_cast<unsigned char>(text[i + k]) >> 6) != 2)
        return false;
    i += more + 1;
  }
  return true;
}

} // namespace

std::string_view request::header(std::string_view name) const {
  const auto at = headers.find(name);
  return at == headers.end() ? std::string_view{} : std::string_view{at->second};
}

std::size_t head_end(std::string_view bytes) {
  const auto at = bytes.find("\r\n\r\n");
  return at == bytes.npos ? at : at + 4;
}

std::variant<head, refusal> parse_head(std::string_view bytes, const limits& bounds) {
  auto x = head{};
  auto lines = std::size_t{0};
  if (bytes.size() > bounds.head_bytes_max)
    return refusal{431, "the head of the request is too large"};
  while (bytes.starts_with(line_end)) // RFC 9112 section 2.2: empty lines before a request are ignored
    bytes.remove_prefix(2);
  while (!bytes.empty()) {
    const auto end = bytes.find(line_end);
    if (end == bytes.npos)
      return refusal{400, "the head of the request is not complete"};
    const auto line = bytes.substr(0, end);
    bytes.remove_prefix(end + 2);
    if (line.empty() && lines > 0)
      break;
    if (lines > bounds.headers_max)
      return refusal{431, "there are too many headers"};
    if (auto wrong = lines++ == 0 ? parse_request_line(line, x) : parse_header(line, x.asked))
      return *wrong;
  }
  if (lines == 0)
    return refusal{400, "the request is empty"};
  if (auto wrong = parse_framing(x, bounds))
    return *wrong;
  if (auto wrong = parse_manners(x))
    return *wrong;
  return x;
}

std::optional<refusal> chunked_body::take_line(std::string_view line) {
  if (step_ == step::trailer) {
    if (line.empty())
      step_ = step::done;
    return {};
  }
  if (step_ == step::content_end) {
    step_ = step::size;
    return line.empty() ? std::optional<refusal>{} : refusal{400, "a chunk is longer than it says"};
  }
  // Extensions after the size mean nothing here.
  const auto digits = trimmed(line.substr(0, line.find(';')));
  if (digits.size() > 8 || !read_number(digits, left_, 16))
    return refusal{400, "the size of a chunk is not a hexadecimal number"};
  if (left_ > bounds_.body_bytes_max - body_.size())
    return refusal{413, "the body is larger than " + std::to_string(bounds_.body_bytes_max) + " bytes"};
  step_ = left_ == 0 ? step::trailer : step::content;
  return {};
}

std::variant<std::size_t, refusal> chunked_body::feed(std::string_view bytes) {
  const auto all = bytes.size();
  while (!bytes.empty() && step_ != step::done) {
    if (step_ == step::content) {
      const auto part = bytes.substr(0, left_);
      body_.append(part);
      bytes.remove_prefix(part.size());
      left_ -= part.size();
      if (left_ == 0)
        step_ = step::content_end;
      continue;
    }
    const auto c = bytes.front();
    bytes.remove_prefix(1);
    line_ += c;
    trailer_bytes_ += step_ == step::trailer;
    if (line_.size() > (step_ == step::trailer ? trailer_bytes_max : size_line_bytes_max) ||
        trailer_bytes_ > trailer_bytes_max)
      return refusal{400, "a chunk's head is too long"};
    if (c != '\n')
      continue;
    if (!line_.ends_with(line_end))
      return refusal{400, "lines end in CR LF"};
    const auto line = std::exchange(line_, {});
    if (auto wrong = take_line(std::string_view{line}.substr(0, line.size() - 2)))
      return *wrong;
  }
  return all - bytes.size();
}

std::optional<std::string> percent_decoded(std::string_view text, bool plus_is_space) {
  auto out = std::string{};
  for (auto i = std::size_t{0}; i < text.size(); ++i) {
    auto c = text[i];
    if (c == '+' && plus_is_space)
      c = ' ';
    else if (c == '%') {
      auto byte = std::uint8_t{0};
      if (i + 2 >= text.size() || !read_number(text.substr(i + 1, 2), byte, 16))
        return {};
      c = static_cast<char>(byte);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return {};
    out += c;
  }
  return is_utf8(out) ? std::optional{out} : std::nullopt;
}

std::string percent_encoded(std::string_view text) {
  constexpr auto digits = std::string_view{"0123456789ABCDEF"};
  auto out = std::string{};
  for (const auto c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_alnum(c) || std::string_view{"-._~"}.find(c) != std::string_view::npos)
      out += c;
    else
      out.append({'%', digits[byte >> 4], digits[byte & 15]});
  }
  return out;
}

std::string_view reason_phrase(unsigned status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
  }
}

std::string format_head(const response& x, bool keep_alive, std::string_view date) {
  auto out = "HTTP/1.1 " + std::to_string(x.status) + " " + std::string{reason_phrase(x.status)} + "\r\n";
  const auto line = [&](std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append(line_end);
  };
  if (!date.empty())
    line("Date", date);
  const auto has_body = x.status != 204 && x.status != 304;
  if (has_body)
    line("Content-Type", x.type);
  if (x.stream)
    line("Transfer-Encoding", "chunked");
  else if (has_body)
    line("Content-Length", std::to_string(x.body.size()));
  line("X-Content-Type-Options", "nosniff");
  if (!x.headers.contains("Cache-Control"))
    line("Cache-Control", "no-store");
  for (const auto& [name, value] : x.headers)
    line(name, value);
  if (!keep_alive)
    line("Connection", "close");
  return out.append(line_end);
}

std::string format_chunk(std::string_view bytes) {
  auto size = std::array<char, 20>{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16).ptr;
  return std::string{size.data(), end}.append(line_end).append(bytes).append(line_end);
}

response problem(unsigned status, std::string_view detail, std::string_view fault) {
  auto x = v1::Problem{};
  auto kind = fault.empty() ? lower(reason_phrase(status)) : std::string{fault};
  std::ranges::replace(kind, ' ', '_');
  x.set_type("urn:novacron:problem:" + kind);
  x.set_title(std::string{reason_phrase(status)});
  x.set_status(status);
  x.set_detail(is_utf8(detail) && detail.size() <= 65536 ? std::string{detail} : printable(detail));
  x.set_fault(std::string{fault});
  return {.status = status, .type = "application/problem+json", .body = to_json(x), .headers = {}, .stream = {}};
}

} // namespace novacron::api
