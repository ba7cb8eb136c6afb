#include "actors/migration/tls_channel.hpp"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace novacron::migration {
namespace {

class secured final : public tls_channel {
public:
  secured(int fd, const host::tls_context& context, host::tls_side side, std::chrono::milliseconds patience)
      : fd_{fd}, patience_{static_cast<int>(patience.count())}, ssl_{::SSL_new(context.native())} {
    try {
      begin(side);
    } catch (...) {
      end();
      throw;
    }
  }
  ~secured() override { end(); }
  secured(const secured&) = delete;
  secured& operator=(const secured&) = delete;

  void set_patience(std::chrono::milliseconds patience) override { patience_ = static_cast<int>(patience.count()); }

  void send(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      auto count = std::size_t{0};
      if (attempt([&] { return ::SSL_write_ex(ssl_, bytes.data(), bytes.size(), &count); }) == 0)
        throw migration_error{"the other host has closed the connection"};
      bytes = bytes.subspan(count);
    }
  }

  std::size_t receive(std::span<std::byte> into) override {
    auto count = std::size_t{0};
    return attempt([&] { return ::SSL_read_ex(ssl_, into.data(), into.size(), &count); }) == 0 ? 0 : count;
  }

  bool readable() override {
    // What comes may be words of TLS alone, such as a ticket: whoever waited for more behind them would wait in vain.
    auto first = std::byte{};
    auto count = std::size_t{0};
    ::ERR_clear_error();
    const auto result = ::SSL_peek_ex(ssl_, &first, 1, &count);
    return result == 1 || ::SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ;
  }

  // As for a plain socket; the few bytes that TLS adds do not matter.
  std::optional<link_look> look() override { return look_at(fd_); }

  void close() noexcept override { ::shutdown(fd_, SHUT_RDWR); }

private:
  void begin(host::tls_side side) {
    const auto yes = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    // Who waits without an end learns that the other host has gone.
    ::setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    for (const auto& [option, seconds] :
         {std::pair{TCP_KEEPIDLE, 5}, std::pair{TCP_KEEPINTVL, 2}, std::pair{TCP_KEEPCNT, 5}})
      ::setsockopt(fd_, IPPROTO_TCP, option, &seconds, sizeof seconds);
    if (ssl_ == nullptr || ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK) != 0 ||
        ::SSL_set_fd(ssl_, fd_) != 1)
      throw migration_error{"no TLS connection can be begun"};
    ::SSL_set_mode(ssl_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    const auto done =
        attempt([&] { return side == host::tls_side::server ? ::SSL_accept(ssl_) : ::SSL_connect(ssl_); });
    if (done == 0)
      throw migration_error{"the other host refused the connection"};
  }

  /// Repeats one step until it went well (1), or the other end has closed (0).
  template <class Step>
  int attempt(Step step) {
    for (;;) {
      ::ERR_clear_error();
      errno = 0;
      const auto result = step();
      if (result == 1)
        return 1;
      switch (::SSL_get_error(ssl_, result)) {
        case SSL_ERROR_WANT_READ: await(POLLIN); break;
        case SSL_ERROR_WANT_WRITE: await(POLLOUT); break;
        case SSL_ERROR_ZERO_RETURN: return 0;
        default: throw migration_error{"the connection to the other host broke: " + why()};
      }
    }
  }

  static std::string why() {
    const auto problem = errno;
    if (::ERR_peek_error() != 0)
      return host::tls_problem();
    return problem != 0 ? std::strerror(problem) : "it was closed";
  }

  void await(short events) const {
    auto x = pollfd{fd_, events, 0};
    const auto found = ::poll(&x, 1, patience_);
    if (found == 0)
      throw migration_error{"the other host neither took nor sent anything for " + std::to_string(patience_ / 1000) +
                            " s"};
    if (found < 0 && errno != EINTR)
      throw migration_error{"the connection to the other host broke: " + std::string{std::strerror(errno)}};
  }

  void end() noexcept {
    ::SSL_free(ssl_);
    ::close(fd_);
  }

  int fd_;
  int patience_;
  SSL* ssl_;
};

} // namespace

std::unique_ptr<tls_channel> make_tls_channel(int fd, const host::tls_context& context, host::tls_side side,
                                              std::chrono::milliseconds patience) {
  return std::make_unique<secured>(fd, context, side, patience);
}

} // namespace novacron::migration
