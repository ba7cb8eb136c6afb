#include "spec/twin/two_hosts.hpp"

namespace twin {

struct errand {
  deed what;
};

} // namespace twin

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(twin::errand)

namespace twin {
namespace {

caf::behavior near_actor(caf::event_based_actor* self, std::shared_ptr<account> told) {
  self->set_down_handler([=](const caf::down_msg& x) {
    told->say(x.reason == caf::exit_reason::user_shutdown             ? "it ended"
              : x.reason == caf::exit_reason::remote_link_unreachable ? "its host is gone"
                                                                      : "it ended in another way");
  });
  return {
      [=](const errand& x) { x.what(self); },
      [=](const novacron::wire::Beat& x) { told->say("told " + std::to_string(x.number())); },
  };
}

} // namespace

caf::actor spawn_near(caf::actor_system& system, std::shared_ptr<account> told) {
  return system.spawn(near_actor, std::move(told));
}

void let(const caf::actor& near, deed what) {
  caf::anon_send(near, errand{std::move(what)});
}

} // namespace twin
