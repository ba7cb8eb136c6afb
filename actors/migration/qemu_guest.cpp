#include "actors/migration/qemu_guest.hpp"

#include "actors/migration/channel.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace novacron::migration {
namespace {

using namespace std::chrono_literals;
using json = nlohmann::json;

/// Only what is not in the shared memory goes through QEMU itself.
constexpr auto without_memory = R"({"capabilities":[{"capability":"x-ignore-shared","state":true}]})";
/// How long the devices' state may take. Measured: 5 to 20 ms.
constexpr auto state_patience = 10s;
constexpr auto look_interval = std::chrono::microseconds{500};

/// Two sockets that lead to each other, closed at the end.
class pipe_pair {
public:
  pipe_pair() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()) != 0)
      throw std::system_error{errno, std::generic_category(), "no sockets for the devices' state"};
  }
  ~pipe_pair() {
    drop(0);
    drop(1);
  }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;
  int end(std::size_t i) const { return ends_[i]; }
  void drop(std::size_t i) {
    if (const auto fd = std::exchange(ends_[i], -1); fd >= 0)
      ::close(fd);
  }

private:
  std::array<int, 2> ends_{-1, -1};
};

std::string word_in(const std::string& answer, const char* name) {
  const auto x = json::parse(answer, nullptr, false);
  return x.is_object() && x.contains(name) && x[name].is_string() ? x[name].get<std::string>() : "";
}

/// Ends a migration that may be under way, and has the guest run.
void go_on(monitor& with) {
  const auto end = std::chrono::steady_clock::now() + state_patience;
  for (;;) {
    const auto status = word_in(with.ask("query-migrate"), "status");
    const auto under_way = status == "setup" || status == "active" || status == "device";
    if (under_way)
      with.ask("migrate_cancel");
    if (!under_way && status != "cancelling")
      try {
        with.ask("cont");
        if (word_in(with.ask("query-status"), "status") == "running")
          return;
      } catch (const migration_error&) {
        // It refuses for a moment after a migration has ended.
      }
    if (std::chrono::steady_clock::now() > end)
      throw migration_error{"the machine does not go on"};
    std::this_thread::sleep_for(look_interval);
  }
}

class source final : public source_guest {
public:
  source(pid_t pid, const std::filesystem::path& socket) : memory_{guest_memory::of_process(pid)}, monitor_{socket} {
    monitor_.ask("migrate-set-capabilities", without_memory);
    // The default holds the state back to 32 MiB/s.
    monitor_.ask("migrate-set-parameters", R"({"max-bandwidth":8589934592})");
  }

  std::span<const std::byte> memory() const override { return memory_->bytes(); }
  void add_populated(page_set& into) const override { memory_->add_populated(into); }
  void stop() override { monitor_.ask("stop"); }

  void resume() override { go_on(monitor_); }

  void save(const std::function<void(std::span<const std::byte>)>& take) override {
    auto ends = pipe_pair{};
    monitor_.give(ends.end(1), "state");
    ends.drop(1);
    monitor_.ask("migrate", R"({"uri":"fd:state"})");
    auto block = std::vector<std::byte>(256 << 10);
    for (;;) {
      auto x = pollfd{ends.end(0), POLLIN, 0};
      if (::poll(&x, 1, static_cast<int>(std::chrono::milliseconds{state_patience}.count())) <= 0)
        throw migration_error{"the machine did not give away its devices' state in time"};
      const auto count = ::read(ends.end(0), block.data(), block.size());
      if (count < 0 && errno == EINTR)
        continue;
      if (count <= 0)
        break;
      take(std::span{block}.first(static_cast<std::size_t>(count)));
    }
    // The end of the bytes comes before the word that they are all.
    const auto end = std::chrono::steady_clock::now() + state_patience;
    for (auto status = std::string{}; (status = word_in(monitor_.ask("query-migrate"), "status")) != "completed";) {
      if (status == "failed" || status == "cancelled" || std::chrono::steady_clock::now() > end)
        throw migration_error{"the machine could not save its devices' state"};
      std::this_thread::sleep_for(look_interval);
    }
  }

private:
  std::unique_ptr<guest_memory> memory_;
  monitor monitor_;
};

class target final : public target_guest {
public:
  target(pid_t pid, const std::filesystem::path& socket)
      : pid_{pid}, memory_{guest_memory::of_process(pid)}, monitor_{socket} {
    monitor_.ask("migrate-set-capabilities", without_memory);
    monitor_.give(ends_.end(1), "state");
    monitor_.ask("migrate-incoming", R"({"uri":"fd:state"})");
    ends_.drop(1);
  }

  std::span<std::byte> memory() const override { return memory_->bytes(); }
  void clear() override { memory_->clear(); }
  void fill(std::size_t offset, std::span<const std::byte> pages) override { memory_->fill(offset, pages); }

  void load(std::span<const std::byte> state) override {
    while (!state.empty()) {
      const auto count = ::send(ends_.end(0), state.data(), state.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR)
        continue;
      if (count <= 0)
        throw migration_error{"the machine did not take its devices' state"};
      state = state.subspan(static_cast<std::size_t>(count));
    }
    ends_.drop(0);
    // An order to run is lost as long as it is still coming in.
    await([](const auto& status) { return status != "inmigrate" && !status.empty(); },
          "did not load its devices' state");
  }

  void run() override {
    monitor_.ask("cont");
    await([](const auto& status) { return status == "running"; }, "did not run");
  }

  void discard() noexcept override { ::kill(pid_, SIGKILL); }

private:
  template <class Condition>
  void await(Condition holds, const char* trouble) {
    const auto end = std::chrono::steady_clock::now() + state_patience;
    while (!holds(word_in(monitor_.ask("query-status"), "status"))) {
      if (std::chrono::steady_clock::now() > end)
        throw migration_error{fmt::format("the machine {}", trouble)};
      std::this_thread::sleep_for(look_interval);
    }
  }

  pid_t pid_;
  std::unique_ptr<guest_memory> memory_;
  monitor monitor_;
  pipe_pair ends_;
};

} // namespace

std::unique_ptr<source_guest> qemu_source(pid_t pid, const std::filesystem::path& socket) {
  return std::make_unique<source>(pid, socket);
}

void resume_qemu(const std::filesystem::path& socket) {
  auto with = monitor{socket};
  go_on(with);
}

std::unique_ptr<target_guest> qemu_target(pid_t pid, const std::filesystem::path& socket) {
  return std::make_unique<target>(pid, socket);
}

} // namespace novacron::migration
