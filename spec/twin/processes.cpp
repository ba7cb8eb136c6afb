#include "actors/node/node_system.hpp"
#include "spec/twin/cable.hpp"
#include "spec/twin/two_hosts.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace twin {
namespace {

using namespace std::chrono_literals;

/// A process that runs host.cpp.
class process {
public:
  process() {
    int in[2];
    int out[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0 || (pid_ = ::fork()) < 0)
      throw std::system_error{errno, std::system_category(), "cannot start another host"};
    if (pid_ == 0) {
      ::dup2(in[0], STDIN_FILENO);
      ::dup2(out[1], STDOUT_FILENO);
      ::execl(TWIN_HOST, TWIN_HOST, nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    in_ = in[1];
    auto text = std::string{};
    for (char c = 0; ::read(out[0], &c, 1) == 1 && c != '\n';)
      text += c;
    ::close(out[0]);
    port_ = text.empty() ? 0 : std::stoi(text);
    if (port_ == 0)
      throw std::runtime_error{"the other host says no port"};
  }
  ~process() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(in_);
  }
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  std::uint16_t port() const { return static_cast<std::uint16_t>(port_); }

private:
  pid_t pid_ = -1;
  int in_ = -1;
  int port_ = 0;
};

class processes : public two_hosts {
public:
  processes() { start_other(); }
  ~processes() override {
    for (const auto& x : near_)
      caf::anon_send_exit(x, caf::exit_reason::kill);
  }
  caf::actor near_one() override { return near_.emplace_back(spawn_near(system_, told)); }
  std::optional<caf::actor> connect() override {
    auto found = system_.middleman().remote_actor("127.0.0.1", between_.port());
    return found ? std::optional{*found} : std::nullopt;
  }
  void kill_other() override { other_.reset(); }
  void start_other() override {
    other_ = std::make_unique<process>();
    between_.lead_to(other_->port());
  }
  bool has_time() const override { return true; }
  void cut() override { between_.cut(true); }
  void heal() override { between_.cut(false); }
  void wait(const std::function<bool()>& until) override {
    for (auto i = 0; i < 1000 && !until(); ++i)
      std::this_thread::sleep_for(10ms);
  }
  void pass(std::chrono::milliseconds time) override { std::this_thread::sleep_for(time); }

private:
  novacron::node::system_config config_{1};
  caf::actor_system system_{config_};
  cable between_;
  std::unique_ptr<process> other_;
  std::vector<caf::actor> near_;
};

} // namespace

std::unique_ptr<two_hosts> as_processes() {
  return std::make_unique<processes>();
}

} // namespace twin
