#pragma once

/// Connections between voters: mutual TLS, or plain TCP for specs; each end is handed on as a stream of the loop.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct uv_loop_s;
struct uv_stream_s;

namespace novacron::ledger {

/// The number of a voter in the log, from its name.
std::uint64_t voter_id(std::string_view node);

/// A voter's address in the log is "NODE@HOST:PORT"; empty parts when it is not.
struct voter_address {
  std::string node;
  std::string host;
  std::string port;
};
voter_address parse_voter_address(std::string_view text);

/// Everything here happens on the thread of the loop.
class voter_transport {
public:
  struct config {
    std::string node;
    /// "HOST:PORT".
    std::string address;
    /// Holds ca.pem, cert.pem, key.pem; empty means plain TCP.
    std::filesystem::path trust;
    /// What streams are allocated with; whoever is handed one frees it with the counterpart after closing it.
    void* (*allocate)(std::size_t) = nullptr;
    /// From the first byte to the proof of who it is.
    std::uint64_t handshake_ms = 10'000;
    /// Peers that may be at that at a time; more are turned away.
    std::size_t handshakes_max = 64;
  };

  enum class outcome { connected, failed, cancelled };
  using accepted = std::function<void(std::uint64_t id, const std::string& address, uv_stream_s*)>;
  using connected = std::function<void(uv_stream_s*, outcome)>;

  voter_transport(uv_loop_s* loop, config settings);
  ~voter_transport();

  /// Returns what is wrong, empty when it listens.
  std::string listen(accepted told);
  /// `told` is called later, never from within.
  void connect(std::uint64_t id, const std::string& address, connected told);
  /// Cancels what is under way; streams that were handed on break. `done` is called when all handles are closed.
  void close(std::function<void()> done);

  /// Peers that could not prove to be a voter in time.
  std::uint64_t refused() const;

  struct state;

private:
  std::shared_ptr<state> state_;
};

} // namespace novacron::ledger
