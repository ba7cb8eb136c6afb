#include "actors/node/credentials_actor.hpp"

#include "actors/host/secure_file.hpp"
#include "actors/host/tls.hpp"

#include <algorithm>
#include <random>
#include <set>
#include <system_error>

namespace novacron::node {
namespace {

using look_atom = caf::atom_constant<caf::atom("look")>;
using self_actor = credentials_actor::extend<caf::reacts_to<look_atom>>;

constexpr auto answer_patience = std::chrono::seconds{30};
/// Wall clocks jump; looking at them again this often bounds what a jump can do.
constexpr auto look_period = std::chrono::minutes{1};

struct credentials_state {
  static inline const char* name = "credentials";
  renewal_config settings;
  credentials_surroundings around;
  std::mt19937_64 generator;
  /// Drawn once per certificate, so that looking again does not move the moment.
  double chance = 0;
  std::uint32_t failures = 0;
  /// The deny list on disk. The one in force is shared, and others may have changed it before.
  std::set<std::string> kept;
};
using pointer = self_actor::stateful_pointer<credentials_state>;

double draw(pointer self) {
  return std::uniform_real_distribution{0.0, 1.0}(self->state.generator);
}

void look_after(pointer self, duration wait) {
  self->delayed_send(self, std::min<duration>(wait, look_period), look_atom::value);
}

void retry(pointer self, const std::string& why) {
  auto& st = self->state;
  const auto wait = until_retry(++st.failures, draw(self), st.settings);
  host::log(st.failures > 3 ? host::level::error : host::level::warn, "credentials",
            {{"failures", std::to_string(st.failures)}}, "cannot renew the certificate: {}; next try in {} s", why,
            std::chrono::ceil<std::chrono::seconds>(wait).count());
  self->delayed_send(self, wait, look_atom::value);
}

void keep(pointer self, const wire::Certificate& granted) {
  auto& st = self->state;
  try {
    const auto held = host::read_small_file(host::trust_files_in(st.around.directory).authority);
    if (held != granted.authority())
      return retry(self, "the answer comes from another authority");
    const auto who = keep_certificate(st.around.directory, granted, st.around.name, st.around.role, st.around.now());
    st.failures = 0;
    st.chance = draw(self);
    host::log_info("credentials", "renewed the certificate, serial {}", who.serial);
    if (st.around.renewed)
      st.around.renewed(who);
    look_after(self, until_renewal(who, st.around.now(), st.chance, st.settings));
  } catch (const std::exception& problem) {
    retry(self, problem.what());
  }
}

void renew(pointer self) {
  auto& st = self->state;
  auto asked = wire::CertificateRenewal{};
  try {
    asked.set_name(st.around.name);
    asked.set_role(st.around.role);
    asked.set_request(request_with_own_key(st.around.directory, st.around.name, st.around.role));
  } catch (const std::exception& problem) {
    return retry(self, problem.what());
  }
  const auto authority = st.around.authority();
  if (!authority)
    return retry(self, explain(authority.error()).text);
  self->request(*authority, answer_patience, asked)
      .then([=](const wire::Certificate& x) { keep(self, x); },
            [=](caf::error& why) { retry(self, explain(why).text); });
}

/// What is on disk decides, so that a certificate put there by a person counts too.
void look(pointer self) {
  auto& st = self->state;
  auto held = std::optional<host::identity>{};
  try {
    held =
        host::read_identity(host::read_small_file(host::trust_files_in(st.around.directory).certificate).value_or(""));
  } catch (const std::system_error& problem) {
    return retry(self, problem.what());
  }
  const auto wait = held ? until_renewal(*held, st.around.now(), st.chance, st.settings) : duration{0};
  if (wait > duration{0})
    look_after(self, wait);
  else
    renew(self);
}

void deny(pointer self, const wire::DenyList& x) {
  auto& st = self->state;
  const auto serials = std::set<std::string>{x.serials().begin(), x.serials().end()};
  st.around.denied->replace(serials);
  if (serials == st.kept)
    return;
  try {
    keep_deny_list(st.around.directory, serials);
    st.kept = serials;
  } catch (const std::system_error& problem) {
    host::log_warn("credentials", "the deny list is in force but could not be kept: {}", problem.what());
  }
}

self_actor::behavior_type credentials(pointer self, renewal_config settings, credentials_surroundings around) {
  self->state.settings = settings;
  self->state.generator.seed(around.seed);
  self->state.chance = draw(self);
  self->state.around = std::move(around);
  try {
    self->state.kept = read_deny_list(self->state.around.directory);
  } catch (const std::system_error& problem) {
    host::log_warn("credentials", "the deny list cannot be read: {}", problem.what());
  }
  self->send(self, look_atom::value);
  return {
      [=](const wire::DenyList& x) { deny(self, x); },
      [=](look_atom) { look(self); },
  };
}

} // namespace

credentials_actor spawn_credentials(caf::actor_system& system, renewal_config settings,
                                    credentials_surroundings around) {
  return system.spawn(credentials, settings, std::move(around));
}

} // namespace novacron::node
