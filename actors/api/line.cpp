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

  progress greet() override { return progress::done; }

  std::optional<std::size_t> read(char* into, std::size_t size) override {
    return attempt([&] { return ::recv(fd_.get(), into, size, 0); }, POLLIN);
  }

  std::optional<std::size_t> write_some(std::string_view bytes) override {
    return attempt([&] { return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }, POLLOUT);
  }

  void finish() override { ::shutdown(fd_.get(), SHUT_WR); }
  int descriptor() const override { return fd_.get(); }
  short events() const override { return events_; }

private:
  template <class Attempt>
  std::optional<std::size_t> attempt(Attempt what, short events) {
    events_ = events;
    auto count = what();
    while (count < 0 && errno == EINTR)
      count = what();
    if (count < 0 && errno == EAGAIN)
      return {};
    return static_cast<std::size_t>(std::max<ssize_t>(count, 0));
  }

  descriptor_owner fd_;
  short events_ = POLLIN;
};

struct session_end {
  void operator()(SSL* x) const { SSL_free(x); }
};

class tls_line : public line {
public:
  tls_line(descriptor_owner fd, std::shared_ptr<host::tls_context> context)
      : fd_{std::move(fd)}, context_{std::move(context)}, session_{SSL_new(context_->native())} {
    if (!session_)
      return;
    SSL_set_fd(session_.get(), fd_.get());
    // What did not go out is offered again later, shortened by what did.
    SSL_set_mode(session_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  }

  progress greet() override {
    if (greeted_)
      return progress::done;
    const auto result = attempt([this] { return SSL_accept(session_.get()); });
    if (!result)
      return progress::more;
    if (*result == 0)
      return progress::over;
    greeted_ = true;
    if (const auto peer = host::peer_identity(session_.get()))
      who = {peer->role, peer->name};
    return progress::done;
  }

  std::optional<std::size_t> read(char* into, std::size_t size) override {
    return attempt([&] { return SSL_read(session_.get(), into, at_most(size)); });
  }

  std::optional<std::size_t> write_some(std::string_view bytes) override {
    return attempt([&] { return SSL_write(session_.get(), bytes.data(), at_most(bytes.size())); });
  }

  void finish() override {
    if (greeted_ && !broken_)
      SSL_shutdown(session_.get());
    ERR_clear_error();
    ::shutdown(fd_.get(), SHUT_WR);
  }

  int descriptor() const override { return fd_.get(); }
  short events() const override { return events_; }

private:
  static int at_most(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, 1 << 20)); }

  /// After an error OpenSSL allows nothing more on this session.
  template <class Attempt>
  std::optional<std::size_t> attempt(Attempt what) {
    if (!session_ || broken_)
      return 0;
    ERR_clear_error();
    const auto result = what();
    if (result > 0)
      return static_cast<std::size_t>(result);
    const auto why = SSL_get_error(session_.get(), result);
    ERR_clear_error();
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
      events_ = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
      return {};
    }
    broken_ = true;
    return 0;
  }

  descriptor_owner fd_;
  std::shared_ptr<host::tls_context> context_;
  std::unique_ptr<SSL, session_end> session_;
  short events_ = POLLIN;
  bool greeted_ = false;
  bool broken_ = false;
};

descriptor_owner accepted(int listener, sockaddr_storage* from = nullptr) {
  auto size = socklen_t{sizeof *from};
  return descriptor_owner{
      ::accept4(listener, reinterpret_cast<sockaddr*>(from), from ? &size : nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
}

/// The machine at an address: of IPv6 only the network, as one machine has all of a /64.
std::string machine_at(const sockaddr_storage& address) {
  if (address.ss_family != AF_INET6)
    return {reinterpret_cast<const char*>(&reinterpret_cast<const sockaddr_in&>(address).sin_addr), 4};
  const auto& long_one = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  const auto* bytes = reinterpret_cast<const char*>(&long_one);
  return IN6_IS_ADDR_V4MAPPED(&long_one) ? std::string{bytes + 12, 4} : std::string{bytes, 8};
}

/// A path as an address. One that is too long is reached through its directory.
class unix_address {
public:
  explicit unix_address(const std::filesystem::path& path)
      : directory_{
            ::open(path.has_parent_path() ? path.parent_path().c_str() : ".", O_PATH | O_DIRECTORY | O_CLOEXEC)} {
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
  if (const auto wrong =
          ::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &wanted, &found))
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
    auto from = sockaddr_storage{};
    auto fd = accepted(fd_.get(), &from);
    if (fd.get() < 0)
      return nullptr;
    const auto yes = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    auto way = std::make_unique<tls_line>(std::move(fd), context_);
    way->from = machine_at(from);
    return way;
  }

private:
  descriptor_owner fd_;
  std::shared_ptr<host::tls_context> context_;
};

} // namespace

bool line::write(std::string_view bytes, deadline until) {
  while (!bytes.empty()) {
    const auto count = write_some(bytes);
    if (count ? *count == 0 : !wait(descriptor(), events(), until))
      return false;
    bytes.remove_prefix(count.value_or(0));
  }
  return true;
}

std::unique_ptr<entrance> enter_by_unix(const std::string& path) {
  return std::make_unique<unix_entrance>(path);
}

std::unique_ptr<entrance> enter_by_tls(const std::string& host, std::uint16_t port,
                                       std::shared_ptr<host::tls_context> context) {
  return std::make_unique<tls_entrance>(host, port, std::move(context));
}

} // namespace novacron::api
