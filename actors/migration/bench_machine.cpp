#include "actors/migration/bench_machine.hpp"

#include "actors/host/files.hpp"
#include "actors/migration/channel.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace novacron::migration {
namespace {

using namespace std::chrono_literals;

/// The number behind `name`, if it is there.
std::optional<std::uint64_t> number_behind(std::string_view line, std::string_view name, int base = 10) {
  const auto at = line.find(name);
  auto x = std::uint64_t{0};
  if (at == line.npos)
    return {};
  const auto* const from = line.data() + at + name.size();
  const auto [end, wrong] = std::from_chars(from, line.data() + line.size(), x, base);
  return wrong == std::errc{} ? std::optional{x} : std::nullopt;
}

int connect_to(const std::filesystem::path& socket) {
  auto where = sockaddr_un{};
  where.sun_family = AF_UNIX;
  if (socket.native().size() >= sizeof where.sun_path)
    throw std::runtime_error{
        fmt::format("the path {} is too long for a socket; say --scratch=DIR with a shorter one", socket.string())};
  std::memcpy(where.sun_path, socket.c_str(), socket.native().size());
  const auto fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0)
    return fd;
  ::close(fd);
  return -1;
}

std::vector<std::string> command_of(const machine_order& x) {
  auto all = x.on;
  const auto add = [&](std::initializer_list<std::string> more) { all.insert(all.end(), more); };
  const auto socket = [&](const char* what) { return (x.directory / (x.name + what)).string(); };
  if (!x.watch.empty())
    add({"env", "LD_PRELOAD=" + x.watch.string()});
  add({x.program, "-nodefaults", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-display", "none", "-no-reboot"});
  const auto size = fmt::format("{}k", x.memory_kib);
  // The block of shared memory is called as it is when it is not shared, so that either takes the other's state.
  if (x.shared)
    add({"-object",
         fmt::format("memory-backend-memfd,id=pc.ram,size={},share=on,x-use-canonical-path-for-ramblock-id=off", size),
         "-M", "q35,memory-backend=pc.ram"});
  else
    add({"-M", "q35"});
  add({"-m", size, "-kernel", x.guest / "vmlinuz", "-initrd", x.guest / "initramfs", "-append", x.kernel_words});
  add({"-chardev", fmt::format("socket,id=console,path={},server=on,wait=off", socket(".console")), "-serial",
       "chardev:console"});
  for (const auto* each : {".bench", ".engine"})
    add({"-qmp", fmt::format("unix:{},server=on,wait=off", socket(each))});
  if (!x.incoming.empty())
    add({"-incoming", x.incoming});
  return all;
}

} // namespace

std::optional<guest_count> read_count(std::string_view line, bench_time heard) {
  if (!line.starts_with("CNT "))
    return {};
  const auto number = number_behind(line, "CNT ");
  const auto space = line.find(' ', 4);
  const auto dirtied = space == line.npos ? std::nullopt : number_behind(line.substr(space), " ");
  if (!number || !dirtied)
    return {};
  return guest_count{*number, *dirtied, heard};
}

std::optional<guest_sum> read_sum(std::string_view line) {
  if (!line.starts_with("SUM "))
    return {};
  const auto bad = number_behind(line, "bad=");
  const auto all = number_behind(line, " of ");
  if (!bad || !all)
    return {};
  return guest_sum{std::string{line.substr(4, line.find(' ', 4) - 4)}, *bad, *all};
}

bench_machine::bench_machine(machine_order order) : order_{std::move(order)} {
  for (const auto* each : {".console", ".bench", ".engine"})
    std::filesystem::remove(order_.directory / (order_.name + each));
  const auto complaints_file =
      ::open((order_.directory / (order_.name + ".err")).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  // In our session, because Linux shares processors among sessions: QEMU's ways are not to have two shares, ours one.
  process_ = host::start({.argv = command_of(order_), .err = complaints_file, .detached = false, .dies_with_us = true});
  ::close(complaints_file);
  try {
    // The sockets are made one after another; the engine's is the last.
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (!std::filesystem::exists(monitor_socket(true)) ||
           (console_ = connect_to(order_.directory / (order_.name + ".console"))) < 0) {
      if (::waitpid(process_.pid, nullptr, WNOHANG) != 0 || std::chrono::steady_clock::now() > end)
        throw std::runtime_error{"QEMU did not start: " + complaints()};
      std::this_thread::sleep_for(2ms);
    }
    monitor_ = std::make_unique<monitor>(monitor_socket(false), 30s);
  } catch (...) {
    ::kill(process_.pid, SIGKILL);
    ::waitpid(process_.pid, nullptr, 0);
    ::close(process_.pidfd);
    if (console_ >= 0)
      ::close(console_);
    throw;
  }
  listener_ = std::jthread{[this](std::stop_token stop) { listen(std::move(stop)); }};
}

bench_machine::~bench_machine() {
  listener_.request_stop();
  ::shutdown(console_, SHUT_RDWR);
  listener_.join();
  ::kill(process_.pid, SIGKILL);
  ::waitpid(process_.pid, nullptr, 0);
  ::close(process_.pidfd);
  ::close(console_);
}

std::filesystem::path bench_machine::monitor_socket(bool engine) const {
  return order_.directory / (order_.name + (engine ? ".engine" : ".bench"));
}

double bench_machine::cpu_seconds() const {
  const auto text = host::read_file(fmt::format("/proc/{}/stat", process_.pid)).value_or("");
  // The name may have anything in it; user and system time are the 12th and 13th word behind it.
  auto words = std::istringstream{text.substr(std::min(text.size(), text.rfind(')') + 2))};
  auto skipped = std::string{};
  for (auto i = 0; i < 11; ++i)
    words >> skipped;
  auto user = 0.0;
  auto system = 0.0;
  words >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::string bench_machine::status() {
  return nlohmann::json::parse(words().ask("query-status")).value("status", "");
}

bool bench_machine::is_dead() const {
  auto x = pollfd{process_.pidfd, POLLIN, 0};
  return ::poll(&x, 1, 0) > 0;
}

void bench_machine::await_status(std::string_view wanted, std::chrono::seconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (status() != wanted) {
    if (std::chrono::steady_clock::now() > end)
      throw std::runtime_error{
          fmt::format("the bench's machine {} did not become {}: {}", order_.name, wanted, complaints())};
    std::this_thread::sleep_for(1ms);
  }
}

std::vector<guest_count> bench_machine::counts() const {
  const auto lock = std::lock_guard{mutex_};
  return counts_;
}

void bench_machine::await_counts(std::size_t more, std::chrono::seconds patience) {
  const auto wanted = counts().size() + more;
  await([&] { return counts_.size() >= wanted; }, patience, "counted");
}

void bench_machine::complete_line(const std::string& half) {
  const auto lock = std::lock_guard{mutex_};
  if (half.empty())
    return;
  if (!begun_)
    rest_ = half + rest_;
  else if (first_)
    if (const auto x = read_count(half + first_->text, first_->heard))
      counts_.insert(counts_.begin(), *x);
}

std::string bench_machine::half_line() const {
  const auto lock = std::lock_guard{mutex_};
  return rest_;
}

guest_sum bench_machine::ask_sum(std::chrono::seconds patience) {
  if (::send(console_, "sum\n", 4, MSG_NOSIGNAL) != 4)
    throw std::runtime_error{"the bench's guest cannot be asked"};
  await([&] { return sum_.has_value(); }, patience, "said whether its memory is whole");
  const auto lock = std::lock_guard{mutex_};
  return *std::exchange(sum_, {});
}

template <class Found>
void bench_machine::await(Found found, std::chrono::seconds patience, const char* what) const {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    {
      const auto lock = std::lock_guard{mutex_};
      if (found())
        return;
    }
    if (std::chrono::steady_clock::now() > end)
      throw std::runtime_error{fmt::format("the bench's guest in {} has not {} in {} s: {}", order_.name, what,
                                           patience.count(), complaints())};
    std::this_thread::sleep_for(5ms);
  }
}

void bench_machine::listen(std::stop_token stop) {
  auto block = std::array<char, 4096>{};
  while (!stop.stop_requested()) {
    const auto count = ::recv(console_, block.data(), block.size(), 0);
    if (count <= 0)
      return;
    const auto lock = std::lock_guard{mutex_};
    rest_.append(block.data(), static_cast<std::size_t>(count));
    for (auto feed = rest_.find('\n'); feed != rest_.npos; feed = rest_.find('\n')) {
      auto line = rest_.substr(0, feed);
      rest_.erase(0, feed + 1);
      if (!line.empty() && line.back() == '\r')
        line.pop_back();
      hear(line);
    }
  }
}

void bench_machine::hear(const std::string& line) {
  const auto now = std::chrono::steady_clock::now();
  const auto x = read_count(line, now);
  if (x)
    counts_.push_back(*x);
  else if (!begun_)
    first_ = {line, now};
  begun_ = true;
  if (const auto sum = read_sum(line))
    sum_ = sum;
}

std::string bench_machine::complaints() const {
  return host::read_file(order_.directory / (order_.name + ".err")).value_or("");
}

} // namespace novacron::migration
