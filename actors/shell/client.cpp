#include "actors/shell/client.hpp"

#include "actors/shell/connection.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <sys/random.h>

#include <algorithm>
#include <array>

namespace novacron::shell {
namespace {

using namespace std::chrono;

exit_code code_of(int status) {
  switch (status) {
    case 400:
    case 413:
    case 422: return exit_code::usage;
    case 401:
    case 403: return exit_code::denied;
    case 404: return exit_code::not_found;
    case 409:
    case 412: return exit_code::conflict;
    case 408:
    case 504: return exit_code::timeout;
    case 429:
    case 502:
    case 503: return exit_code::unreachable;
    default: return exit_code::failed;
  }
}

std::string head(std::string_view method, const std::string& path, const std::string& host, const std::string& body,
                 const std::string& key, const std::string& more) {
  auto text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nUser-Agent: novacron\r\n", method,
                          path, host.empty() ? "localhost" : host);
  if (!body.empty() || method == "POST" || method == "PUT")
    text += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  if (!key.empty())
    text += fmt::format("Idempotency-Key: {}\r\n", key);
  return text + more + "\r\n";
}

std::string precondition(std::optional<std::uint64_t> revision) {
  if (!revision)
    return {};
  return *revision == 0 ? std::string{"If-None-Match: *\r\n"} : fmt::format("If-Match: \"{}\"\r\n", *revision);
}

std::string success(http_reply x) {
  if (x.status < 200 || x.status > 299)
    throw problem(x);
  return std::move(x.body);
}

} // namespace

std::string fresh_key() {
  auto bytes = std::array<unsigned char, 16>{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw failure{exit_code::failed, "the kernel gives no random numbers"};
  auto key = std::string{};
  for (const auto x : bytes)
    key += fmt::format("{:02x}", x);
  return key;
}

target parse_target(std::string_view text) {
  const auto whole = text;
  const auto wrong = [&] {
    return failure{exit_code::usage, fmt::format("'{}' is no address; give HOST:PORT or the path of a socket", whole)};
  };
  if (text.starts_with("unix:"))
    return {.socket = std::string{text.substr(5)}};
  if (text.starts_with("http://"))
    throw failure{exit_code::usage, "a fabric speaks only TLS over the network; give HOST:PORT"};
  if (text.starts_with("https://")) {
    text.remove_prefix(8);
    if (text.ends_with('/'))
      text.remove_suffix(1);
  }
  if (text.find('/') != text.npos || text.ends_with(".sock"))
    return {.socket = std::string{text}};
  const auto colon = text.rfind(':');
  if (colon == text.npos || colon == 0 || colon + 1 == text.size() ||
      text.find_first_not_of("0123456789", colon + 1) != text.npos || text.size() - colon > 6)
    throw wrong();
  auto host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != host.npos)
    throw wrong();
  return {.host = std::string{host}, .port = std::string{text.substr(colon + 1)}};
}

std::filesystem::path state_directory(const std::function<const char*(const char*)>& variable, unsigned user) {
  const auto text = [&](const char* name) {
    const auto* value = variable(name);
    return std::string{value ? value : ""};
  };
  if (const auto given = text("NOVACRON_STATE"); !given.empty())
    return given;
  if (user == 0)
    return "/var/lib/novacron";
  if (const auto state = text("XDG_STATE_HOME"); !state.empty())
    return std::filesystem::path{state} / "novacron";
  return std::filesystem::path{text("HOME")} / ".local/state/novacron";
}

client::client(target where, std::filesystem::path trust, milliseconds timeout)
    : to{std::move(where)}, trust{std::move(trust)}, limit{timeout} {}
client::~client() = default;
client::client(client&&) noexcept = default;
client& client::operator=(client&&) noexcept = default;

http_reply client::send(std::string_view method, const std::string& path, const std::string& body,
                        milliseconds patience, const std::string& key, const std::string& more) {
  const auto deadline = steady_clock::now() + limit + patience;
  const auto request = head(method, path, to.host, body, key, more) + body;
  const auto reused = open && !open->stale();
  if (!reused)
    open.reset();
  try {
    return exchange(request, deadline);
  } catch (const failure& x) {
    open.reset();
    if (!reused || x.code != exit_code::unreachable || (method != "GET" && key.empty()))
      throw;
  } catch (...) {
    // What was being answered would be taken for the answer to the next question.
    open.reset();
    throw;
  }
  return exchange(request, deadline);
}

http_reply client::exchange(const std::string& request, steady_clock::time_point deadline) {
  if (!open)
    open = std::make_unique<connection>(to, trust, deadline);
  open->write(request, deadline);
  auto reader = http_reader{};
  auto state = http_reader::state::more;
  while (state == http_reader::state::more) {
    const auto bytes = open->read(deadline);
    state = bytes.empty() ? reader.close() : reader.feed(bytes);
  }
  if (state == http_reader::state::broken)
    throw failure{exit_code::unreachable,
                  fmt::format("{} does not answer like a fabric: {}", to.text(), reader.problem())};
  auto reply = reader.take();
  if (!reply.keeps_open)
    open.reset();
  return reply;
}

void client::relay(const std::string& path, const std::string& more,
                   const std::function<bool(std::string_view)>& take) const {
  // A stream says something every quarter of a minute, also when it has nothing to say.
  constexpr auto silence_max = seconds{60};
  auto way = connection{to, trust, steady_clock::now() + limit};
  way.write(fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nUser-Agent: novacron\r\n{}\r\n", path,
                        to.host.empty() ? "localhost" : to.host, more),
            steady_clock::now() + limit);
  while (true) {
    const auto piece = way.read(steady_clock::now() + std::max<milliseconds>(limit, silence_max));
    if (piece.empty() || !take(piece))
      return;
  }
}

std::string client::get(const std::string& path, milliseconds patience) {
  return success(send("GET", path, {}, patience));
}

std::string client::post(const std::string& path, const std::string& json, milliseconds patience) {
  return success(send("POST", path, json, patience));
}

std::string client::order(std::string_view method, const std::string& path, const std::string& json,
                          std::optional<std::uint64_t> revision) {
  return success(send(method, path, json, {}, fresh_key(), precondition(revision)));
}

failure problem(const http_reply& x) {
  const auto json = nlohmann::json::parse(x.body, nullptr, false);
  const auto text = [&](const char* name) {
    return json.is_object() && json.contains(name) && json[name].is_string() ? json[name].get<std::string>()
                                                                             : std::string{};
  };
  auto said = text("detail");
  if (said.empty())
    said = text("title");
  if (said.empty())
    said = fmt::format("the fabric answered with HTTP status {}", x.status);
  const auto code = code_of(x.status);
  if (x.status == 503 || x.status == 429)
    said += "; try again in a moment";
  return {code, said};
}

std::string url_encode(std::string_view text) {
  auto out = std::string{};
  for (const unsigned char c : text)
    if (std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~')
      out += static_cast<char>(c);
    else
      out += fmt::format("%{:02X}", c);
  return out;
}

} // namespace novacron::shell
