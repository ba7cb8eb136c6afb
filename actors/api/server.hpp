#pragma once

/// Serves HTTP/1.1 at one entrance, with a bounded number of threads, connections and bytes.

#include "actors/api/http.hpp"
#include "actors/api/line.hpp"

#include <chrono>
#include <functional>
#include <memory>

namespace novacron::api {

class server {
public:
  using seconds = std::chrono::duration<double>;

  struct config {
    limits bounds;
    /// Requests being served at once; each takes a thread. Threads are made when needed and end when idle. A handshake,
    /// a request that comes in and an answer that goes out take none while they wait for the peer; streams do.
    /// Watchers and calls of functions may hold 24 each; the rest is for whoever is answered at once.
    std::size_t threads_max = 56;
    /// Streams at once, so that watchers leave room for others.
    std::size_t streams_max = 24;
    /// Open connections. A further one takes the place of one that is waited for: of the address that most come from,
    /// the oldest of those that asked nothing. It is closed at once where all others are being served.
    std::size_t connections_max = 256;
    /// Of those from one address, how many may be waited for.
    std::size_t neighbours_max = 128;
    /// From coming in to the end of the first head, the handshake included, and from the first byte of a later head to
    /// its end: a slow sender is cut off.
    std::chrono::milliseconds head_max{10'000};
    std::chrono::milliseconds body_max{30'000};
    /// For one answer, or one piece of a stream: a slow reader is dropped.
    std::chrono::milliseconds write_max{10'000};
    /// Between two requests.
    std::chrono::milliseconds idle_max{60'000};
    std::chrono::milliseconds thread_idle_max{10'000};
  };

  /// Told what happens, from several threads.
  struct witness {
    std::function<void(int more)> connections;
    /// "handshake", "head", "slow", "full", "crowd", "broken"
    std::function<void(const char* why)> refused;
  };

  /// Answers a request; called from several threads at once, and must not throw.
  using answer = std::function<response(request)>;

  server(std::unique_ptr<entrance> in, config settings, answer how, witness told = {});
  /// Stops without patience.
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  std::uint16_t port() const;

  /// Accepts nothing new, ends streams, and lets requests finish that are under way, for `patience`; then cuts them
  /// off. Returns whether all could finish.
  bool stop(std::chrono::milliseconds patience);

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace novacron::api
