#pragma once

/// Two hosts on this one, for benches: network namespaces with a shaped link between them, gone with this process.

#include "actors/host/process.hpp"

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace novacron::migration {

class bench_link {
public:
  /// `rate` is in bits per second, 0 for whatever the host does. Needs root. Throws std::runtime_error.
  explicit bench_link(double rate);
  ~bench_link();
  bench_link(const bench_link&) = delete;
  bench_link& operator=(const bench_link&) = delete;

  /// The words before a command that runs it on the host, 0 or 1.
  std::vector<std::string> on(std::size_t host) const;
  static std::string address(std::size_t host);
  /// Bytes that have gone from host 0 to host 1, frames of the network included.
  std::uint64_t bytes() const;
  /// Connections from host 0 to host 1, in order: the ends of 0, and those of 1.
  std::pair<std::vector<int>, std::vector<int>> connect(std::size_t count) const;

private:
  std::array<host::child, 2> hosts_;
};

} // namespace novacron::migration
