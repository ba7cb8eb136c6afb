#include "actors/workload/template_making.hpp"

#include "actors/host/files.hpp"
#include "actors/host/loop.hpp"
#include "actors/host/process.hpp"
#include "actors/host/unix_socket.hpp"
#include "actors/workload/machine_plan.hpp"
#include "actors/workload/machine_template.hpp"
#include "actors/workload/machine_writing.hpp"
#include "actors/workload/qmp.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

/// Between looks whether its process listens, still runs, or is to be given up.
constexpr auto step = 10ms;
/// Measured: 190 KB of a small machine, 520 KB of a whole one.
constexpr auto state_bytes_max = std::uint64_t{16} << 20;
/// What the agent in a guest says where clones begin.
constexpr auto ready_words = "ready\n";

/// The process of the machine while it is made.
class process {
public:
  process(const making_order& order, int memory) : order_{order}, deadline_{clock::now() + order.patience} {
    const auto command = order.monitor.command(order.original);
    auto words = std::vector<std::string>{"env", "-C", order.directory};
    words.insert(words.end(), command.words.begin(), command.words.end());
    const auto null = descriptor{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    const auto complaints =
        descriptor{::open((order.directory / "complaints").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    // Its log, its link and the state that a clone has are not needed.
    child_ = host::start({.argv = words,
                          .environment = {},
                          .err = complaints.get(),
                          .inherit = {null.get(), null.get(), null.get(), memory},
                          .dies_with_us = true});
  }
  ~process() { end(); }
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  void end() {
    if (child_.pid < 0)
      return;
    ::kill(child_.pid, SIGKILL);
    ::waitpid(std::exchange(child_.pid, -1), nullptr, 0);
    ::close(child_.pidfd);
  }

  /// Throws unless it may go on.
  void check() const {
    if (order_.stop)
      throw std::runtime_error{"the node ends"};
    auto ended = pollfd{child_.pidfd, POLLIN, 0};
    if (::poll(&ended, 1, 0) > 0) {
      const auto words = host::read_file(order_.directory / "complaints").value_or("");
      throw std::runtime_error{"its machine failed: " + (words.empty() ? "without a word" : words)};
    }
    if (clock::now() > deadline_)
      throw std::runtime_error{"its guest did not come up in time"};
  }

  /// A connection to the socket `name` in its directory, once it listens.
  [[nodiscard]] descriptor connect(const std::string& name) const {
    for (;;) {
      check();
      if (const auto fd = host::connect_in(order_.directory, name, SOCK_NONBLOCK); fd >= 0)
        return descriptor{fd};
      std::this_thread::sleep_for(step);
    }
  }

  void hear(int fd, const std::string& words) const {
    auto said = std::string{};
    while (said.find(words) == said.npos) {
      check();
      auto ready = pollfd{fd, POLLIN, 0};
      if (::poll(&ready, 1, static_cast<int>(step.count())) <= 0)
        continue;
      auto block = std::array<char, 256>{};
      const auto count = ::recv(fd, block.data(), block.size(), MSG_DONTWAIT);
      if (count > 0)
        said.append(block.data(), static_cast<std::size_t>(count));
      else if (count == 0)
        std::this_thread::sleep_for(step);
    }
  }

  /// What `begin` answers on a loop of its own.
  template <class T>
  T answer(host::loop& loop, const std::function<void(host::loop&, then<T>)>& begin) {
    // Shared, because who is given up may answer after all.
    const auto promise = std::make_shared<std::promise<outcome<T>>>();
    auto future = promise->get_future();
    begin(loop, [promise](outcome<T> x) { promise->set_value(std::move(x)); });
    try {
      while (future.wait_for(step) != std::future_status::ready)
        check();
    } catch (...) {
      // Without its process all that waits for it is answered, and nothing is left on the loop.
      end();
      future.wait_for(1s);
      throw;
    }
    auto got = future.get();
    if (!got)
      throw std::runtime_error{got.why().text};
    return std::move(*got);
  }

private:
  const making_order& order_;
  const clock::time_point deadline_;
  host::child child_;
};

void lay_out(const making_order& order) {
  for (const auto& [name, bytes] : stand_ins(order.original)) {
    host::replace_file(order.directory / name, "");
    fs::resize_file(order.directory / name, bytes);
  }
}

} // namespace

std::uint64_t make_template(const making_order& order) {
  lay_out(order);
  const auto memory = make_guest_memory(order.facts.memory_bytes);
  auto state = std::string{};
  {
    auto running = process{order, memory.get()};
    // While somebody listens there the guest stands still.
    const auto line = running.connect(machine_agent_end_socket);
    running.hear(line.get(), ready_words);
    auto loop = host::loop{};
    const auto control = running.answer<std::shared_ptr<machine_control>>(
        loop, [&](host::loop& its, then<std::shared_ptr<machine_control>> done) {
          order.monitor.open(its, order.directory, std::move(done));
        });
    write_machine(*control, {.directory = order.directory,
                             .with_memory = false,
                             .bytes_max = state_bytes_max,
                             .take = [&](std::string_view bytes) { state += bytes; },
                             .check = [&] { running.check(); }});
  }
  for (const auto& [name, bytes] : stand_ins(order.original))
    fs::remove(order.directory / name);
  return write_template(order.directory, order.facts, memory.get(), state);
}

} // namespace novacron::workload
