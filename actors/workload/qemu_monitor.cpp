#include "actors/workload/qemu_monitor.hpp"

#include "actors/host/process.hpp"
#include "actors/host/unix_socket.hpp"
#include "actors/workload/machine_plan.hpp"
#include "actors/workload/qemu_command.hpp"
#include "actors/workload/qmp.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace novacron::workload {
namespace {

using namespace std::chrono_literals;

/// Chosen: what QEMU has not answered by then it will not; it answers in milliseconds, also on a busy host.
constexpr auto patience = 5s;

/// Bytes per second: as fast as it can.
constexpr auto rate_max = std::uint64_t{1} << 40;

/// Whether it says that it has written all.
outcome<bool> read_writing(const std::string& said) {
  const auto x = nlohmann::json::parse(said, nullptr, false);
  const auto status = x.is_object() ? x.value("status", std::string{}) : "";
  if (status.empty() || status == "failed" || status == "cancelled" || status == "none")
    return trouble{fault::unspecified, "the machine could not write its state"};
  return status == "completed";
}

/// Whether an event says that a machine was stopped because its disk finds no room.
bool found_no_room(const qmp_event& x) {
  const auto data = nlohmann::json::parse(x.data, nullptr, false);
  return x.name == "BLOCK_IO_ERROR" && data.is_object() && data.value("action", std::string{}) == "stop";
}

bool is_on_path(const std::string& program) {
  const auto* places = std::getenv("PATH");
  auto words = std::istringstream{places != nullptr ? places : "/usr/bin:/bin"};
  for (auto place = std::string{}; std::getline(words, place, ':');)
    if (::access((std::filesystem::path{place} / program).c_str(), X_OK) == 0)
      return true;
  return false;
}

/// Between attempts of a machine that found no room on the disk. Chosen: who frees some sees it go on at once.
constexpr auto room_delay = 1s;

/// QEMU stops a machine whose disk finds no room on the host's, and leaves it to others when it goes on: what it could
/// not write is written then. Used on the loop's thread, but for `pause`.
class room_seeker : public std::enable_shared_from_this<room_seeker> {
public:
  room_seeker(host::loop& loop, std::filesystem::path directory) : loop_{loop}, directory_{std::move(directory)} {}

  void speak_to(const std::shared_ptr<qmp_client>& client) { client_ = client; }
  /// Somebody wants it to stand still, or no longer.
  void pause(bool paused) { paused_ = paused; }
  void hear(const qmp_event& x) {
    if (found_no_room(x))
      try_soon();
  }
  /// The answer to "query-status".
  void see(const std::string& status) {
    const auto x = nlohmann::json::parse(status, nullptr, false);
    if (!x.is_object() || x.value("status", std::string{}) != "io-error")
      return;
    // What moves stands still at the end, and has to stay so.
    const auto free = !paused_ && !std::filesystem::exists(directory_ / machine_departing_file);
    if (const auto client = client_.lock(); client && free)
      client->ask("cont", {}, patience, [](const auto&) {});
    try_soon();
  }

private:
  void try_soon() {
    if (std::exchange(due_, true))
      return;
    loop_.after(room_delay, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self)
        return;
      self->due_ = false;
      if (const auto client = self->client_.lock())
        client->ask("query-status", {}, patience, [weak](const outcome<std::string>& x) {
          if (const auto still = weak.lock(); still && x)
            still->see(*x);
        });
    });
  }

  host::loop& loop_;
  std::filesystem::path directory_;
  std::weak_ptr<qmp_client> client_;
  std::atomic<bool> paused_ = false;
  bool due_ = false;
};

class qemu_control final : public machine_control {
public:
  qemu_control(std::shared_ptr<qmp_client> client, std::shared_ptr<room_seeker> seeker)
      : client_{std::move(client)}, seeker_{std::move(seeker)} {}

  void pause(bool paused, then<> done) override {
    seeker_->pause(paused);
    ask(paused ? "stop" : "cont", {}, std::move(done));
  }
  void press_power(then<> done) override { ask("system_powerdown", {}, std::move(done)); }
  void give_memory(std::uint64_t bytes, then<> done) override {
    ask("balloon", fmt::format("{{\"value\":{}}}", bytes), std::move(done));
  }
  void begin_writing(bool with_memory, then<> done) override;
  void look_at_writing(then<bool> done) override;
  void end_writing(then<> done) override { ask("migrate_cancel", {}, std::move(done)); }

private:
  void ask(const std::string& command, const std::string& arguments, then<> done) {
    client_->ask(command, arguments, patience, [done = std::move(done)](outcome<std::string> x) {
      done(x ? outcome<>{nothing{}} : outcome<>{x.why()});
    });
  }

  std::shared_ptr<qmp_client> client_;
  std::shared_ptr<room_seeker> seeker_;
};

/// One after the other; the first that fails is the answer.
void ask_all(const std::shared_ptr<qmp_client>& client, std::vector<std::pair<std::string, std::string>> what,
             then<> done) {
  if (what.empty())
    return done(nothing{});
  const auto [command, arguments] = what.front();
  what.erase(what.begin());
  client->ask(command, arguments, patience, [client, what = std::move(what), done = std::move(done)](const auto& x) {
    if (!x)
      return done(x.why());
    ask_all(client, what, done);
  });
}

/// What an earlier order has set is set anew: a clone was told that its memory is no part of its state.
void qemu_control::begin_writing(bool with_memory, then<> done) {
  ask_all(client_,
          {{"migrate-set-capabilities",
            fmt::format(R"({{"capabilities":[{{"capability":"x-ignore-shared","state":{}}}]}})", !with_memory)},
           {"migrate-set-parameters", fmt::format(R"({{"max-bandwidth":{}}})", rate_max)},
           {"migrate", fmt::format(R"({{"uri":"unix:{}"}})", machine_state_socket)}},
          std::move(done));
}

void qemu_control::look_at_writing(then<bool> done) {
  client_->ask("query-migrate", {}, patience, [done = std::move(done)](outcome<std::string> x) {
    if (!x)
      return done(x.why());
    done(read_writing(*x));
  });
}

class qemu_monitor final : public machine_monitor {
public:
  explicit qemu_monitor(std::string program) : program_{std::move(program)} {}

  std::string lack() const override {
    if (!is_on_path(program_))
      return program_ + " is not installed (apt-get install qemu-system-x86)";
    if (!is_on_path("qemu-img"))
      return "qemu-img is not installed (apt-get install qemu-utils)";
    return {};
  }

  std::string edition() const override {
    std::call_once(asked_, [this] {
      try {
        const auto said = host::run({.argv = {program_, "--version"}});
        edition_ = said.how.code == 0 ? said.out.substr(0, said.out.find('\n')) : "";
      } catch (const std::system_error&) {
        edition_.clear();
      }
    });
    return edition_;
  }

  machine_command command(const machine_plan& plan) const override { return qemu_command(program_, plan); }

  void open(host::loop& loop, const std::filesystem::path& directory,
            then<std::shared_ptr<machine_control>> done) const override {
    const auto fd = host::connect_in(directory, qemu_monitor_socket, SOCK_NONBLOCK);
    if (fd < 0)
      return done(trouble{fault::unreachable, "the machine's monitor does not listen"});
    const auto seeker = std::make_shared<room_seeker>(loop, directory);
    auto client = qmp_client::open(loop, fd, [seeker](const qmp_event& x) { seeker->hear(x); });
    seeker->speak_to(client);
    client->ask("query-status", {}, patience, [client, seeker, done = std::move(done)](outcome<std::string> x) {
      if (!x)
        return done(x.why());
      seeker->see(*x);
      done(std::shared_ptr<machine_control>{std::make_shared<qemu_control>(client, seeker)});
    });
  }

private:
  std::string program_;
  mutable std::once_flag asked_;
  mutable std::string edition_;
};

} // namespace

std::shared_ptr<const machine_monitor> make_qemu_monitor(std::string program) {
  return std::make_shared<qemu_monitor>(std::move(program));
}

} // namespace novacron::workload
