#include "actors/workload/qemu_saving.hpp"

#include "actors/host/unix_socket.hpp"
#include "actors/workload/qemu_command.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

using namespace std::chrono_literals;

/// Chosen: saving takes 20 ms on a quiet host.
constexpr auto patience = 60s;
constexpr auto step_patience = 10s;
constexpr auto poll_interval = 5ms;
/// Measured: 190 KB of a small machine, 520 KB of a whole one.
constexpr auto state_bytes_max = std::size_t{16} << 20;

/// All of it happens on the loop's thread; it keeps itself until it has answered.
class saving : public std::enable_shared_from_this<saving> {
public:
  saving(host::loop& loop, std::shared_ptr<qmp_client> client, then<std::string> done)
      : loop_{loop}, client_{std::move(client)}, done_{std::move(done)} {}

  ~saving() { drop(); }

  void begin(const std::filesystem::path& directory) {
    fd_ = host::listen_in(directory, qemu_state_socket, SOCK_NONBLOCK);
    if (fd_ < 0)
      return answer(trouble{fault::storage, "cannot listen for the state of a machine"});
    loop_.watch(fd_, EPOLLIN, [self = shared_from_this()](std::uint32_t) { self->take_connection(); });
    loop_.after(patience, [self = shared_from_this()] {
      self->answer(trouble{fault::timeout, "the machine did not write its state in time"});
    });
    ask("migrate-set-capabilities", R"({"capabilities":[{"capability":"x-ignore-shared","state":true}]})",
        [self = shared_from_this()](const std::string&) {
          self->ask("migrate", fmt::format(R"({{"uri":"unix:{}"}})", qemu_state_socket),
                    [self](const std::string&) { self->look(); });
        });
  }

private:
  void ask(const std::string& command, const std::string& arguments, std::function<void(const std::string&)> next) {
    client_->ask(command, arguments, step_patience,
                 [self = shared_from_this(), next = std::move(next)](outcome<std::string> x) {
                   if (!x)
                     return self->answer(x.why());
                   if (self->done_)
                     next(*x);
                 });
  }

  void take_connection() {
    const auto peer = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer < 0)
      return;
    drop();
    fd_ = peer;
    loop_.watch(fd_, EPOLLIN, [self = shared_from_this()](std::uint32_t) { self->take_bytes(); });
  }

  void take_bytes() {
    auto block = std::array<char, 65536>{};
    for (;;) {
      const auto count = ::recv(fd_, block.data(), block.size(), MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
      if (count <= 0)
        break;
      state_.append(block.data(), static_cast<std::size_t>(count));
      if (state_.size() > state_bytes_max)
        return answer(trouble{fault::unspecified, "the machine's state has no end"});
    }
    drop();
    written_ = true;
    conclude();
  }

  void look() {
    ask("query-migrate", {}, [self = shared_from_this()](const std::string& said) {
      const auto is = [&](const char* status) {
        return said.find(fmt::format(R"("status":"{}")", status)) != said.npos;
      };
      if (is("failed") || is("cancelled"))
        return self->answer(trouble{fault::unspecified, "the machine could not write its state"});
      if (!is("completed"))
        return self->loop_.after(poll_interval, [self] {
          if (self->done_)
            self->look();
        });
      self->completed_ = true;
      self->conclude();
    });
  }

  /// Both QEMU and the socket say that this is all.
  void conclude() {
    if (completed_ && written_)
      answer(std::exchange(state_, {}));
  }

  void answer(outcome<std::string> x) {
    drop();
    if (const auto done = std::exchange(done_, nullptr))
      done(std::move(x));
  }

  void drop() {
    if (fd_ < 0)
      return;
    loop_.forget(fd_);
    ::close(std::exchange(fd_, -1));
  }

  host::loop& loop_;
  const std::shared_ptr<qmp_client> client_;
  then<std::string> done_;
  /// The socket that listens, then the one that was accepted.
  int fd_ = -1;
  std::string state_;
  bool written_ = false;
  bool completed_ = false;
};

} // namespace

void save_state(host::loop& loop, const std::filesystem::path& directory, std::shared_ptr<qmp_client> client,
                then<std::string> done) {
  const auto one = std::make_shared<saving>(loop, std::move(client), std::move(done));
  loop.post([one, directory] { one->begin(directory); });
}

} // namespace novacron::workload
