#include "actors/workload/machine_writing.hpp"

#include "actors/host/unix_socket.hpp"
#include "actors/workload/template_files.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <future>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace novacron::workload {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

/// How long to wait for bytes before looking how far it is.
constexpr auto step = 2ms;
/// Between looks while bytes come.
constexpr auto look_interval = 20ms;
/// For the machine to begin.
constexpr auto answer_patience = 10s;
constexpr auto block_bytes = std::size_t{1} << 20;

template <class T>
std::future<outcome<T>> ask(const std::function<void(then<T>)>& verb) {
  // Shared, because who is given up may answer after all.
  const auto promise = std::make_shared<std::promise<outcome<T>>>();
  auto future = promise->get_future();
  verb([promise](outcome<T> x) { promise->set_value(std::move(x)); });
  return future;
}

class writing {
public:
  writing(machine_control& control, const writing_order& order)
      : control_{control}, order_{order}, deadline_{clock::now() + order.patience} {
    ::unlink((order.directory / machine_state_socket).c_str());
    fd_ = descriptor{host::listen_in(order.directory, machine_state_socket, SOCK_NONBLOCK)};
    if (fd_.get() < 0)
      throw std::runtime_error{"cannot listen for what a machine writes"};
  }
  ~writing() { ::unlink((order_.directory / machine_state_socket).c_str()); }
  writing(const writing&) = delete;
  writing& operator=(const writing&) = delete;

  void run() {
    auto begun = ask<nothing>([&](auto then) { control_.begin_writing(order_.with_memory, then); });
    if (begun.wait_for(answer_patience) != std::future_status::ready)
      throw std::runtime_error{"its monitor does not answer"};
    if (const auto good = begun.get(); !good)
      throw std::runtime_error{good.why().text};
    while (!ended_ || !complete_) {
      order_.check();
      if (clock::now() > deadline_)
        throw std::runtime_error{"the machine did not write its state in time"};
      take_bytes();
      if (ended_ || asked_.valid() || clock::now() - looked_ > look_interval)
        look();
    }
  }

private:
  /// What has come, or nothing when that takes longer than a step.
  void take_bytes() {
    auto ready = pollfd{ended_ ? -1 : fd_.get(), POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(step.count())) <= 0)
      return;
    if (!connected_) {
      auto peer = descriptor{::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
      connected_ = peer.get() >= 0;
      if (connected_)
        fd_ = std::move(peer);
      return;
    }
    const auto count = ::recv(fd_.get(), block_.data(), block_.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (count < 0)
      throw std::runtime_error{"the machine broke off what it wrote"};
    ended_ = count == 0;
    bytes_ += static_cast<std::uint64_t>(count);
    if (bytes_ > order_.bytes_max)
      throw std::runtime_error{"the machine's state takes more room than it may"};
    order_.take({block_.data(), static_cast<std::size_t>(count)});
  }

  /// Asks how far it is, and takes what was answered before. Never waits for that: the machine may hold back its answer
  /// until it has written something, and is only read here.
  void look() {
    if (!asked_.valid()) {
      asked_ = ask<bool>([&](auto then) { control_.look_at_writing(then); });
      return;
    }
    if (asked_.wait_for(0s) != std::future_status::ready)
      return;
    const auto got = asked_.get();
    looked_ = clock::now();
    if (!got && got.why().kind == fault::timeout)
      return;
    if (!got)
      throw std::runtime_error{got.why().text};
    complete_ = *got;
  }

  machine_control& control_;
  const writing_order& order_;
  const clock::time_point deadline_;
  /// The socket that listens, then the one that was accepted.
  descriptor fd_;
  std::vector<char> block_ = std::vector<char>(block_bytes);
  bool connected_ = false;
  bool ended_ = false;
  bool complete_ = false;
  std::uint64_t bytes_ = 0;
  std::future<outcome<bool>> asked_;
  clock::time_point looked_ = clock::now();
};

} // namespace

void write_machine(machine_control& control, const writing_order& order) {
  auto one = writing{control, order};
  try {
    one.run();
  } catch (...) {
    // Where nothing is being written, or nobody is there any more, nothing comes of it.
    control.end_writing([](outcome<>) {});
    control.pause(false, [](outcome<>) {});
    throw;
  }
}

} // namespace novacron::workload
