#pragma once

/// A stream of a migration over TLS, with the fabric's own certificates: an end with no certificate, another name or a
/// revoked one gets nothing.

#include "actors/host/tls.hpp"
#include "actors/migration/channel.hpp"

#include <chrono>
#include <memory>

namespace novacron::migration {

class tls_channel : public channel {
public:
  /// How long the other end may neither take nor give anything, from now on; less than nothing: as long as its host
  /// answers.
  virtual void set_patience(std::chrono::milliseconds patience) = 0;
};

constexpr auto usual_patience = std::chrono::milliseconds{10'000};

/// Takes over the connected socket `fd` and shakes hands on it, as the side that `context` is for. Throws
/// migration_error; the socket is closed then.
std::unique_ptr<tls_channel> make_tls_channel(int fd, const host::tls_context& context, host::tls_side side,
                                              std::chrono::milliseconds patience = usual_patience);

} // namespace novacron::migration
