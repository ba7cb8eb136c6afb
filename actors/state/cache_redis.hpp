#pragma once

/// The cache in a Redis server: one thread owns the connection, calls fail at once while the server is away.

#include "actors/state/cache.hpp"

#include <functional>
#include <memory>

namespace novacron::cache {

class redis {
public:
  struct config {
    /// "HOST:PORT" or the path of a unix socket.
    std::string address;
    /// A call that was not answered by then fails, and the connection is made anew.
    duration patience = std::chrono::milliseconds{500};
    duration redial_min = std::chrono::milliseconds{50};
    duration redial_max = std::chrono::seconds{2};
    /// Calls that may be on their way at a time; more fail.
    std::size_t outstanding_max = 4096;
  };

  /// `failed` says that nothing is known of the key now.
  struct reply {
    bool failed = false;
    found what;
  };

  explicit redis(config settings);
  ~redis();
  redis(const redis&) = delete;
  redis& operator=(const redis&) = delete;

  /// From any thread. `done` is called once, on the thread of this.
  void get(const std::string& key, std::uint64_t index_min, std::function<void(reply)> done);
  void put(const std::string& key, const item& what, duration life, std::function<void(reply)> done);
  void erase(const std::string& key, std::function<void(reply)> done);

  bool reachable() const;
  std::uint64_t redials() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace novacron::cache
