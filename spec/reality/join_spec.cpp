#include "actors/node/join.hpp"

#include "actors/host/tls.hpp"
#include "actors/node/authority.hpp"
#include "actors/node/credentials.hpp"
#include "messages/language.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <thread>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

struct scratch {
  std::filesystem::path path;
  scratch() {
    auto pattern = (std::filesystem::temp_directory_path() / "novacron-join-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~scratch() { std::filesystem::remove_all(path); }
};

/// A controller's front door, as far as joining is concerned: one connection at a time.
class front_door {
public:
  front_door(std::shared_ptr<host::tls_context> trust, std::function<std::string(const std::string& body)> answer)
      : trust_{std::move(trust)}, answer_{std::move(answer)} {
    auto address = sockaddr_in{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    auto length = socklen_t{sizeof address};
    ::bind(fd_, reinterpret_cast<sockaddr*>(&address), length);
    ::listen(fd_, 8);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    where_ = {"127.0.0.1", ::ntohs(address.sin_port)};
    thread_ = std::thread{[this] { run(); }};
  }
  ~front_door() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  node::endpoint where() const { return where_; }

private:
  void run() {
    for (auto fd = ::accept(fd_, nullptr, nullptr); fd >= 0; fd = ::accept(fd_, nullptr, nullptr)) {
      const auto patience = timeval{5, 0};
      ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      serve(fd);
      ::close(fd);
    }
  }
  void serve(int fd) {
    const auto tls = std::unique_ptr<SSL, decltype(&SSL_free)>{SSL_new(trust_->native()), SSL_free};
    SSL_set_fd(tls.get(), fd);
    auto text = std::string{};
    auto block = std::array<char, 4096>{};
    if (SSL_accept(tls.get()) != 1)
      return;
    while (!text.ends_with('}')) {
      const auto count = SSL_read(tls.get(), block.data(), block.size());
      if (count <= 0)
        return;
      text.append(block.data(), static_cast<std::size_t>(count));
    }
    const auto answer = answer_(text.substr(text.find("\r\n\r\n") + 4));
    SSL_write(tls.get(), answer.data(), static_cast<int>(answer.size()));
    SSL_shutdown(tls.get());
  }

  int fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::shared_ptr<host::tls_context> trust_;
  std::function<std::string(const std::string&)> answer_;
  node::endpoint where_;
  std::thread thread_;
};

std::string http(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

node::join_error::kind trouble_with(const node::join_request& what) {
  try {
    node::join(what);
  } catch (const node::join_error& error) {
    MESSAGE(std::string{error.what()});
    return error.what_kind;
  }
  FAIL("it was let in");
  return {};
}

} // namespace

SCENARIO("a new host joins a fabric over the network with nothing but its token") {
  const auto home = scratch{};
  const auto now = std::chrono::system_clock::now();
  const auto cloud = home.path / "cloud";
  node::lay_authority(cloud, "demo", now);
  node::lay_certificate(cloud, cloud, "cloud-1", "cloud", now, 24h);
  const auto authority = node::read_authority(cloud);
  auto wish = v1::TokenCreate{};
  wish.set_name("edge-1");
  wish.set_role("edge");
  auto made = node::mint(wish, host::random_bytes(40), host::fingerprint(authority.certificate), now, {});
  auto answer = [&](const std::string& body) {
    auto asked = v1::CertificateRequest{};
    if (!from_json(body, asked).empty())
      return http(400, "{}");
    const auto secret = node::parse_token(asked.token());
    const auto wrong = node::objection(made.record, *secret, asked.name(), asked.role(), now);
    if (!wrong.empty())
      return http(403, wrong);
    made.record.set_used(true);
    auto granted = v1::Certificate{};
    granted.set_authority(authority.certificate);
    granted.set_certificate(host::issue(authority, asked.request(), asked.name(), asked.role(), now));
    return http(200, to_json(granted));
  };
  const auto trust =
      host::make_tls_context({.directory = cloud, .certificate_required = false, .sends_authority = true});
  const auto door = front_door{trust, answer};
  auto asked = node::join_request{door.where(), made.token.token(), "edge-1", "edge", home.path / "edge", 5s};
  WHEN("everything is right") {
    CHECK(node::join(asked).name == "edge-1");
    CHECK(node::look_at_credentials(home.path / "edge", "edge-1", "edge", now).ready);
    CHECK_FALSE(std::filesystem::exists(home.path / "edge" / "ca.key"));
    THEN("the token works no second time") {
      CHECK(trouble_with(asked) == node::join_error::kind::refused);
    }
  }
  WHEN("it says it is somebody else") {
    asked.name = "edge-2";
    CHECK(trouble_with(asked) == node::join_error::kind::refused);
  }
  WHEN("the token names another fabric, so that the server must be an impostor") {
    auto secret = *node::parse_token(asked.token);
    secret.fingerprint = std::string(64, '0');
    asked.token = node::to_string(secret);
    CHECK(trouble_with(asked) == node::join_error::kind::not_believed);
    CHECK_FALSE(made.record.used());
  }
  WHEN("nobody listens, or it is no token") {
    asked.token = "abc";
    CHECK(trouble_with(asked) == node::join_error::kind::bad_token);
    asked.token = made.token.token();
    asked.server = {"127.0.0.1", 1};
    CHECK(trouble_with(asked) == node::join_error::kind::unreachable);
  }
}
