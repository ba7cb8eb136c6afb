#pragma once

/// Two hosts, this one and another that publishes an actor, in three forms: the virtual world, real processes with a
/// wire that can be cut, and CAF's own BASP on the network that its authors test it with.

#include "spec/twin/far_actor.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace twin {

/// What happened here, in words; written by actors, read by the story.
class account {
public:
  void say(std::string text) {
    const auto lock = std::lock_guard{guard_};
    words_.push_back(std::move(text));
  }
  std::size_t size() const {
    const auto lock = std::lock_guard{guard_};
    return words_.size();
  }
  std::vector<std::string> words() const {
    const auto lock = std::lock_guard{guard_};
    return words_;
  }

private:
  mutable std::mutex guard_;
  std::vector<std::string> words_;
};

/// Done by an actor, on its host.
using deed = std::function<void(caf::event_based_actor*)>;

class two_hosts {
public:
  virtual ~two_hosts() = default;
  /// An actor here, that keeps the account and does what it is told.
  virtual caf::actor near_one() = 0;
  /// A handle to what the other host publishes, if it can be reached.
  virtual std::optional<caf::actor> connect() = 0;
  /// The process of the other host ends without a word.
  virtual void kill_other() = 0;
  /// Another process publishes the same at the same place.
  virtual void start_other() = 0;
  /// Whether hosts of this form live through time, so that silence means something and wires can be cut.
  virtual bool has_time() const = 0;
  virtual void cut() = 0;
  virtual void heal() = 0;
  /// Goes on until it is so, at most ten seconds of the hosts' time.
  virtual void wait(const std::function<bool()>& until) = 0;
  virtual void pass(std::chrono::milliseconds time) = 0;

  std::shared_ptr<account> told = std::make_shared<account>();
};

/// The actor of near_one().
caf::actor spawn_near(caf::actor_system& system, std::shared_ptr<account> told);
void let(const caf::actor& near, deed what);

std::unique_ptr<two_hosts> in_the_virtual_world();
std::unique_ptr<two_hosts> as_processes();
std::unique_ptr<two_hosts> on_the_test_multiplexer();

} // namespace twin
