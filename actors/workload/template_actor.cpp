#include "actors/workload/template_actor.hpp"

#include "actors/workload/instance_actor.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <utility>

namespace novacron::workload {
namespace {

/// The door, and what another thread found out.
using template_self = template_actor::extend<caf::reacts_to<turn>>;

struct template_state {
  static inline const char* name = "templates";

  std::shared_ptr<machine_driver> machines;
  std::shared_ptr<machine_templates> templates;
  template_actor_config settings;
};

using self_pointer = template_self::stateful_pointer<template_state>;

wire::Template view_of(const template_facts& x, const std::string& node) {
  auto y = wire::Template{};
  y.set_name(x.key);
  y.set_node(node);
  y.set_tenant(x.tenant);
  y.set_kind(x.small ? wire::WORKLOAD_KIND_SANDBOX : wire::WORKLOAD_KIND_VM);
  y.set_cpus(x.cpus);
  y.set_memory_bytes(x.memory_bytes);
  y.set_network(x.network);
  y.set_size_bytes(x.bytes);
  y.set_made_ms(x.made_ms);
  return y;
}

caf::result<wire::Template> create(self_pointer self, const wire::TemplateCreate& x) {
  auto promise = self->make_response_promise<wire::Template>();
  const auto weak = caf::actor_cast<caf::weak_actor_ptr>(self->address());
  self->state.machines->make_template(
      x.spec(), [weak, promise, node = self->state.settings.node](outcome<template_facts> made) {
        const auto strong = caf::actor_cast<caf::strong_actor_ptr>(weak);
        if (!strong)
          return;
        caf::anon_send(caf::actor_cast<template_self>(strong), turn{[promise, node, made]() mutable {
                         if (made)
                           promise.deliver(view_of(*made, node));
                         else
                           promise.deliver(caf::make_error(made.why().kind, made.why().text));
                       }});
      });
  return promise;
}

wire::TemplateList list(self_pointer self) {
  auto all = wire::TemplateList{};
  for (const auto& each : self->state.templates->list())
    *all.add_templates() = view_of(each, self->state.settings.node);
  return all;
}

caf::result<wire::Done> remove(self_pointer self, const std::string& name) {
  const auto gone = self->state.templates->remove(name);
  if (!gone)
    return caf::make_error(gone.why().kind, gone.why().text);
  return wire::Done{};
}

template_self::behavior_type behave(self_pointer self, std::shared_ptr<machine_driver> machines,
                                    std::shared_ptr<machine_templates> templates, template_actor_config settings) {
  self->state.machines = std::move(machines);
  self->state.templates = std::move(templates);
  self->state.settings = std::move(settings);
  return {
      [=](const wire::TemplateCreate& x) { return create(self, x); },
      [=](const wire::TemplateListRequest&) { return list(self); },
      [=](const wire::TemplateDelete& x) { return remove(self, x.name()); },
      [=](const turn& x) { x.work(); },
  };
}

} // namespace

template_actor spawn_template_actor(caf::actor_system& system, std::shared_ptr<machine_driver> machines,
                                    std::shared_ptr<machine_templates> templates, template_actor_config settings) {
  return system.spawn<caf::detached>(behave, std::move(machines), std::move(templates), std::move(settings));
}

} // namespace novacron::workload
