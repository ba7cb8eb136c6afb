#include "actors/workload/bench_start.hpp"

#include "actors/host/log.hpp"
#include "messages/language.hpp"

#include <caf/scoped_actor.hpp>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

double at(std::vector<double> values, double part) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(static_cast<double>(values.size() - 1) * part)];
}

template <class Answer, class Question>
Answer ask(caf::scoped_actor& self, const agent_actor& agent, std::chrono::seconds limit, const Question& x) {
  auto answer = Answer{};
  self->request(agent, limit, x)
      .receive([&](const Answer& y) { answer = y; },
               [](const caf::error& e) { throw std::runtime_error{explain(e).text}; });
  return answer;
}

} // namespace

bench_node::bench_node(const fs::path& scratch, patience limits) : limits_{limits} {
  auto pattern = (scratch / "novacron-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw std::runtime_error{"cannot make a directory below " + scratch.string()};
  top_ = fs::canonical(pattern);
}

bench_node::~bench_node() {
  // What it runs outlives its agent, and would be left by a bench that threw.
  try {
    if (agent_)
      clear();
  } catch (const std::exception& problem) {
    host::log_warn("bench", "what was started below {} may run on: {}", top_.string(), problem.what());
  }
  if (agent_)
    caf::anon_send_exit(agent_, caf::exit_reason::user_shutdown);
  agent_ = agent_actor{};
  system_.reset();
  driver_.reset();
  auto error = std::error_code{};
  fs::remove_all(top_, error);
}

void bench_node::begin(std::shared_ptr<workload::driver> driver, const fs::path& root) {
  add_language(settings_);
  system_ = std::make_unique<caf::actor_system>(settings_);
  driver_ = std::move(driver);
  agent_ = spawn_agent(*system_, {.node = "bench", .data = data()}, driver_, access_to(root), {});
}

wire::Assign bench_node::order() {
  auto x = wire::Assign{};
  x.set_node("bench");
  x.set_revision(++revision_);
  return x;
}

void bench_node::want(const wire::WorkloadSpec& spec, int count) {
  auto wanted = order();
  for (auto i = 0; i < count; ++i) {
    auto& one = *wanted.add_instances();
    one.set_name(name_of(i));
    one.set_workload("start");
    one.set_epoch(revision_);
    one.set_node("bench");
    *one.mutable_spec() = spec;
  }
  caf::anon_send(agent_, wanted);
}

double bench_node::start_many(const wire::WorkloadSpec& spec, int count, const std::string& greeting) {
  auto self = caf::scoped_actor{*system_};
  const auto begin = clock::now();
  want(spec, count);
  for (auto i = 0; i < count; ++i)
    await_output(self, i, greeting);
  const auto took = std::chrono::duration<double>{clock::now() - begin}.count();
  const auto report = ask<wire::NodeReport>(self, agent_, limits_.answer, wire::ReportRequest{});
  for (const auto& each : report.instances())
    if (each.restarts() > 0)
      throw std::runtime_error{each.name() + " had to be started again: " + each.reason()};
  return took;
}

void bench_node::await_output(caf::scoped_actor& self, int ordinal, const std::string& greeting) {
  auto output = wire::LogRequest{};
  output.set_instance(name_of(ordinal));
  output.set_wait_ms(static_cast<std::uint64_t>(std::chrono::milliseconds{limits_.output}.count()));
  auto said = std::string{};
  while (said.find(greeting) == said.npos) {
    const auto chunk = ask<wire::LogChunk>(self, agent_, limits_.answer, output);
    if (chunk.data().empty()) {
      const auto report = ask<wire::NodeReport>(self, agent_, limits_.answer, wire::ReportRequest{});
      throw std::runtime_error{"the instance did not say what it should: " + report.ShortDebugString()};
    }
    said += chunk.data();
    output.set_offset(chunk.next_offset());
  }
}

void bench_node::clear() {
  auto self = caf::scoped_actor{*system_};
  ask<wire::Done>(self, agent_, limits_.answer, order());
  const auto deadline = clock::now() + limits_.answer;
  while (!ask<wire::NodeReport>(self, agent_, limits_.answer, wire::ReportRequest{}).instances().empty()) {
    if (clock::now() > deadline)
      throw std::runtime_error{"what was started does not end"};
    std::this_thread::sleep_for(limits_.step);
  }
}

double bench_node::call(const std::string& greeting) {
  auto self = caf::scoped_actor{*system_};
  auto question = wire::CallInstance{};
  question.set_instance("start.0");
  const auto begin = clock::now();
  const auto answer = ask<wire::Invoked>(self, agent_, limits_.answer, question);
  const auto took = std::chrono::duration<double>{clock::now() - begin}.count();
  if (answer.body() != greeting)
    throw std::runtime_error{"the function did not answer what it should: " + answer.ShortDebugString()};
  return took;
}

double bench_node::start_function(const wire::WorkloadSpec& spec) {
  auto self = caf::scoped_actor{*system_};
  const auto begin = clock::now();
  want(spec);
  auto question = wire::CallInstance{};
  question.set_instance("start.0");
  for (auto over = false; !over; std::this_thread::sleep_for(over ? limits_.step * 0 : limits_.step)) {
    // Until it takes calls it says that it has not begun this one.
    self->request(agent_, limits_.answer, question)
        .receive(
            [&](const wire::Invoked& x) {
              over = true;
              if (!x.problem().empty())
                throw std::runtime_error{"the function failed: " + x.problem()};
            },
            [&](const caf::error& e) {
              const auto why = explain(e);
              if ((why.kind != fault::conflict && why.kind != fault::not_found) ||
                  clock::now() - begin > limits_.output)
                throw std::runtime_error{why.text};
            });
  }
  return std::chrono::duration<double>{clock::now() - begin}.count();
}

double bench_node::start(const wire::WorkloadSpec& spec, const std::string& greeting,
                         const std::function<void()>& keep) {
  auto self = caf::scoped_actor{*system_};
  const auto begin = clock::now();
  want(spec);
  await_output(self, 0, greeting);
  const auto took = std::chrono::duration<double>{clock::now() - begin}.count();
  keep();
  clear();
  return took;
}

bench_pipe::bench_pipe() {
  if (::pipe2(ends_.data(), O_CLOEXEC) != 0)
    throw std::runtime_error{"cannot make a pipe"};
}

bench_pipe::~bench_pipe() {
  for (const auto each : ends_)
    if (each >= 0)
      ::close(each);
}

bool bench_pipe::says(const std::string& greeting, std::chrono::milliseconds limit) {
  // With our copy of the program's end open, its end could not be seen.
  ::close(std::exchange(ends_[1], -1));
  auto said = std::string{};
  auto block = std::array<char, 4096>{};
  while (said.find(greeting) == said.npos) {
    auto ready = pollfd{ends_[0], POLLIN, 0};
    const auto count =
        ::poll(&ready, 1, static_cast<int>(limit.count())) == 1 ? ::read(ends_[0], block.data(), block.size()) : 0;
    if (count <= 0)
      return false;
    said.append(block.data(), static_cast<std::size_t>(count));
  }
  return true;
}

std::map<std::string, bench_figure> compare_starts(int rounds, const std::string& peer,
                                                   const std::function<double()>& ours,
                                                   const std::function<double()>& theirs) {
  ours();
  theirs();
  auto own_all = std::vector<double>{};
  auto peer_all = std::vector<double>{};
  for (auto i = 0; i < rounds; ++i) {
    own_all.push_back(ours());
    peer_all.push_back(theirs());
  }
  const auto figure = [&](double part) {
    const auto own_value = at(own_all, part);
    const auto peer_value = at(peer_all, part);
    return bench_figure{own_value, "s", peer, peer_value, own_value / peer_value};
  };
  auto overhead = figure(0.5);
  overhead.value -= overhead.peer_value;
  auto found = std::map<std::string, bench_figure>{
      {"start_p50", figure(0.5)}, {"start_p95", figure(0.95)}, {"overhead_p50", overhead}};
  if (rounds >= 100)
    found.emplace("start_p99", figure(0.99));
  return found;
}

} // namespace novacron::workload
