#include "actors/state/voter_group.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <stdexcept>
#include <thread>

namespace novacron::ledger {
namespace {

using monotonic = std::chrono::steady_clock;
using namespace std::chrono_literals;

std::string free_address() {
  const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = sockaddr_in{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto size = socklen_t{sizeof address};
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

template <class T, class Begin>
answer<T> wait_for(duration limit, Begin begin) {
  auto promised = std::make_shared<std::promise<answer<T>>>();
  auto future = promised->get_future();
  begin([promised](answer<T> x) { promised->set_value(std::move(x)); });
  if (future.wait_for(limit) == std::future_status::ready)
    return future.get();
  auto late = answer<T>{};
  late.kind = fault::timeout;
  late.text = "no answer in time";
  return late;
}

} // namespace

wire::LedgerCommand put(const std::string& key, const std::string& value) {
  auto command = wire::LedgerCommand{};
  command.set_version(1);
  auto& op = *command.add_ops();
  op.set_key(key);
  op.set_value(value);
  return command;
}

voter_group::voter_group(config settings) : settings_{std::move(settings)} {
  processes_.resize(settings_.count);
  for (auto i = std::size_t{0}; i < settings_.count; ++i) {
    addresses_.push_back(free_address());
    std::filesystem::create_directories(home(i));
    clients_.push_back(std::make_unique<client>(client::config{.socket = options(i).socket, .patience = 1s, .resend = false}));
  }
}

voter_group::~voter_group() {
  for (auto i = std::size_t{0}; i < settings_.count; ++i) {
    kill(i, SIGKILL);
    reap(i);
  }
}

std::filesystem::path voter_group::home(std::size_t voter) const { return settings_.directory / name(voter); }

server_options voter_group::options(std::size_t voter) const {
  auto o = settings_.server;
  o.node = name(voter);
  o.address = addresses_[voter];
  o.directory = home(voter) / "ledger";
  o.socket = home(voter) / "ledger.sock";
  o.trust = settings_.trust.empty() ? std::filesystem::path{} : settings_.trust / name(voter);
  o.bootstrap = voter == 0;
  return o;
}

void voter_group::start(std::size_t voter) {
  auto argv = settings_.program;
  for (auto& text : arguments_of(options(voter)))
    argv.push_back(std::move(text));
  processes_[voter] = host::start({.argv = std::move(argv), .err = 2, .dies_with_us = true});
}

void voter_group::start_all() {
  for (auto i = std::size_t{0}; i < settings_.count; ++i)
    start(i);
  if (!leader(10s))
    throw std::runtime_error{"the first voter does not lead"};
  for (auto i = std::size_t{1}; i < settings_.count; ++i)
    if (const auto added = add(i, 10s); !added.ok)
      throw std::runtime_error{"cannot add " + name(i) + ": " + added.text};
}

void voter_group::kill(std::size_t voter, int signal) {
  if (processes_[voter])
    ::kill(processes_[voter]->pid, signal);
}

void voter_group::reap(std::size_t voter) {
  if (!processes_[voter])
    return;
  ::waitpid(processes_[voter]->pid, nullptr, 0);
  ::close(processes_[voter]->pidfd);
  processes_[voter].reset();
}

wire::LedgerStatus voter_group::status(std::size_t voter, duration limit) {
  return wait_for<wire::LedgerStatus>(limit, [&](auto told) { of(voter).status(std::move(told)); }).value;
}

std::optional<std::size_t> voter_group::leader(duration limit) {
  for (const auto end = monotonic::now() + limit; monotonic::now() < end; std::this_thread::sleep_for(5ms))
    for (auto i = std::size_t{0}; i < settings_.count; ++i)
      if (running(i) && status(i, 200ms).leader() == name(i))
        return i;
  return {};
}

answer<wire::LedgerApplied> voter_group::add(std::size_t voter, duration limit) {
  auto what = wire::LedgerAdd{};
  what.set_node(name(voter));
  what.set_address(addresses_[voter]);
  auto last = answer<wire::LedgerApplied>{};
  for (const auto end = monotonic::now() + limit; monotonic::now() < end; std::this_thread::sleep_for(20ms)) {
    const auto asked = leader(end - monotonic::now());
    if (!asked)
      break;
    last = wait_for<wire::LedgerApplied>(end - monotonic::now(), [&](auto told) { of(*asked).add(what, std::move(told)); });
    if (last.ok)
      break;
  }
  return last;
}

namespace {

/// Goes from voter to voter until one answers for good.
template <class T, class Begin>
answer<T> ask_around(std::size_t count, duration limit, std::size_t& hint, Begin begin) {
  auto last = answer<T>{};
  last.kind = fault::timeout;
  for (const auto end = monotonic::now() + limit; monotonic::now() < end;) {
    last = wait_for<T>(std::min<duration>(1s, end - monotonic::now()), [&](auto told) { begin(hint % count, std::move(told)); });
    const auto elsewhere = last.kind == fault::not_leader || last.kind == fault::unavailable ||
                           last.kind == fault::unreachable || last.kind == fault::timeout;
    if (last.ok || !elsewhere)
      return last;
    ++hint;
    std::this_thread::sleep_for(5ms);
  }
  return last;
}

} // namespace

answer<wire::LedgerApplied> voter_group::propose(wire::LedgerCommand command, duration limit, std::size_t& hint) {
  if (command.client().empty()) {
    // One name per thread, so that its commands are one sequence.
    thread_local const auto own = "group-" + std::to_string(std::hash<std::thread::id>{}(std::this_thread::get_id())) + "-" +
                                  std::to_string(monotonic::now().time_since_epoch().count());
    thread_local auto sequence = std::uint64_t{0};
    command.set_client(own);
    command.set_sequence(++sequence);
  }
  return ask_around<wire::LedgerApplied>(settings_.count, limit, hint,
                                         [&](std::size_t i, auto told) { of(i).propose(command, std::move(told)); });
}

answer<wire::LedgerEntries> voter_group::read(const std::string& key, duration limit, std::size_t& hint) {
  auto what = wire::LedgerRead{};
  what.set_prefix(key);
  what.set_linearizable(true);
  return ask_around<wire::LedgerEntries>(settings_.count, limit, hint,
                                         [&](std::size_t i, auto told) { of(i).read(what, std::move(told)); });
}

} // namespace novacron::ledger
