#include "actors/node/join.hpp"

#include "actors/host/secure_file.hpp"
#include "actors/host/tls.hpp"
#include "actors/node/authority.hpp"
#include "actors/node/credentials.hpp"
#include "messages/language.hpp"
#include "messages/wire/trust.pb.h"

#include <fmt/format.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <system_error>

namespace novacron::node {
namespace {

using kind = join_error::kind;
using clock = std::chrono::steady_clock;

constexpr auto answer_bytes_max = std::size_t{256} << 10;

struct owned_fd {
  int fd = -1;
  ~owned_fd() { reset(); }
  void reset(int other = -1) {
    if (fd >= 0)
      ::close(fd);
    fd = other;
  }
};

/// A connection that is closed at the end, and gives up at its deadline.
class wire_to_server {
public:
  wire_to_server(const endpoint& where, const host::joining_context& trust, clock::time_point deadline)
      : deadline_{deadline}, where_{to_string(where)} {
    dial(where);
    tls_.reset(SSL_new(trust.native()));
    SSL_set_fd(tls_.get(), socket_.fd);
    while (true) {
      const auto done = SSL_connect(tls_.get());
      if (done == 1)
        return;
      if (const auto why = host::refusal_of(tls_.get()); why != host::refusal::none)
        throw join_error{kind::not_believed, where_ + " is not a controller of the fabric this token is for (" +
                                                 std::string{host::to_string(why)} + ')'};
      wait_for_tls(done, "no TLS connection with");
    }
  }
  wire_to_server(const wire_to_server&) = delete;
  wire_to_server& operator=(const wire_to_server&) = delete;

  void send(std::string_view text) {
    while (!text.empty()) {
      const auto count = SSL_write(tls_.get(), text.data(), static_cast<int>(text.size()));
      if (count > 0)
        text.remove_prefix(static_cast<std::size_t>(count));
      else
        wait_for_tls(count, "cannot write to");
    }
  }

  /// Everything up to the end of the connection.
  std::string receive() {
    auto all = std::string{};
    auto block = std::array<char, 16384>{};
    while (all.size() <= answer_bytes_max) {
      const auto count = SSL_read(tls_.get(), block.data(), block.size());
      if (count > 0)
        all.append(block.data(), static_cast<std::size_t>(count));
      else if (const auto error = SSL_get_error(tls_.get(), count);
               error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        wait_for_tls(count, "cannot read from");
      else // closed, in order or not: whether the answer is whole shows in its length
        break;
    }
    host::tls_problem();
    return all;
  }

private:
  struct free_tls {
    void operator()(SSL* x) const { SSL_free(x); }
  };

  [[noreturn]] void fail(const std::string& what) const { throw join_error{kind::unreachable, what + ' ' + where_}; }

  void wait(short events) const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - clock::now()).count();
    auto one = pollfd{socket_.fd, events, 0};
    if (left <= 0 || ::poll(&one, 1, static_cast<int>(left)) <= 0)
      fail("no answer in time from");
  }

  void wait_for_tls(int result, const char* trouble) {
    const auto error = SSL_get_error(tls_.get(), result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
      throw join_error{kind::unreachable, fmt::format("{} {}: {}", trouble, where_, host::tls_problem())};
    wait(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
  }

  void dial(const endpoint& where) {
    auto hints = addrinfo{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const auto trouble = ::getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found);
        trouble != 0)
      throw join_error{kind::unreachable, fmt::format("cannot find {}: {}", where_, ::gai_strerror(trouble))};
    const auto all = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>{found, ::freeaddrinfo};
    for (const auto* one = found; one != nullptr; one = one->ai_next)
      if (dial(*one))
        return;
    fail("cannot connect to");
  }

  bool dial(const addrinfo& to) {
    socket_.reset(::socket(to.ai_family, to.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to.ai_protocol));
    if (socket_.fd >= 0 && (::connect(socket_.fd, to.ai_addr, to.ai_addrlen) == 0 || errno == EINPROGRESS)) {
      wait(POLLOUT);
      auto trouble = 0;
      auto length = socklen_t{sizeof trouble};
      if (::getsockopt(socket_.fd, SOL_SOCKET, SO_ERROR, &trouble, &length) == 0 && trouble == 0)
        return true;
    }
    socket_.reset();
    return false;
  }

  clock::time_point deadline_;
  std::string where_;
  owned_fd socket_;
  std::unique_ptr<SSL, free_tls> tls_;
};

v1::Certificate certificate_in(const http_answer& answer) {
  if (answer.status != 200) {
    constexpr auto shown_max = std::size_t{300};
    throw join_error{kind::refused,
                     fmt::format("the fabric refused ({}): {}", answer.status, answer.body.substr(0, shown_max))};
  }
  auto granted = v1::Certificate{};
  if (const auto wrong = from_json(answer.body, granted); !wrong.empty())
    throw join_error{kind::refused, "the answer makes no sense: " + wrong};
  return granted;
}

std::string line_for(const v1::CertificateRequest& asked, const endpoint& server) {
  const auto body = to_json(asked);
  return fmt::format("POST /v1/join HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
                     "Connection: close\r\n\r\n{}",
                     to_string(server), body.size(), body);
}

std::string lower(std::string_view text) {
  auto out = std::string{text};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// A token can be used once, and a full disk must not cost it: what it brings has its room before.
class kept_room {
public:
  /// Throws std::system_error when there is none.
  explicit kept_room(const std::filesystem::path& directory) : file_{directory / "room"} {
    // More than key, certificates and the blocks they begin take.
    constexpr auto bytes = std::size_t{32} << 10;
    host::write_atomically(file_, std::string(bytes, '\0'), 0600);
  }
  ~kept_room() { give(); }
  kept_room(const kept_room&) = delete;
  kept_room& operator=(const kept_room&) = delete;

  void give() const { ::unlink(file_.c_str()); }

private:
  const std::filesystem::path file_;
};

} // namespace

std::optional<http_answer> parse_http_answer(std::string_view text) {
  const auto head_end = text.find("\r\n\r\n");
  if (head_end == text.npos || !(text.starts_with("HTTP/1.1 ") || text.starts_with("HTTP/1.0 ")) || head_end < 12)
    return {};
  auto answer = http_answer{.body = std::string{text.substr(head_end + 4)}};
  if (std::from_chars(text.data() + 9, text.data() + 12, answer.status).ptr != text.data() + 12)
    return {};
  const auto head = lower(text.substr(0, head_end + 2));
  if (head.find("\r\ntransfer-encoding:") != head.npos)
    return {};
  constexpr auto length_name = std::string_view{"\r\ncontent-length:"};
  const auto at = head.find(length_name);
  if (at == head.npos)
    return {};
  auto from = at + length_name.size();
  while (head[from] == ' ')
    ++from;
  auto length = std::size_t{0};
  const auto [end, error] = std::from_chars(head.data() + from, head.data() + head.size(), length);
  if (error != std::errc{} || *end != '\r' || answer.body.size() < length)
    return {};
  answer.body.resize(length);
  return answer;
}

host::identity join(const join_request& what) {
  const auto secret = parse_token(what.token);
  if (!secret)
    throw join_error{kind::bad_token,
                     "that is no token; `novacron token create --name=NAME --role=ROLE` on a controller makes one"};
  try {
    auto asked = v1::CertificateRequest{};
    asked.set_token(what.token);
    asked.set_name(what.name);
    asked.set_role(what.role);
    asked.set_request(request_with_own_key(what.directory, what.name, what.role));
    const auto room = kept_room{what.directory};
    const auto trust = host::joining_context{secret->fingerprint};
    auto connection = wire_to_server{what.server, trust, clock::now() + what.patience};
    connection.send(line_for(asked, what.server));
    const auto answer = parse_http_answer(connection.receive());
    if (!answer)
      throw join_error{kind::unreachable, to_string(what.server) + " gave no whole HTTP answer"};
    auto granted = certificate_in(*answer);
    if (host::fingerprint(granted.authority()) != secret->fingerprint)
      throw join_error{kind::not_believed, "the certificate comes from another authority than the token names"};
    room.give();
    return keep_certificate(what.directory, granted, what.name, what.role, std::chrono::system_clock::now());
  } catch (const host::certificate_error& problem) {
    throw join_error{kind::refused, problem.what()};
  } catch (const std::system_error& problem) {
    throw join_error{kind::refused, problem.what()};
  }
}

} // namespace novacron::node
