#pragma once

/// A stage on which actors play by a clock that only the spec moves.

#include "messages/language.hpp"
#include "messages/registry.hpp"

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <memory>
#include <string>

namespace novacron::spec {

/// A question on its way, and what came of it.
template <class Answer>
struct pending {
  bool over = false;
  Answer answer;
  novacron::fault fault = novacron::fault::unspecified;
  std::string why;
};

struct stage_config : caf::actor_system_config {
  stage_config() {
    add_language(*this);
    set("scheduler.policy", caf::atom("testing"));
    set("logger.verbosity", caf::atom("quiet"));
  }
};

class stage {
  stage_config config_;

public:
  caf::actor_system system{config_};
  caf::scoped_actor audience{system};

  stage() { system.await_actors_before_shutdown(false); }

  /// The curtain falls: whoever still waits for a later time waits no more.
  ~stage() { director().clock().cancel_all(); }

  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;

  caf::actor_clock::time_point now() { return director().clock().now(); }

  /// Lets every actor finish what it has to do now.
  void settle() {
    while (director().try_run_once())
      ;
  }

  /// Moves the clock on by `length`, in steps, and lets everybody keep up.
  void pass(caf::timespan length, caf::timespan step = std::chrono::seconds{1}) {
    settle();
    for (auto passed = caf::timespan{0}; passed < length; passed += step) {
      director().advance_time(std::min(step, length - passed));
      settle();
    }
  }

  /// How far the clock was moved.
  caf::timespan elapsed() { return director().clock().now().time_since_epoch(); }

  /// Asks `whom` and returns its answer; the clock does not move.
  template <class Answer, class Whom, class... Question>
  caf::expected<Answer> ask(const Whom& whom, const Question&... question) {
    auto request = audience->request(whom, caf::infinite, question...);
    settle();
    caf::expected<Answer> answer{caf::error{}};
    request.receive([&](Answer& x) { answer = std::move(x); }, [&](caf::error& x) { answer = std::move(x); });
    return answer;
  }

  /// Asks `whom` and waits for nothing.
  template <class Answer, class Whom, class Question>
  std::shared_ptr<pending<Answer>> begin_to_ask(const Whom& whom, const Question& question) {
    auto result = std::make_shared<pending<Answer>>();
    system.spawn([=](caf::event_based_actor* self) {
      self->request(caf::actor_cast<caf::actor>(whom), caf::infinite, question)
          .then(
              [=](const Answer& x) {
                result->over = true;
                result->answer = x;
              },
              [=](caf::error& e) {
                result->over = true;
                result->fault = explain(e).kind;
                result->why = explain(e).text;
              });
    });
    settle();
    return result;
  }

private:
  caf::scheduler::test_coordinator& director() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  }
};

} // namespace novacron::spec
