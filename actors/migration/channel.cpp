#include "actors/migration/channel.hpp"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace novacron::migration {
namespace {

class socket_channel final : public channel {
public:
  socket_channel(int fd, std::chrono::milliseconds patience) : fd_{fd}, patience_{static_cast<int>(patience.count())} {
    // Barriers and acknowledgements are small and waited for.
    const auto yes = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  }
  ~socket_channel() override { ::close(fd_); }
  socket_channel(const socket_channel&) = delete;
  socket_channel& operator=(const socket_channel&) = delete;

  void send(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const auto count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count > 0)
        bytes = bytes.subspan(static_cast<std::size_t>(count));
      else if (count < 0 && errno == EAGAIN)
        await(POLLOUT);
      else if (count == 0 || errno != EINTR)
        throw migration_error{"the connection to the other host broke: " + std::string{std::strerror(errno)}};
    }
  }

  std::size_t receive(std::span<std::byte> into) override {
    for (;;) {
      const auto count = ::recv(fd_, into.data(), into.size(), MSG_DONTWAIT);
      if (count >= 0)
        return static_cast<std::size_t>(count);
      if (errno == EAGAIN)
        await(POLLIN);
      else if (errno != EINTR)
        throw migration_error{"the connection to the other host broke: " + std::string{std::strerror(errno)}};
    }
  }

  bool readable() override {
    auto x = pollfd{fd_, POLLIN, 0};
    return ::poll(&x, 1, 0) > 0;
  }

  std::optional<link_look> look() override { return look_at(fd_); }

  void close() noexcept override { ::shutdown(fd_, SHUT_RDWR); }

private:
  void await(short events) const {
    auto x = pollfd{fd_, events, 0};
    const auto found = ::poll(&x, 1, patience_);
    if (found == 0)
      throw migration_error{"the other host neither took nor sent anything for " + std::to_string(patience_ / 1000) +
                            " s"};
    if (found < 0 && errno != EINTR)
      throw migration_error{"the connection to the other host broke: " + std::string{std::strerror(errno)}};
  }

  int fd_;
  int patience_;
};

} // namespace

std::optional<link_look> look_at(int fd) {
  auto now = tcp_info{};
  auto size = static_cast<socklen_t>(sizeof now);
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &now, &size) != 0)
    return {};
  // The last packets may lie there without being acknowledged, for up to 40 ms: a few of them are no queue.
  return link_look{now.tcpi_bytes_acked, now.tcpi_unacked > 4 || now.tcpi_notsent_bytes > 0,
                   static_cast<double>(now.tcpi_delivery_rate)};
}

std::unique_ptr<channel> make_socket_channel(int fd, std::chrono::milliseconds patience) {
  return std::make_unique<socket_channel>(fd, patience);
}

} // namespace novacron::migration
