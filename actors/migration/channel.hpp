#pragma once

/// What a stream of a migration travels on: TCP now, and whatever else brings bytes in order.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>

namespace novacron::migration {

/// Why a migration cannot go on, in words.
struct migration_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The other end said why it does not go on, after it had given up the guest.
struct refusal final : migration_error {
  using migration_error::migration_error;
};

/// How the link beneath a way is doing.
struct link_look {
  /// That came to the other host since the begin, whether anybody there has read them or not.
  std::uint64_t bytes = 0;
  /// More are on their way there, or wait for the link.
  bool busy = false;
  /// Bytes per second at which the link carried what it carried last; 0 where the way cannot tell.
  double rate = 0;
};

/// Used by one thread at a time, but for close().
class channel {
public:
  virtual ~channel() = default;
  /// Returns once all of it was taken over. Throws migration_error.
  virtual void send(std::span<const std::byte> bytes) = 0;
  /// Waits for at least one byte and returns how many came; 0 when the other end has closed. Throws migration_error.
  virtual std::size_t receive(std::span<std::byte> into) = 0;
  /// Whether receive() would not wait.
  virtual bool readable() = 0;
  /// Nothing where the way cannot tell.
  virtual std::optional<link_look> look() { return {}; }
  /// Both directions are over: whoever waits in one of them is woken, with an error. From any thread, and more than
  /// once.
  virtual void close() noexcept = 0;
};

/// What TCP knows of the link beneath a connected socket.
std::optional<link_look> look_at(int fd);

/// Takes over the connected socket `fd`. An end that neither takes nor gives anything for `patience` counts as gone.
std::unique_ptr<channel> make_socket_channel(int fd, std::chrono::milliseconds patience = std::chrono::seconds{10});

} // namespace novacron::migration
