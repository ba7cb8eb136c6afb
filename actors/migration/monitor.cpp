#include "actors/migration/monitor.hpp"

#include "actors/host/unix_socket.hpp"
#include "actors/migration/channel.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace novacron::migration {
namespace {

using json = nlohmann::json;

/// Chosen: the longest answer that we ask for has some KiB.
constexpr auto line_bytes_max = std::size_t{1} << 20;

[[noreturn]] void gone() {
  throw migration_error{"the machine's monitor has gone"};
}

int connect_to(const std::filesystem::path& socket) {
  const auto fd = host::connect_in(std::filesystem::absolute(socket).parent_path(), socket.filename());
  if (fd < 0)
    throw migration_error{fmt::format("nobody listens at the monitor {}: {}", socket.string(), std::strerror(errno))};
  return fd;
}

} // namespace

monitor::monitor(const std::filesystem::path& socket, std::chrono::milliseconds patience)
    : fd_{connect_to(socket)}, patience_{patience} {
  try {
    if (!json::parse(read_line(), nullptr, false).contains("QMP"))
      throw migration_error{"who listens at the monitor does not speak its language"};
    ask("qmp_capabilities");
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

monitor::~monitor() {
  ::close(fd_);
}

std::string monitor::ask(std::string_view command, std::string_view arguments) {
  return answer_to(send(command, arguments, -1), command);
}

void monitor::give(int fd, const std::string& name) {
  answer_to(send("getfd", fmt::format(R"({{"fdname":"{}"}})", name), fd), "getfd");
}

std::uint64_t monitor::send(std::string_view command, std::string_view arguments, int fd) {
  auto line = fmt::format("{{\"execute\":\"{}\",\"arguments\":{},\"id\":{}}}\n", command,
                          arguments.empty() ? "{}" : arguments, ++count_);
  auto part = iovec{line.data(), line.size()};
  auto message = msghdr{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) auto room = std::array<char, CMSG_SPACE(sizeof(int))>{};
  if (fd >= 0) {
    message.msg_control = room.data();
    message.msg_controllen = room.size();
    auto* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head), &fd, sizeof fd);
  }
  // A monitor that does not take a line is stuck: it will not answer either.
  if (::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT) != static_cast<ssize_t>(line.size()))
    gone();
  return count_;
}

// Events and answers to what nobody waits for any more are passed over.
std::string monitor::answer_to(std::uint64_t number, std::string_view command) {
  for (;;) {
    const auto x = json::parse(read_line(), nullptr, false);
    if (!x.is_object() || !x.contains("id") || x["id"] != number)
      continue;
    if (x.contains("return"))
      return x["return"].dump();
    throw migration_error{
        fmt::format("the machine's monitor refused {}: {}", command,
                    x.contains("error") && x["error"].contains("desc") ? x["error"]["desc"].dump() : "?")};
  }
}

std::string monitor::read_line() {
  for (;;) {
    if (const auto feed = rest_.find('\n'); feed != rest_.npos) {
      auto line = rest_.substr(0, feed);
      rest_.erase(0, feed + 1);
      return line;
    }
    if (rest_.size() > line_bytes_max)
      throw migration_error{"the machine's monitor sent a line without an end"};
    auto x = pollfd{fd_, POLLIN, 0};
    const auto found = ::poll(&x, 1, static_cast<int>(patience_.count()));
    if (found == 0)
      throw migration_error{"the machine's monitor did not answer"};
    auto block = std::array<char, 16384>{};
    const auto count = ::recv(fd_, block.data(), block.size(), 0);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      gone();
    rest_.append(block.data(), static_cast<std::size_t>(count));
  }
}

} // namespace novacron::migration
