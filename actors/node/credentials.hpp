#pragma once

/// The credentials of one node on its disk, and when to renew them.

#include "actors/host/certificate.hpp"
#include "messages/vocabulary.hpp"
#include "messages/wire/trust.pb.h"

#include <filesystem>
#include <set>

namespace novacron::node {

struct renewal_config {
  /// The first wait after a failure; it doubles up to the last one.
  duration delay_first = std::chrono::seconds{1};
  duration delay_last = std::chrono::minutes{5};
  /// How far around half life the moment is spread, as a share of the life, so that a fabric does not renew all at
  /// once.
  double spread = 0.05;
};

/// How long to wait from `now` until a certificate is renewed; zero when it is time. `chance` is in [0, 1).
duration until_renewal(const host::identity& now_held, host::wall_time now, double chance,
                       const renewal_config& settings);
/// How long to wait after the `failures`-th failure in a row.
duration until_retry(std::uint32_t failures, double chance, const renewal_config& settings);

/// Makes an authority in `directory` unless there is one.
void lay_authority(const std::filesystem::path& directory, const std::string& fabric, host::wall_time now);
/// The authority in `directory`; throws std::system_error when it is not there.
host::key_and_certificate read_authority(const std::filesystem::path& directory);

/// Makes sure that `directory` has a key and a certificate from the authority in `authority_directory` for (name, role)
/// which is good for at least half of `life`, or still good where a new one cannot be kept. For the authority's own
/// node, and for nodes that share its disk. Throws std::system_error when there is none.
void lay_certificate(const std::filesystem::path& authority_directory, const std::filesystem::path& directory,
                     const std::string& name, const std::string& role, host::wall_time now, std::chrono::seconds life);

/// Whether `directory` holds everything (name, role) needs to be let in at `now`; the text says what is missing.
struct readiness {
  bool ready = false;
  std::string text;
};
readiness look_at_credentials(const std::filesystem::path& directory, const std::string& name, const std::string& role,
                              host::wall_time now);

/// A request with the key in `directory`, which is made first if there is none.
std::string request_with_own_key(const std::filesystem::path& directory, const std::string& name,
                                 const std::string& role);

/// Keeps a certificate that was granted, after making sure that it fits the key in `directory`, the authority and
/// (name, role). Throws certificate_error when it does not; nothing was changed then.
host::identity keep_certificate(const std::filesystem::path& directory, const v1::Certificate& granted,
                                const std::string& name, const std::string& role, host::wall_time now);

/// The deny list as the authority told it last, so that a node that starts alone still knows it.
void keep_deny_list(const std::filesystem::path& directory, const std::set<std::string>& serials);
std::set<std::string> read_deny_list(const std::filesystem::path& directory);

} // namespace novacron::node
