#pragma once

/// Takes a guest in: its memory by several streams, then its devices. It runs here only after the source said so;
/// whatever goes wrong before that, it is forgotten here.

#include "actors/migration/channel.hpp"
#include "actors/migration/guest.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace novacron::migration {

struct sink_report {
  bool runs = false;
  /// Why it does not; empty when it does.
  std::string reason;
  double cpu_seconds = 0;
  std::uint32_t pass_count = 0;
};

/// `ways` are the streams in any order, as many as the source has. Blocks until it is decided; a stop request ends it
/// unless the source has said already that the guest shall run.
sink_report receive_guest(target_guest& guest, std::vector<std::unique_ptr<channel>> ways,
                          const std::array<std::byte, 16>& token, std::stop_token cancel = {});

} // namespace novacron::migration
