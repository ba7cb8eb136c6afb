#pragma once

/// The connections of one move between two nodes: where they come in, and how they get out.

#include "actors/host/tls.hpp"
#include "actors/migration/channel.hpp"
#include "actors/migration/disk_stream.hpp"
#include "actors/migration/tls_channel.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace novacron::node {

/// Listens on a port of its own. All functions throw migration_error, also once a stop is requested.
class guest_inlet {
public:
  guest_inlet(std::shared_ptr<host::tls_context> context, std::stop_token stop);
  ~guest_inlet();
  guest_inlet(const guest_inlet&) = delete;
  guest_inlet& operator=(const guest_inlet&) = delete;

  /// "HOST:PORT" for each address of this host, its own loopback last.
  [[nodiscard]] std::vector<std::string> where() const;
  /// Who comes first and brings the disk of the move with this token. Others that come meanwhile are turned away.
  std::unique_ptr<migration::channel> await_first(const std::function<bool(const migration::disk_hello&)>& knows);
  /// The next one; waits as long as `goes_on` says that it may come.
  std::unique_ptr<migration::channel> await(const std::function<bool()>& goes_on);
  /// What the first one said.
  [[nodiscard]] const migration::disk_hello& hello() const { return hello_; }

private:
  int accept() const;

  std::shared_ptr<host::tls_context> context_;
  int fd_ = -1;
  std::uint16_t port_ = 0;
  migration::disk_hello hello_;
  std::stop_token stop_;
  std::optional<std::stop_callback<std::function<void()>>> wake_;
};

/// Connects to the first of the addresses at which the right node answers, and to the same one again.
class guest_outlet {
public:
  guest_outlet(std::shared_ptr<host::tls_context> context, std::vector<std::string> where);
  /// Throws migration_error, with what was wrong at each address.
  std::unique_ptr<migration::tls_channel> connect();

private:
  std::shared_ptr<host::tls_context> context_;
  std::vector<std::string> where_;
};

} // namespace novacron::node
