#include "actors/api/line.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace novacron::api {
namespace {

constexpr auto backlog = 128;

[[noreturn]] void fail(const std::string& what, int reason = errno) {
  throw std::system_error{reason, std::system_category(), what};
}

class descriptor_owner {
public:
  explicit descriptor_owner(int fd) : fd_{fd} {}
  descriptor_owner(descriptor_owner&& x) noexcept : fd_{std::exchange(x.fd_, -1)} {}
  descriptor_owner& operator=(descriptor_owner&&) = delete;
  ~descriptor_owner() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  int get() const { return fd_; }

private:
  int fd_;
};

/// Waits until `fd` is ready for `events`; false at the deadline.
bool wait(int fd, short events, deadline until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    auto what = pollfd{fd, events, 0};
    const auto count = ::poll(&what, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000)));
    if (count > 0)
      return true;
    if (count < 0 ? errno != EINTR : left <= 0)
      return false;
  }
}

class plain_line : public line {
public:
  explicit plain_line(descriptor_owner fd) : fd_{std::move(fd)} { who = {"person", "local"}; }

  bool greet(deadline) override { return true; }

  std::size_t read(char* into, std::size_t size, deadline until) override {
    for (;;) {
      const auto count = ::recv(fd_.get(), into, size, 0);
      if (count >= 0)
        return static_cast<std::size_t>(count);
      if (errno != EINTR && (errno != EAGAIN || !wait(fd_.get(), POLLIN, until)))
        return 0;
    }
  }

  bool write(std::string_view bytes, deadline until) override {
    while (!bytes.empty()) {
      const auto count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count >= 0)
        bytes.remove_prefix(static_cast<std::size_t>(count));
      else if (errno != EINTR && (errno != EAGAIN || !wait(fd_.get(), POLLOUT, until)))
        return false;
    }
    return true;
  }

  void finish(deadline) override { ::shutdown(fd_.get(), SHUT_WR); }
  int descriptor() const override { return fd_.get(); }

private:
  descriptor_owner fd_;
};

struct session_end {
  void operator()(SSL* x) const { SSL_free(x); }
};

class tls_line : public line {
public:
  tls_line(descriptor_owner fd, std::shared_ptr<host::tls_context> context)
      : fd_{std::move(fd)}, context_{std::move(context)}, session_{SSL_new(context_->native())} {
    if (session_)
      SSL_set_fd(session_.get(), fd_.get());
  }

  bool greet(deadline until) override {
    if (greeted_)
      return true;
    if (!session_ || attempt([this] { return SSL_accept(session_.get()); }, until) <= 0)
      return false;
    greeted_ = true;
    if (const auto peer = host::peer_identity(session_.get()))
      who = {peer->role, peer->name};
    return true;
  }

  std::size_t read(char* into, std::size_t size, deadline until) override {
    const auto most = static_cast<int>(std::min<std::size_t>(size, 1 << 20));
    const auto count = attempt([&] { return SSL_read(session_.get(), into, most); }, until);
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }

  bool write(std::string_view bytes, deadline until) override {
    while (!bytes.empty()) {
      const auto most = static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20));
      const auto count = attempt([&] { return SSL_write(session_.get(), bytes.data(), most); }, until);
      if (count <= 0)
        return false;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  bool pending() const override { return session_ && SSL_has_pending(session_.get()) == 1; }

  void finish(deadline) override {
    if (greeted_ && !broken_)
      SSL_shutdown(session_.get());
    ERR_clear_error();
    ::shutdown(fd_.get(), SHUT_WR);
  }

  int descriptor() const override { return fd_.get(); }

private:
  /// Repeats what the socket was not ready for. After an error OpenSSL allows nothing more on this session.
  template <class Attempt>
  int attempt(Attempt what, deadline until) {
    while (!broken_) {
      ERR_clear_error();
      const auto result = what();
      if (result > 0)
        return result;
      const auto why = SSL_get_error(session_.get(), result);
      const auto events = why == SSL_ERROR_WANT_READ ? POLLIN : why == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
      if (events == 0)
        broken_ = true;
      if (events == 0 || !wait(fd_.get(), static_cast<short>(events), until))
        break;
    }
    ERR_clear_error();
    return 0;
  }

  descriptor_owner fd_;
  std::shared_ptr<host::tls_context> context_;
  std::unique_ptr<SSL, session_end> session_;
  bool greeted_ = false;
  bool broken_ = false;
};

descriptor_owner accepted(int listener) {
  return descriptor_owner{::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
}

/// A path as an address. One that is too long is reached through its directory.
class unix_address {
public:
  explicit unix_address(const std::filesystem::path& path)
      : directory_{::open(path.has_parent_path() ? path.parent_path().c_str() : ".", O_PATH | O_DIRECTORY | O_CLOEXEC)} {
    if (directory_.get() < 0)
      fail("cannot open the directory of " + path.string());
    auto text = path.string();
    if (text.size() >= sizeof address.sun_path)
      text = "/proc/self/fd/" + std::to_string(directory_.get()) + "/" + path.filename().string();
    if (text.size() >= sizeof address.sun_path)
      fail("the name of the socket is too long: " + path.string(), ENAMETOOLONG);
    address.sun_family = AF_UNIX;
    text.copy(address.sun_path, sizeof address.sun_path - 1);
  }

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
  static constexpr socklen_t size = sizeof(sockaddr_un);

private:
  descriptor_owner directory_;
  sockaddr_un address{};
};

int unix_socket() {
  const auto fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    fail("cannot make a unix socket");
  return fd;
}

/// Removes a socket that nobody listens at. Anything else at its place is somebody's, and an error.
void remove_stale(const std::string& path) {
  struct stat facts {};
  if (::lstat(path.c_str(), &facts) != 0)
    return;
  if (!S_ISSOCK(facts.st_mode))
    fail(path + " is there and no socket", EEXIST);
  const auto probe = descriptor_owner{unix_socket()};
  const auto address = unix_address{path};
  if (::connect(probe.get(), address.get(), address.size) == 0 || errno != ECONNREFUSED)
    fail("somebody listens at " + path + " already", EADDRINUSE);
  ::unlink(path.c_str());
}

class unix_entrance : public entrance {
public:
  explicit unix_entrance(std::string path) : path_{std::move(path)}, fd_{unix_socket()} {
    remove_stale(path_);
    // Linux gives the socket file the mode of the descriptor, so that it is never open to others.
    ::fchmod(fd_.get(), 0600);
    const auto address = unix_address{path_};
    if (::bind(fd_.get(), address.get(), address.size) != 0 || ::listen(fd_.get(), backlog) != 0)
      fail("cannot listen at " + path_);
    ::lstat(path_.c_str(), &mine_);
  }

  ~unix_entrance() override {
    struct stat now {};
    if (::lstat(path_.c_str(), &now) == 0 && now.st_ino == mine_.st_ino && now.st_dev == mine_.st_dev)
      ::unlink(path_.c_str());
  }

  int descriptor() const override { return fd_.get(); }
  const char* kind() const override { return "unix"; }

  std::unique_ptr<line> accept() override {
    auto fd = accepted(fd_.get());
    return fd.get() < 0 ? nullptr : std::make_unique<plain_line>(std::move(fd));
  }

private:
  std::string path_;
  descriptor_owner fd_;
  struct stat mine_ {};
};

int tcp_listener(const std::string& host, std::uint16_t port) {
  auto wanted = addrinfo{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const auto wrong = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &wanted, &found))
    throw std::runtime_error{"cannot resolve " + host + ": " + ::gai_strerror(wrong)};
  const auto all = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>{found, &::freeaddrinfo};
  auto reason = 0;
  for (const auto* x = found; x; x = x->ai_next) {
    const auto fd = ::socket(x->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, x->ai_protocol);
    const auto yes = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd >= 0 && ::bind(fd, x->ai_addr, x->ai_addrlen) == 0 && ::listen(fd, backlog) == 0)
      return fd;
    reason = errno;
    if (fd >= 0)
      ::close(fd);
  }
  fail("cannot listen at " + host + ":" + std::to_string(port), reason);
}

class tls_entrance : public entrance {
public:
  tls_entrance(const std::string& host, std::uint16_t port, std::shared_ptr<host::tls_context> context)
      : fd_{tcp_listener(host, port)}, context_{std::move(context)} {}

  int descriptor() const override { return fd_.get(); }
  const char* kind() const override { return "tls"; }

  std::uint16_t port() const override {
    auto address = sockaddr_storage{};
    auto size = socklen_t{sizeof address};
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                               : reinterpret_cast<sockaddr_in&>(address).sin_port);
  }

  std::unique_ptr<line> accept() override {
    auto fd = accepted(fd_.get());
    if (fd.get() < 0)
      return nullptr;
    const auto yes = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    return std::make_unique<tls_line>(std::move(fd), context_);
  }

private:
  descriptor_owner fd_;
  std::shared_ptr<host::tls_context> context_;
};

} // namespace

std::unique_ptr<entrance> enter_by_unix(const std::string& path) { return std::make_unique<unix_entrance>(path); }

std::unique_ptr<entrance> enter_by_tls(const std::string& host, std::uint16_t port,
                                       std::shared_ptr<host::tls_context> context) {
  return std::make_unique<tls_entrance>(host, port, std::move(context));
}

} // namespace novacron::api
