#pragma once

/// How two nodes prove to each other who they are, above the TLS connection that carries them.
///
/// CAF does not say over which connection a message came, so a certificate checked by TLS alone would not tell one
/// actor of an authenticated host from another. Each side therefore signs a nonce of the other with the key of its
/// certificate, bound to the identities of both actor systems. No actors in this file.

#include "actors/host/certificate.hpp"
#include "messages/wire/node.pb.h"

#include <string>
#include <string_view>

namespace novacron::node {

/// Who makes and checks signatures. The virtual world has one without mathematics, whose chance is seeded.
class notary {
public:
  virtual ~notary() = default;
  virtual host::verdict judge(const std::string& certificate, const std::string& authority, host::wall_time now,
                              const host::deny_list& denied) const = 0;
  virtual std::string sign(const std::string& key, std::string_view purpose, std::string_view bytes) const = 0;
  virtual bool is_signed(const std::string& certificate, std::string_view purpose, std::string_view bytes,
                         std::string_view signature) const = 0;
  /// 32 bytes that nobody said before.
  virtual std::string nonce() const = 0;
};

/// The one of real nodes: X.509 and EC P-256.
const notary& real_notary();

/// What a node needs to prove itself, and to judge others.
struct papers {
  std::string certificate;
  std::string key;
  std::string authority;
  const notary* by = &real_notary();
};

/// The two actor systems that talk, by their CAF node ids: caller first.
struct conversation {
  std::string caller;
  std::string door;
};

/// What was found out about the other side; `why` is none exactly when `who` may be believed.
struct finding {
  host::refusal why = host::refusal::malformed;
  host::identity who;
  std::string text;
};

v1::Hello say_hello(const papers& own, const std::string& name, const std::string& role, const std::string& nonce);

/// The door judges a caller's certificate and claim. That the caller has the key is shown by its proof only.
finding judge(const v1::Hello& said, const papers& own, host::wall_time now, const host::deny_list& denied);

v1::Challenge answer(const v1::Hello& said, const papers& own, const std::string& name, const std::string& role,
                     const std::string& nonce, const conversation& between);

/// The caller judges the door it meant to reach: `peer` is its name.
finding judge(const v1::Challenge& said, const std::string& peer, const std::string& own_nonce, const papers& own,
              host::wall_time now, const host::deny_list& denied, const conversation& between);

v1::Proof prove(const v1::Challenge& said, const papers& own, const conversation& between);

/// Whether the caller with `certificate` has its key.
bool holds(const v1::Proof& said, const std::string& certificate, const std::string& nonce, const conversation& between,
           const notary& by = real_notary());

} // namespace novacron::node
