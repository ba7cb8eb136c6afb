#include "actors/node/compass_actor.hpp"

namespace novacron::node {
namespace {

constexpr auto pause = std::chrono::milliseconds{200};
constexpr auto patience = std::chrono::seconds{5};

using self_actor = ledger_watcher::extend<caf::reacts_to<caf::tick_atom>>;

struct state {
  static inline const char* name = "compass";
};

void watch(self_actor::stateful_pointer<state> self, const ledger_actor& ledger) {
  auto wish = wire::LedgerWatch{};
  // Nothing is kept there: only the news of leadership matters.
  wish.set_prefix("leader/");
  const auto me = caf::actor_cast<ledger_watcher>(caf::strong_actor_ptr{self->ctrl()});
  self->request(ledger, patience, wish, me)
    .then([](const wire::LedgerEntries&) {}, [=](caf::error&) { self->delayed_send(self, pause, caf::tick_atom_v); });
}

self_actor::behavior_type compass(self_actor::stateful_pointer<state> self, ledger_actor ledger, directory* names) {
  watch(self, ledger);
  return {
    [](const wire::LedgerChanged&) {},
    [=](const wire::LedgerLed& x) { names->lead(x.leader()); },
    [=](caf::tick_atom) { watch(self, ledger); },
  };
}

} // namespace

caf::actor spawn_compass(caf::actor_system& system, ledger_actor ledger, directory& names) {
  return caf::actor_cast<caf::actor>(system.spawn(compass, std::move(ledger), &names));
}

} // namespace novacron::node
