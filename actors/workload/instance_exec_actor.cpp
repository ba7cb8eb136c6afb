#include "actors/workload/instance_exec_actor.hpp"

#include <signal.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

using namespace std::chrono_literals;

/// Exec sessions per instance, and how long one may be left alone.
constexpr std::size_t sessions_max = 32;
constexpr auto session_idle_max = 10min;

void feed(instance_self self, const std::string& id) {
  const auto found = self->state.sessions.find(id);
  if (found == self->state.sessions.end())
    return;
  auto& x = found->second;
  x.input.erase(0, x.process->write(x.input));
  if (!x.input.empty())
    return later(self, 10ms, [self, id] { feed(self, id); });
  if (std::exchange(x.input_ended, false))
    x.process->end_input();
}

wire::ExecOutput output_of(instance_self self, const std::string& id) {
  auto& x = self->state.sessions.at(id);
  auto now = x.process->take();
  auto answer = wire::ExecOutput{};
  answer.set_output(std::move(now.out));
  answer.set_errors(std::move(now.err));
  answer.set_exited(now.exited);
  answer.set_exit_code(now.code);
  return answer;
}

bool says_something(const wire::ExecOutput& x) {
  return !x.output().empty() || !x.errors().empty() || x.exited();
}

/// Answers whoever waits for output of a session; at the end of the wait with nothing if need be.
void answer_waiting(instance_self self, const std::string& id, std::uint64_t wait, bool time_over) {
  auto& s = self->state;
  const auto found = s.sessions.find(id);
  if (found == s.sessions.end() || !found->second.waiting || found->second.wait != wait)
    return;
  const auto answer = output_of(self, id);
  if (!says_something(answer) && !time_over)
    return;
  std::exchange(found->second.waiting, std::nullopt)->deliver(answer);
  if (answer.exited())
    s.sessions.erase(found);
}

} // namespace

caf::result<wire::ExecSession> open_session(instance_self self, const wire::ExecStart& x) {
  auto& s = self->state;
  if (x.command().empty())
    return caf::make_error(fault::bad_request, "there is no command to run");
  if (s.status.phase() != wire::PHASE_RUNNING)
    return caf::make_error(fault::conflict, s.what.name() + " does not run: " + s.status.reason());
  if (s.sessions.size() >= sessions_max)
    return caf::make_error(fault::overloaded, fmt::format("{} has {} sessions already", s.what.name(), sessions_max));
  auto order = exec_order{.command = {x.command().begin(), x.command().end()},
                          .env = {x.env().begin(), x.env().end()},
                          .terminal = x.terminal()};
  if (x.rows() > 0 && x.columns() > 0) {
    order.rows = static_cast<std::uint16_t>(x.rows());
    order.columns = static_cast<std::uint16_t>(x.columns());
  }
  auto promise = self->make_response_promise<wire::ExecSession>();
  s.order.driver->exec(s.what.name(), order,
                       [self, promise, go = turn_of(self)](outcome<std::shared_ptr<exec_process>> begun) {
                         go([self, promise, begun]() mutable {
                           auto& s = self->state;
                           if (!begun) {
                             promise.deliver(caf::make_error(begun.why().kind, begun.why().text));
                             return;
                           }
                           auto answer = wire::ExecSession{};
                           answer.set_session(fmt::format("{}_{}.{}", s.what.name(), s.run, ++s.session_count));
                           s.sessions[answer.session()] = {.process = *begun, .used = self->clock().now()};
                           promise.deliver(answer);
                         });
                       });
  return promise;
}

caf::result<wire::ExecOutput> exchange(instance_self self, const wire::ExecExchange& x) {
  auto& s = self->state;
  const auto found = s.sessions.find(x.session());
  if (found == s.sessions.end())
    return caf::make_error(fault::not_found, "there is no session " + x.session());
  auto& session = found->second;
  if (session.input.size() + x.input().size() > 4 << 20)
    return caf::make_error(fault::overloaded, "the process does not read its input");
  session.used = self->clock().now();
  session.input += x.input();
  session.input_ended = session.input_ended || x.input_ended();
  feed(self, x.session());
  if (x.rows() > 0 && x.columns() > 0)
    session.process->resize(static_cast<std::uint16_t>(x.rows()), static_cast<std::uint16_t>(x.columns()));
  if (x.signal() > 0 && x.signal() < 65)
    session.process->signal(x.signal());
  auto answer = output_of(self, x.session());
  if (x.close() || answer.exited()) {
    s.sessions.erase(found);
    return answer;
  }
  if (says_something(answer) || x.wait_ms() == 0)
    return answer;
  // A newer question takes the place of an older one.
  if (session.waiting)
    session.waiting->deliver(wire::ExecOutput{});
  session.waiting = self->make_response_promise<wire::ExecOutput>();
  const auto promise = *session.waiting;
  const auto wait = ++session.wait;
  session.process->when_ready([self, id = x.session(), wait, go = turn_of(self)] {
    go([self, id, wait] { answer_waiting(self, id, wait, false); });
  });
  later(self, std::chrono::milliseconds{std::min<std::uint64_t>(x.wait_ms(), 60'000)},
        [self, id = x.session(), wait] { answer_waiting(self, id, wait, true); });
  return promise;
}

void drop_idle_sessions(instance_self self) {
  std::erase_if(self->state.sessions, [&](const auto& x) {
    return !x.second.waiting && self->clock().now() - x.second.used > session_idle_max;
  });
}

void end_sessions(instance_self self) {
  auto& s = self->state;
  auto killed = wire::ExecOutput{};
  killed.set_exited(true);
  killed.set_exit_code(128 + SIGKILL);
  for (auto& [id, session] : s.sessions)
    if (session.waiting)
      session.waiting->deliver(killed);
  s.sessions.clear();
}

} // namespace novacron::workload
