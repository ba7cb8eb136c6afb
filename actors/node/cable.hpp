#pragma once

/// A network cable between two TCP ends on this machine that can be pulled: for the demo and for specs.

#include <cstdint>
#include <memory>
#include <string>

namespace novacron::node {

/// Listens on a port of its own on loopback and passes on to a target. While it is cut, nothing passes in either
/// direction and nobody is told, as in a silent partition.
class cable {
public:
  cable(std::string host, std::uint16_t port);
  ~cable();
  cable(const cable&) = delete;
  cable& operator=(const cable&) = delete;

  std::uint16_t port() const;
  void cut();
  void heal();

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace novacron::node
