#pragma once

/// What the actor of an instance keeps, for the files that it is made of.

#include "actors/workload/call_frames.hpp"
#include "actors/workload/health.hpp"
#include "actors/workload/instance_actor.hpp"
#include "actors/workload/restart_policy.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace novacron::workload {

struct log_reader {
  caf::typed_response_promise<wire::LogChunk> promise;
  wire::LogRequest request;
  std::uint64_t number = 0;
};

struct exec_state {
  std::shared_ptr<exec_process> process;
  std::string input;
  bool input_ended = false;
  instant used;
  std::optional<caf::typed_response_promise<wire::ExecOutput>> waiting;
  std::uint64_t wait = 0;
};

/// One usher inside the instance of a function, and the call that it has.
struct lane_state {
  /// Null until it was started.
  std::shared_ptr<exec_process> process;
  lane_reader reader;
  std::string input;
  bool ready = false;
  std::optional<caf::typed_response_promise<wire::Invoked>> promise;
  /// The body of a call that waits for the usher.
  std::string body;
  /// The usher was given the call.
  bool given = false;
  std::uint64_t call = 0;
  instant began;
};

struct instance_state {
  static inline const char* name = "instance";

  instance_order order;
  wire::Instance what;
  wire::InstanceStatus status;
  std::optional<restart_policy> policy;
  std::optional<health> check;
  std::string unhealthy;
  instant run_started;
  /// Rises with each run, so that timers of an earlier one are known.
  std::uint64_t run = 0;
  std::uint64_t run_count = 0;
  /// The run in another format that shall take over from the one that there is, while it is made; 0 for none.
  std::uint64_t next_run = 0;
  /// How they ended, before it was known which of the two goes on.
  std::optional<ended> ended_meanwhile;
  std::optional<ended> next_ended;
  /// A start is under way or something runs.
  bool busy = false;
  bool prepared = false;
  /// Its guest is on the way to another node, or it is not known yet where it went.
  bool moves = false;
  /// The last move that was tried from here: each is tried once.
  std::string tried;
  /// Why the guest that was to come does not; empty while it may.
  std::string failed_to_come;
  /// How its machine ended meanwhile. It must not be started again before that is known.
  std::optional<ended> over_on_the_way;
  /// It is being written down as a checkpoint.
  bool writes = false;
  /// Who waits for it to run from a checkpoint again, since when, and from which.
  std::optional<caf::typed_response_promise<wire::Restored>> restoring;
  instant restore_began;
  std::string restore_from;
  /// How it is could not be written down.
  bool unwritten = false;
  enum class goal { run, restart, park, remove } aim = goal::run;
  std::list<log_reader> readers;
  std::uint64_t reader_count = 0;
  std::shared_ptr<void> output;
  std::shared_ptr<std::atomic<bool>> output_told = std::make_shared<std::atomic<bool>>(false);
  std::map<std::string, exec_state> sessions;
  std::uint64_t session_count = 0;
  std::map<std::uint64_t, lane_state> lanes;
  std::uint64_t lane_count = 0;
  std::uint64_t call_count = 0;
  /// What waits until no call is under way.
  std::function<void()> after_calls;
  instant figures_at;
};

using instance_self = instance_actor::stateful_pointer<instance_state>;

/// Runs `work` on the actor's thread, whatever thread this is called on.
inline std::function<void(std::function<void()>)> turn_of(instance_self self) {
  const auto weak = caf::actor_cast<caf::weak_actor_ptr>(self->address());
  return [weak](std::function<void()> work) {
    if (const auto strong = caf::actor_cast<caf::strong_actor_ptr>(weak))
      caf::anon_send(caf::actor_cast<instance_actor>(strong), turn{std::move(work)});
  };
}

/// Says how it is now, and writes it down. In instance_actor.cpp, as those below.
void enter(instance_self self, wire::Phase phase, const std::string& reason);
void tell(instance_self self, bool urgent, bool gone = false);
void write_down(instance_self self);
/// Begins anew, as nothing runs.
void start(instance_self self);
/// What runs now, by a start or because it was taken over.
void took_off(instance_self self, const running& now);
/// Asks what runs to end, and makes it end when its grace is over.
void end_run(instance_self self, const std::string& reason);
/// A run has ended.
void run_over(instance_self self, const ended& how);
/// What runs has come up, or is its own now: its health is looked at from now on.
void begin_checks(instance_self self);

inline void later(instance_self self, duration delay, std::function<void()> work) {
  self->delayed_send(self, delay, turn{std::move(work)});
}

} // namespace novacron::workload
