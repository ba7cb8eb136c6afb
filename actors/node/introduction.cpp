#include "actors/node/introduction.hpp"

#include "messages/vocabulary.hpp"

namespace novacron::node {
namespace {

constexpr auto of_door = "novacron door 1";
constexpr auto of_caller = "novacron caller 1";
constexpr auto nonce_bytes = 32u;

std::string bound(const std::string& nonce, const conversation& between) {
  return nonce + '\n' + between.caller + '\n' + between.door;
}

finding refuse(host::refusal why, std::string text) {
  return {why, {}, std::move(text)};
}

finding judge(const std::string& certificate, const std::string& name, const std::string& role, std::uint32_t protocol,
              const papers& own, host::wall_time now, const host::deny_list& denied) {
  if (protocol != protocol_version)
    return refuse(host::refusal::old_protocol, "it speaks protocol " + std::to_string(protocol) + ", we speak "
                                                 + std::to_string(protocol_version));
  auto found = own.by->judge(certificate, own.authority, now, denied);
  if (found.why != host::refusal::none)
    return refuse(found.why, found.text);
  if (found.who.name != name)
    return refuse(host::refusal::wrong_name, "it calls itself " + name + ", its certificate says " + found.who.name);
  if (found.who.role != role)
    return refuse(host::refusal::wrong_role, "it claims the role " + role + ", its certificate says " + found.who.role);
  return {host::refusal::none, std::move(found.who), ""};
}

class host_notary : public notary {
public:
  host::verdict judge(const std::string& certificate, const std::string& authority, host::wall_time now,
                      const host::deny_list& denied) const override {
    return host::judge(certificate, authority, now, &denied);
  }
  std::string sign(const std::string& key, std::string_view purpose, std::string_view bytes) const override {
    return host::sign(key, purpose, bytes);
  }
  bool is_signed(const std::string& certificate, std::string_view purpose, std::string_view bytes,
                 std::string_view signature) const override {
    return host::is_signed(certificate, purpose, bytes, signature);
  }
  std::string nonce() const override { return host::random_bytes(nonce_bytes); }
};

} // namespace

const notary& real_notary() {
  static const auto one = host_notary{};
  return one;
}

v1::Hello say_hello(const papers& own, const std::string& name, const std::string& role, const std::string& nonce) {
  auto said = v1::Hello{};
  said.set_protocol(protocol_version);
  said.set_name(name);
  said.set_role(role);
  said.set_certificate(own.certificate);
  said.set_nonce(nonce);
  return said;
}

finding judge(const v1::Hello& said, const papers& own, host::wall_time now, const host::deny_list& denied) {
  if (said.nonce().size() != nonce_bytes)
    return refuse(host::refusal::malformed, "its hello carries no proper nonce");
  return judge(said.certificate(), said.name(), said.role(), said.protocol(), own, now, denied);
}

v1::Challenge answer(const v1::Hello& said, const papers& own, const std::string& name, const std::string& role,
                     const std::string& nonce, const conversation& between) {
  auto reply = v1::Challenge{};
  reply.set_protocol(protocol_version);
  reply.set_name(name);
  reply.set_role(role);
  reply.set_certificate(own.certificate);
  reply.set_signature(own.by->sign(own.key, of_door, bound(said.nonce(), between)));
  reply.set_nonce(nonce);
  return reply;
}

finding judge(const v1::Challenge& said, const std::string& peer, const std::string& own_nonce, const papers& own,
              host::wall_time now, const host::deny_list& denied, const conversation& between) {
  if (said.name() != peer)
    return refuse(host::refusal::wrong_name, "at this address is " + said.name() + ", not " + peer);
  auto found = judge(said.certificate(), said.name(), said.role(), said.protocol(), own, now, denied);
  if (found.why == host::refusal::none
      && !own.by->is_signed(said.certificate(), of_door, bound(own_nonce, between), said.signature()))
    return refuse(host::refusal::malformed, "it could not prove that the certificate is its own");
  return found;
}

v1::Proof prove(const v1::Challenge& said, const papers& own, const conversation& between) {
  auto proof = v1::Proof{};
  proof.set_signature(own.by->sign(own.key, of_caller, bound(said.nonce(), between)));
  return proof;
}

bool holds(const v1::Proof& said, const std::string& certificate, const std::string& nonce,
           const conversation& between, const notary& by) {
  return by.is_signed(certificate, of_caller, bound(nonce, between), said.signature());
}

} // namespace novacron::node
