#pragma once

/// What the other host publishes in every story.

#include "messages/registry.hpp"

#include <caf/all.hpp>

namespace twin {

inline novacron::wire::Beat beat(std::uint64_t number) {
  auto x = novacron::wire::Beat{};
  x.set_number(number);
  return x;
}

/// Answers, speaks to handles that it is given, and ends when it is told to.
inline caf::behavior far_actor(caf::event_based_actor* self) {
  using namespace novacron;
  return {
      [](const wire::Beat& x) { return beat(x.number() + 1); },
      [=](const wire::Beat& x, const caf::actor& whom) { self->send(whom, beat(10 * x.number())); },
      [=](const wire::Shutdown&) { self->quit(caf::exit_reason::user_shutdown); },
  };
}

} // namespace twin
