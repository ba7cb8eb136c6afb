#pragma once

/// Clients that obey none of our rules, and papers of every kind, for attacks on a live listener.

#include "actors/host/certificate.hpp"
#include "actors/host/loop.hpp"
#include "actors/node/introduction.hpp"
#include "actors/node/node_system.hpp"
#include "messages/registry.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace novacron::spec {

/// What to show in a handshake; empty texts show nothing.
struct shown_papers {
  std::string certificate;
  std::string key;
};
shown_papers papers_by(const host::key_and_certificate& authority, const std::string& name, const std::string& role,
                       host::wall_time at = std::chrono::system_clock::now());

/// One TCP connection to a port of this machine, with TLS on top when it is asked for.
class intruder {
public:
  explicit intruder(std::uint16_t port);
  ~intruder();
  intruder(const intruder&) = delete;
  intruder& operator=(const intruder&) = delete;

  void send_plain(std::string_view bytes) const;
  /// Shakes hands as a client, with TLS `version_max` at most (0: whatever there is). `pause` is waited for after the
  /// first flight was sent in halves. True when our side is done; the other side may refuse us still.
  bool shake_hands(const shown_papers& shown, int version_max = 0, std::chrono::milliseconds pause = {});
  void send(std::string_view bytes) const;
  /// What comes within `patience`, decrypted when hands were shaken; empty when nothing does or the other side is gone.
  std::string receive(std::chrono::milliseconds patience) const;
  /// Whether the other side ends the connection within `patience`.
  bool is_cut_off(std::chrono::milliseconds patience) const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

/// The header of a BASP frame.
std::string frame_header(std::uint8_t operation, std::uint32_t payload, std::uint64_t about, std::uint64_t source,
                         std::uint64_t destination);

/// A node's lower half with papers of our choice, which says to doors what we like.
class impostor {
public:
  impostor(std::filesystem::path home, const node::papers& own);
  ~impostor();

  /// The door that is published on a port of this machine; nothing when we are not let in.
  caf::actor door_at(std::uint16_t port);

  template <class Answer, class... Question>
  caf::expected<Answer> ask(const caf::actor& whom, const Question&... question) {
    auto self = caf::scoped_actor{system_};
    auto result = caf::expected<Answer>{caf::sec::runtime_error};
    self->request(whom, std::chrono::seconds{5}, question...)
        .receive([&](const Answer& x) { result = x; }, [&](caf::error& x) { result = std::move(x); });
    return result;
  }

  /// Says who it is, truthfully or not, up to the door's challenge.
  caf::expected<wire::Challenge> greet(const caf::actor& door, const wire::Hello& said);
  /// The whole introduction.
  caf::expected<wire::Welcome> introduce(const caf::actor& door, const std::string& name, const std::string& role);

  /// A handle to whichever actor of that node has this number, whoever was meant to have it.
  caf::actor guess(const caf::actor& door, std::uint64_t number);

  caf::actor_system& system() { return system_; }

private:
  std::filesystem::path home_;
  node::papers own_;
  host::loop loop_;
  node::system_config config_{2};
  caf::actor_system system_{config_};
  caf::io::middleman_actor transport_;
  caf::actor own_door_;
};

} // namespace novacron::spec
