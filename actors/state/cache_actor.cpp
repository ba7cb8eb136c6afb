#include "actors/state/cache_actor.hpp"

#include <caf/all.hpp>

namespace novacron::cache {

/// An answer of Redis, brought from its thread. It never leaves the process.
struct arrived {
  std::uint64_t id = 0;
  redis::reply reply;
};

} // namespace novacron::cache

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::cache::arrived)

namespace novacron::cache {
namespace {

using inner = cache_actor::extend<caf::reacts_to<arrived>>;

struct state {
  static inline const char* name = "cache";
  std::unique_ptr<embedded> inside;
  std::unique_ptr<redis> outside;
  /// What to do with the answer to each call that is on its way; the actor's own deadline is the connection's.
  std::map<std::uint64_t, std::function<void(redis::reply)>> open;
  std::uint64_t last_call = 0;
  wire::CacheStatus counts;
};

using pointer = inner::stateful_pointer<state>;

wire::CacheValue count(wire::CacheStatus& counts, const found& x) {
  auto value = wire::CacheValue{};
  value.set_found(x.what.has_value());
  value.set_stale(x.stale);
  if (x.what) {
    value.set_value(x.what->value);
    value.set_index(x.what->index);
  }
  counts.set_hits(counts.hits() + (x.what ? 1 : 0));
  counts.set_misses(counts.misses() + (x.what ? 0 : 1));
  counts.set_stale(counts.stale() + (x.stale ? 1 : 0));
  return value;
}

/// A callback for Redis' thread, which brings the answer into a turn of the actor.
std::function<void(redis::reply)> expect(pointer self, std::function<void(redis::reply)> react) {
  const auto id = ++self->state.last_call;
  self->state.open.emplace(id, std::move(react));
  return [id, address = caf::actor_cast<caf::actor_addr>(self)](redis::reply reply) {
    if (const auto here = caf::actor_cast<inner>(address))
      caf::anon_send(here, arrived{id, std::move(reply)});
  };
}

caf::result<wire::CacheValue> get(pointer self, const wire::CacheGet& x) {
  auto& s = self->state;
  if (s.inside)
    return count(s.counts, s.inside->get(x.key(), x.index_min(), self->clock().now()));
  auto promise = self->make_response_promise<wire::CacheValue>();
  s.outside->get(x.key(), x.index_min(), expect(self, [self, promise](redis::reply reply) mutable {
                   promise.deliver(count(self->state.counts, reply.what));
                 }));
  return promise;
}

std::function<void(redis::reply)> done_later(pointer self, caf::typed_response_promise<wire::Done> promise) {
  // A put that was lost is as good as one that vanished at once: it is counted, not an error.
  return expect(self, [promise](redis::reply) mutable { promise.deliver(wire::Done{}); });
}

caf::result<wire::Done> put(pointer self, const wire::CachePut& x) {
  auto& s = self->state;
  auto what = item{x.value(), x.index()};
  const auto life = std::chrono::milliseconds{x.life_ms()};
  if (s.inside) {
    s.inside->put(x.key(), std::move(what), life, self->clock().now());
    return wire::Done{};
  }
  auto promise = self->make_response_promise<wire::Done>();
  s.outside->put(x.key(), what, life, done_later(self, promise));
  return promise;
}

caf::result<wire::Done> erase(pointer self, const wire::CacheErase& x) {
  auto& s = self->state;
  if (s.inside) {
    s.inside->erase(x.key());
    return wire::Done{};
  }
  auto promise = self->make_response_promise<wire::Done>();
  s.outside->erase(x.key(), done_later(self, promise));
  return promise;
}

inner::behavior_type behave(pointer self, config settings) {
  if (settings.outside.address.empty())
    self->state.inside = std::make_unique<embedded>(settings.inside);
  else
    self->state.outside = std::make_unique<redis>(settings.outside);
  return {
      [=](const wire::CacheGet& x) { return get(self, x); },
      [=](const wire::CachePut& x) { return put(self, x); },
      [=](const wire::CacheErase& x) { return erase(self, x); },
      [=](const wire::CacheStatusRequest&) {
        auto status = self->state.counts;
        status.set_kind(self->state.inside ? "embedded" : "redis");
        status.set_reachable(self->state.inside || self->state.outside->reachable());
        status.set_redials(self->state.inside ? 0 : self->state.outside->redials());
        return status;
      },
      [=](const arrived& x) {
        auto call = self->state.open.extract(x.id);
        if (!call)
          return;
        self->state.counts.set_failures(self->state.counts.failures() + (x.reply.failed ? 1 : 0));
        call.mapped()(x.reply);
      },
  };
}

} // namespace

cache_actor spawn_cache(caf::actor_system& system, config settings) { return system.spawn(behave, std::move(settings)); }

} // namespace novacron::cache
