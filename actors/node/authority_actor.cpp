#include "actors/node/authority_actor.hpp"

#include "actors/host/log.hpp"

#include <algorithm>
#include <set>

namespace novacron::node {
namespace {

using look_atom = caf::atom_constant<caf::atom("look")>;
using self_actor = authority_actor::extend<caf::reacts_to<look_atom>>;

constexpr auto ledger_patience = std::chrono::seconds{10};
/// News of the ledger may be lost when it restarts; looking again bounds how long a revocation can be missed.
constexpr auto look_period = std::chrono::seconds{15};
const auto token_prefix = std::string{"token/"};
const auto deny_prefix = std::string{"deny/"};

struct authority_state {
  static inline const char* name = "authority";
  authority_config settings;
  authority_surroundings around;
  std::uint64_t sequence = 0;
  std::set<std::string> here;
};
using pointer = self_actor::stateful_pointer<authority_state>;

wire::LedgerCommand command(pointer self) {
  auto made = wire::LedgerCommand{};
  made.set_version(1);
  made.set_client(self->state.around.client);
  made.set_sequence(++self->state.sequence);
  made.set_time_ms(milliseconds_of(self->state.around.now()));
  return made;
}

void put(wire::LedgerCommand& into, const std::string& key, const google::protobuf::Message& value,
         std::optional<std::uint64_t> revision) {
  auto& op = *into.add_ops();
  op.set_key(key);
  op.set_value(value.SerializeAsString());
  op.set_conditional(revision.has_value());
  op.set_revision(revision.value_or(0));
}

wire::LedgerRead read(const std::string& prefix, bool linearizable) {
  auto made = wire::LedgerRead{};
  made.set_prefix(prefix);
  made.set_linearizable(linearizable);
  return made;
}

std::optional<wire::TokenRecord> record_in(const wire::LedgerEntry& x) {
  auto found = wire::TokenRecord{};
  if (!found.ParseFromString(x.value()))
    return {};
  return found;
}

wire::Certificate answer(pointer self, std::string certificate) {
  auto made = wire::Certificate{};
  made.set_expires_ms(milliseconds_of(host::end_of(certificate)));
  made.set_certificate(std::move(certificate));
  made.set_authority(self->state.around.authority.certificate);
  return made;
}

/// The certificate, or in what way the request is no good.
caf::expected<wire::Certificate> grant(pointer self, const std::string& request, const std::string& name,
                                       const std::string& role) {
  const auto& st = self->state;
  try {
    const auto life = std::chrono::duration_cast<std::chrono::seconds>(st.settings.life);
    return answer(self, host::issue(st.around.authority, request, name, role, st.around.now(), life));
  } catch (const host::certificate_error& problem) {
    return caf::make_error(fault::bad_request, problem.what());
  }
}

caf::error refuse(const std::string& text) {
  host::log_rarely(host::level::warn, "authority", "refused to let a node join: {}", text);
  return caf::make_error(fault::denied, text);
}

// -- tokens
// ------------------------------------------------------------------------------------------------------------

/// Writes the new token, and strikes out those of no use.
void write_token(pointer self, caf::typed_response_promise<wire::JoinToken> promise, const minted& made,
                 const wire::LedgerEntries& all) {
  const auto now = self->state.around.now();
  auto change = command(self);
  auto alive = std::size_t{0};
  for (const auto& entry : all.entries()) {
    const auto record = record_in(entry);
    if (record && !is_stale(*record, now)) {
      ++alive;
      continue;
    }
    auto& op = *change.add_ops();
    op.set_key(entry.key());
    op.set_remove(true);
  }
  if (alive >= self->state.settings.tokens_max)
    return void(
        promise.deliver(caf::make_error(fault::overloaded, "there are too many tokens; old ones end by themselves")));
  put(change, token_prefix + made.record.id(), made.record, 0);
  self->request(self->state.around.ledger, ledger_patience, change)
      .then(
          [=, token = made.token](const wire::LedgerApplied& x) mutable {
            if (!x.applied())
              return void(promise.deliver(caf::make_error(fault::conflict, "the token could not be kept; try again")));
            host::log_info("authority", "made token {} for {}", token.id(),
                           made.record.role() + '/' + made.record.name());
            promise.deliver(std::move(token));
          },
          [=](caf::error& why) mutable { promise.deliver(std::move(why)); });
}

caf::result<wire::JoinToken> create(pointer self, const wire::TokenCreate& asked) {
  const auto& st = self->state;
  if (auto wrong = objection(asked, st.settings); !wrong.empty())
    return caf::make_error(fault::bad_request, wrong);
  constexpr auto bytes_needed = std::size_t{40};
  const auto made = mint(asked, st.around.chance(bytes_needed), host::fingerprint(st.around.authority.certificate),
                         st.around.now(), st.settings);
  auto promise = self->make_response_promise<wire::JoinToken>();
  self->request(st.around.ledger, ledger_patience, read(token_prefix, false))
      .then([=](const wire::LedgerEntries& all) { write_token(self, promise, made, all); },
            [=](caf::error& why) mutable { promise.deliver(std::move(why)); });
  return promise;
}

caf::result<wire::TokenList> list(pointer self) {
  auto promise = self->make_response_promise<wire::TokenList>();
  self->request(self->state.around.ledger, ledger_patience, read(token_prefix, false))
      .then(
          [=](const wire::LedgerEntries& all) mutable {
            auto found = wire::TokenList{};
            for (const auto& entry : all.entries())
              if (auto record = record_in(entry)) {
                record->clear_hash();
                *found.add_tokens() = std::move(*record);
              }
            promise.deliver(std::move(found));
          },
          [=](caf::error& why) mutable { promise.deliver(std::move(why)); });
  return promise;
}

// -- certificates
// ------------------------------------------------------------------------------------------------------

/// A controller that joins becomes an authority too.
void share_authority(pointer self, wire::Certificate& with, const std::string& role) {
  if (role == "cloud" || role == "hybrid")
    with.set_authority_key(self->state.around.authority.key);
}

/// Marks the token as used, and only then gives the certificate away: whoever comes second finds it used.
void redeem(pointer self, caf::typed_response_promise<wire::Certificate> promise, const wire::CertificateRequest& asked,
            const join_secret& secret, const wire::LedgerEntries& found) {
  const auto key = token_prefix + secret.id;
  const auto entry =
      std::find_if(found.entries().begin(), found.entries().end(), [&](const auto& x) { return x.key() == key; });
  auto record = entry == found.entries().end() ? std::nullopt : record_in(*entry);
  if (const auto wrong = objection(record, secret, asked.name(), asked.role(), self->state.around.now());
      !wrong.empty())
    return void(promise.deliver(refuse(wrong)));
  auto certificate = grant(self, asked.request(), asked.name(), asked.role());
  if (!certificate)
    return void(promise.deliver(certificate.error()));
  share_authority(self, *certificate, asked.role());
  record->set_used(true);
  auto change = command(self);
  put(change, key, *record, entry->revision());
  self->request(self->state.around.ledger, ledger_patience, change)
      .then(
          [=, given = std::move(*certificate)](const wire::LedgerApplied& x) mutable {
            if (!x.applied())
              return void(promise.deliver(refuse("token " + secret.id + " was used already")));
            host::log_info("authority", "{} joins with token {}", asked.role() + '/' + asked.name(), secret.id);
            promise.deliver(std::move(given));
          },
          [=](caf::error& why) mutable { promise.deliver(std::move(why)); });
}

caf::result<wire::Certificate> admit(pointer self, const wire::CertificateRequest& asked) {
  const auto secret = parse_token(asked.token());
  if (!secret)
    return refuse("that is no token");
  auto promise = self->make_response_promise<wire::Certificate>();
  self->request(self->state.around.ledger, ledger_patience, read(token_prefix + secret->id, true))
      .then([=, secret = *secret](const wire::LedgerEntries& found) { redeem(self, promise, asked, secret, found); },
            [=](caf::error& why) mutable { promise.deliver(std::move(why)); });
  return promise;
}

caf::result<wire::Certificate> renew(pointer self, const wire::CertificateRenewal& asked) {
  auto certificate = grant(self, asked.request(), asked.name(), asked.role());
  if (!certificate)
    return certificate.error();
  host::log_info("authority", "renewed the certificate of {}", asked.role() + '/' + asked.name());
  return std::move(*certificate);
}

// -- the deny list
// -----------------------------------------------------------------------------------------------------

wire::DenyList denied(pointer self) {
  auto made = wire::DenyList{};
  for (const auto& serial : self->state.around.denied->all())
    made.add_serials(serial);
  return made;
}

void tell_all(pointer self) {
  const auto now = denied(self);
  for (const auto& node : self->state.here)
    self->state.around.tell(node, now);
}

void take(pointer self, std::set<std::string> serials) {
  if (serials == self->state.around.denied->all())
    return;
  self->state.around.denied->replace(std::move(serials));
  tell_all(self);
}

void take_whole(pointer self, const wire::LedgerEntries& all) {
  auto serials = std::set<std::string>{};
  for (const auto& entry : all.entries())
    serials.insert(entry.key().substr(std::min(deny_prefix.size(), entry.key().size())));
  take(self, std::move(serials));
}

void take_change(pointer self, const wire::LedgerChanged& news) {
  auto serials = self->state.around.denied->all();
  for (const auto& entry : news.written())
    if (entry.key().starts_with(deny_prefix))
      serials.insert(entry.key().substr(deny_prefix.size()));
  for (const auto& key : news.removed())
    if (key.starts_with(deny_prefix))
      serials.erase(key.substr(deny_prefix.size()));
  take(self, std::move(serials));
}

caf::result<wire::Done> revoke(pointer self, const wire::CertificateRevoke& asked) {
  if (!is_serial(asked.serial()))
    return caf::make_error(fault::bad_request, "\"" + asked.serial() + "\" is no serial: lower-case hex digits");
  auto promise = self->make_response_promise<wire::Done>();
  auto change = command(self);
  put(change, deny_prefix + asked.serial(), asked, std::nullopt);
  self->request(self->state.around.ledger, ledger_patience, change)
      .then(
          [=](const wire::LedgerApplied& x) mutable {
            host::log_warn("authority", "denied certificate {}: {}", asked.serial(), asked.reason());
            auto serials = self->state.around.denied->all();
            serials.insert(asked.serial());
            take(self, std::move(serials));
            auto done = wire::Done{};
            done.set_index(x.index());
            promise.deliver(std::move(done));
          },
          [=](caf::error& why) mutable { promise.deliver(std::move(why)); });
  return promise;
}

void look(pointer self) {
  self->request(self->state.around.ledger, ledger_patience, read(deny_prefix, false))
      .then([=](const wire::LedgerEntries& all) { take_whole(self, all); },
            [=](caf::error& why) {
              host::log_rarely(host::level::warn, "authority", "cannot read the deny list: {}", explain(why).text);
            });
}

void watch(pointer self) {
  auto wish = wire::LedgerWatch{};
  wish.set_prefix(deny_prefix);
  self->request(self->state.around.ledger, ledger_patience, wish, caf::actor_cast<ledger_watcher>(self))
      .then([=](const wire::LedgerEntries& all) { take_whole(self, all); },
            [](caf::error&) { /* looking is enough */ });
}

self_actor::behavior_type authority(pointer self, authority_config settings, authority_surroundings around) {
  self->state.settings = settings;
  self->state.around = std::move(around);
  watch(self);
  self->delayed_send(self, look_period, look_atom::value);
  return {
      [=](const wire::TokenCreate& x) { return create(self, x); },
      [=](const wire::TokenListRequest&) { return list(self); },
      [=](const wire::CertificateRequest& x) { return admit(self, x); },
      [=](const wire::CertificateRenewal& x) { return renew(self, x); },
      [=](const wire::CertificateRevoke& x) { return revoke(self, x); },
      [=](const wire::NodeArrived& x) {
        self->state.here.insert(x.facts().name());
        self->state.around.tell(x.facts().name(), denied(self));
      },
      [=](const wire::NodeDeparted& x) { self->state.here.erase(x.name()); },
      [=](const wire::LedgerChanged& x) { take_change(self, x); },
      [](const wire::LedgerLed&) {},
      [=](look_atom) {
        look(self);
        self->delayed_send(self, look_period, look_atom::value);
      },
  };
}

} // namespace

authority_actor spawn_authority(caf::actor_system& system, authority_config settings, authority_surroundings around) {
  return system.spawn(authority, settings, std::move(around));
}

} // namespace novacron::node
