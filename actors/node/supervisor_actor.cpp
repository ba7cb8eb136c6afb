#include "actors/node/supervisor_actor.hpp"

#include "actors/host/log.hpp"

namespace novacron::node {

/// The supervisor's reminder to start a room again. It never leaves the process.
struct start_again {
  std::size_t which = 0;
};

} // namespace novacron::node

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::start_again)

namespace novacron::node {
namespace {

struct kept_room {
  room plan;
  directory::post_ptr address;
  caf::actor running;
  intensity failures;
  post::condition how;
};

struct state {
  static inline const char* name = "supervisor";
  std::vector<kept_room> rooms;
};

using pointer = caf::stateful_actor<state>*;

void start(pointer self, kept_room& room) {
  try {
    room.running = room.plan.start();
  } catch (const std::exception& problem) {
    room.how.state = "failed";
    room.how.last_failure = problem.what();
    room.address->describe(room.how);
    host::log_error("supervisor", "{} cannot start: {}", room.plan.title, problem.what());
    throw;
  }
  self->monitor(room.running);
  room.how.state = "running";
  room.address->describe(room.how);
  room.address->aim(caf::actor_cast<caf::strong_actor_ptr>(room.running));
}

void mourn(pointer self, std::size_t which, const std::string& why) {
  auto& room = self->state.rooms[which];
  room.address->aim(nullptr);
  room.running = nullptr;
  const auto pause = room.failures.failed(self->clock().now());
  ++room.how.restarts;
  room.how.state = room.failures.exhausted() ? "failed" : "restarting";
  room.how.last_failure = why;
  room.address->describe(room.how);
  host::log_error("supervisor", "{} failed: {}; starting it again in {} ms", room.plan.title, why,
                  std::chrono::duration_cast<std::chrono::milliseconds>(pause).count());
  self->delayed_send(self, pause, start_again{which});
  for (const auto& other : self->state.rooms)
    if (other.plan.needs == room.plan.title && other.running)
      self->send_exit(other.running, caf::exit_reason::user_shutdown);
}

void on_down(pointer self, const caf::down_msg& news) {
  auto& rooms = self->state.rooms;
  for (std::size_t i = 0; i < rooms.size(); ++i)
    if (rooms[i].running && rooms[i].running.address() == news.source)
      return mourn(self, i, self->system().render(news.reason));
}

void end_all(pointer self, const caf::exit_msg& order) {
  auto& rooms = self->state.rooms;
  for (auto room = rooms.rbegin(); room != rooms.rend(); ++room) {
    room->address->aim(nullptr);
    if (room->running)
      self->send_exit(room->running, caf::exit_reason::user_shutdown);
  }
  self->quit(order.reason);
}

caf::behavior supervise(pointer self, directory* names, std::vector<room> rooms, intensity_config limits) {
  for (auto& plan : rooms) {
    auto address = names->open(plan.title);
    self->state.rooms.push_back({std::move(plan), std::move(address), nullptr, intensity{limits}, {}});
  }
  self->set_down_handler([=](const caf::down_msg& news) { on_down(self, news); });
  self->set_exit_handler([=](const caf::exit_msg& order) { end_all(self, order); });
  for (auto& room : self->state.rooms)
    start(self, room);
  return {
    [=](start_again x) {
      try {
        start(self, self->state.rooms[x.which]);
      } catch (const std::exception& problem) {
        mourn(self, x.which, problem.what());
      }
    },
  };
}

} // namespace

caf::actor spawn_supervisor(caf::actor_system& system, directory& names, std::vector<room> rooms,
                            intensity_config limits) {
  return system.spawn(supervise, &names, std::move(rooms), limits);
}

} // namespace novacron::node
