#pragma once

/// Keys, certificates and signatures of the fabric: a private authority on EC P-256, names and roles in the SAN URI.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::host {

using wall_time = std::chrono::system_clock::time_point;

/// Something that ought to be a key, request or certificate is not, or does not belong to what it is used with.
struct certificate_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Why a peer was not let in. `none` means that it was.
enum class refusal : std::uint8_t {
  none,
  no_certificate,
  self_signed,
  wrong_authority,
  expired,
  not_yet_valid,
  /// It carries no `novacron://role/name`, or more than one.
  no_identity,
  /// Its role is not one that may speak here.
  wrong_role,
  /// It is not the peer that was meant.
  wrong_name,
  /// Its serial is on the deny list.
  denied,
  /// It speaks a TLS older than 1.3.
  old_protocol,
  /// Anything else: no TLS at all, broken messages, no cipher in common.
  malformed,
};
std::string_view to_string(refusal x);
/// All of them but `none`, for counters.
std::vector<refusal> all_refusals();

/// Who a certificate says its owner is.
struct identity {
  std::string name;
  std::string role;
  /// Lower-case hex.
  std::string serial;
  wall_time not_before;
  wall_time not_after;
  bool operator==(const identity&) const = default;
};

/// Roles that an identity may have: those of nodes, and `person`.
bool role_exists(std::string_view role);
/// 1 to 63 of a-z, 0-9 and '-', not beginning or ending with '-': fit for URIs, DNS, file names and ledger keys.
bool name_is_valid(std::string_view name);

/// An authority, or a node with its key: PEM texts.
struct key_and_certificate {
  std::string key;
  std::string certificate;
};

/// A fresh EC P-256 key, PKCS#8 PEM.
std::string make_key();
/// A fresh private authority for the fabric called `fabric`.
key_and_certificate make_authority(std::string_view fabric, wall_time now,
                                   std::chrono::seconds life = std::chrono::hours{24 * 3652});

/// Asks for a certificate for (name, role): PKCS#10 PEM signed with `key`.
std::string make_request(const std::string& key, std::string_view name, std::string_view role);

constexpr auto certificate_life = std::chrono::seconds{std::chrono::hours{24}};
/// Clocks of hosts differ: a certificate is valid from a little before it was made.
constexpr auto certificate_backdate = std::chrono::seconds{std::chrono::minutes{5}};

/// Grants a request that is signed by its own P-256 key and asks for exactly (name, role). Throws certificate_error
/// saying what is wrong with the request.
std::string issue(const key_and_certificate& authority, const std::string& request, std::string_view name,
                  std::string_view role, wall_time now, std::chrono::seconds life = certificate_life);

/// Who the certificate says it is; nothing when it does not say it our way.
std::optional<identity> read_identity(const std::string& certificate);
/// When the certificate ends, whoever it belongs to. Throws certificate_error.
wall_time end_of(const std::string& certificate);
/// Whether `key` is the key of `certificate`.
bool belongs_to(const std::string& key, const std::string& certificate);

/// Serials that are refused though their certificates are valid. Safe to use from any thread.
class deny_list {
public:
  void replace(std::set<std::string> serials);
  void add(std::string serial);
  bool contains(const std::string& serial) const {
    // Asked at every beat of every peer, and mostly there is nobody on it.
    return !none_.load(std::memory_order_acquire) && lists(serial);
  }
  std::set<std::string> all() const;

private:
  bool lists(const std::string& serial) const;

  mutable std::mutex mutex_;
  std::set<std::string> serials_;
  std::atomic<bool> none_ = true;
};

/// What was found out about a certificate: `why` is `none` exactly when `who` may be believed.
struct verdict {
  refusal why = refusal::malformed;
  identity who;
  std::string text;
};
/// Judges a certificate (the first in `chain`) that is said to come from `authority`, at time `now`.
verdict judge(const std::string& chain, const std::string& authority, wall_time now, const deny_list* denied = nullptr);

/// Signs `bytes` for one `purpose`, so that no signature can be used for another.
std::string sign(const std::string& key, std::string_view purpose, std::string_view bytes);
/// Whether the owner of `certificate` signed `bytes` for this purpose.
bool is_signed(const std::string& certificate, std::string_view purpose, std::string_view bytes,
               std::string_view signature);

/// SHA-256 of the first certificate's DER, lower-case hex.
std::string fingerprint(const std::string& certificate);
/// SHA-256, 32 raw bytes.
std::string sha256(std::string_view bytes);
/// `count` bytes nobody can guess.
std::string random_bytes(std::size_t count);
/// Compares in a time that does not tell where they differ.
bool equal_secretly(std::string_view a, std::string_view b);
std::string to_hex(std::string_view bytes);

} // namespace novacron::host
