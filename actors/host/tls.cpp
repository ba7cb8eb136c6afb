#include "actors/host/tls.hpp"

#include "actors/host/certificate_openssl.hpp"
#include "actors/host/secure_file.hpp"

#include <openssl/err.h>
#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <tuple>

namespace novacron::host {
namespace {

using context = std::unique_ptr<SSL_CTX, openssl::freer<SSL_CTX_free>>;

/// Tells one state of a file from the next; files are replaced whole, so the inode changes.
struct file_version {
  ino_t inode = 0;
  timespec changed{};
  bool operator==(const file_version& x) const {
    return inode == x.inode && changed.tv_sec == x.changed.tv_sec && changed.tv_nsec == x.changed.tv_nsec;
  }
};

file_version version_of(const std::filesystem::path& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0)
    return {};
  return {facts.st_ino, facts.st_mtim};
}

std::string must_read(const std::filesystem::path& path) {
  auto content = read_small_file(path);
  if (!content)
    throw std::system_error{ENOENT, std::system_category(), "cannot open " + path.string()};
  return std::move(*content);
}

/// What this end shows in a handshake.
struct credentials {
  openssl::certificate certificate;
  openssl::key key;
  identity self;
};

std::shared_ptr<const credentials> read_credentials(const trust_files& files) {
  auto made = std::make_shared<credentials>();
  made->certificate = openssl::read_certificate(must_read(files.certificate));
  made->key = openssl::read_key(must_read(files.key));
  if (X509_check_private_key(made->certificate.get(), made->key.get()) != 1)
    openssl::fail(files.key.string() + " is not the key of " + files.certificate.string());
  const auto self = openssl::identity_of(made->certificate.get());
  if (!self)
    throw certificate_error{files.certificate.string() + " names no node"};
  made->self = *self;
  return made;
}

/// Where a connection remembers why it was refused.
int refusal_slot() {
  static const auto slot = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return slot;
}

void remember(SSL* connection, refusal why) {
  SSL_set_ex_data(connection, refusal_slot(), reinterpret_cast<void*>(static_cast<std::uintptr_t>(why)));
}

SSL* connection_of(X509_STORE_CTX* x) {
  return static_cast<SSL*>(X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

context make_context(const SSL_METHOD* method) {
  auto made = context{SSL_CTX_new(method)};
  if (!made || SSL_CTX_set_min_proto_version(made.get(), TLS1_3_VERSION) != 1)
    openssl::fail("cannot make a TLS context");
  // A resumed session would skip the check of the certificate, and with it the deny list.
  SSL_CTX_set_session_cache_mode(made.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(made.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_num_tickets(made.get(), 0);
  SSL_CTX_set_mode(made.get(),
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Ours have two certificates of 600 bytes.
  SSL_CTX_set_max_cert_list(made.get(), 16 * 1024);
  SSL_CTX_set_verify_depth(made.get(), 1);
  return made;
}

} // namespace

struct tls_context::state {
  tls_settings settings;
  trust_files files;
  context native;
  openssl::certificate authority;
  mutable std::mutex mutex;
  std::shared_ptr<const credentials> mine;
  std::pair<file_version, file_version> seen;

  explicit state(tls_settings x);

  std::pair<file_version, file_version> on_disk() const {
    return {version_of(files.certificate), version_of(files.key)};
  }
  /// The newest pair on disk; while certificate and key do not match (one is being replaced), the last that did.
  std::shared_ptr<const credentials> newest();
  refusal consider(X509_STORE_CTX* x, std::string& text) const;
  void refuse(SSL* connection, refusal why, std::string_view text) const;
};

namespace {

const tls_context::state& state_of(const SSL* connection) {
  return *static_cast<const tls_context::state*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection)));
}

int show_certificate(SSL* connection, void* argument) {
  auto& state = *static_cast<tls_context::state*>(argument);
  const auto mine = state.newest();
  if (SSL_use_certificate(connection, mine->certificate.get()) != 1 ||
      SSL_use_PrivateKey(connection, mine->key.get()) != 1)
    return 0;
  if (state.settings.sends_authority && SSL_add1_chain_cert(connection, state.authority.get()) != 1)
    return 0;
  return 1;
}

int error_for(refusal why) {
  switch (why) {
    case refusal::denied: return X509_V_ERR_CERT_REVOKED;
    default: return X509_V_ERR_APPLICATION_VERIFICATION;
  }
}

int check_peer(X509_STORE_CTX* x, void* argument) {
  const auto& state = *static_cast<const tls_context::state*>(argument);
  auto text = std::string{};
  auto why = refusal::malformed;
  try {
    why = state.consider(x, text);
  } catch (const std::exception& problem) { // must not cross OpenSSL's C frames
    text = problem.what();
  }
  if (why == refusal::none)
    return 1;
  if (X509_STORE_CTX_get_error(x) == X509_V_OK)
    X509_STORE_CTX_set_error(x, error_for(why));
  state.refuse(connection_of(x), why, text);
  return 0;
}

/// The alerts that we send tell of the refusals that no certificate check sees.
void watch_alerts(const SSL* connection, int where, int detail) {
  constexpr auto no_certificate_alert = 116; // RFC 8446: certificate_required
  if ((where & SSL_CB_WRITE_ALERT) != SSL_CB_WRITE_ALERT || (detail >> 8) != SSL3_AL_FATAL ||
      refusal_of(connection) != refusal::none)
    return;
  const auto alert = detail & 0xff;
  const auto why = alert == no_certificate_alert      ? refusal::no_certificate
                   : alert == SSL_AD_PROTOCOL_VERSION ? refusal::old_protocol
                                                      : refusal::malformed;
  state_of(connection).refuse(const_cast<SSL*>(connection), why, SSL_alert_desc_string_long(detail));
}

} // namespace

tls_context::state::state(tls_settings x)
    : settings{std::move(x)}, files{trust_files_in(settings.directory)},
      native{make_context(settings.side == tls_side::server ? TLS_server_method() : TLS_client_method())},
      authority{openssl::read_certificate(must_read(files.authority))}, seen{on_disk()} {
  mine = read_credentials(files);
  const auto raw = native.get();
  if (X509_STORE_add_cert(SSL_CTX_get_cert_store(raw), authority.get()) != 1)
    openssl::fail("cannot trust " + files.authority.string());
  SSL_CTX_set_app_data(raw, this);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | (settings.certificate_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  SSL_CTX_set_cert_verify_callback(raw, check_peer, this);
  SSL_CTX_set_cert_cb(raw, show_certificate, this);
  SSL_CTX_set_info_callback(raw, watch_alerts);
  // Without this OpenSSL would add certificates it finds in the store to ours.
  SSL_CTX_set_mode(raw, SSL_MODE_NO_AUTO_CHAIN);
}

std::shared_ptr<const credentials> tls_context::state::newest() {
  const auto lock = std::lock_guard{mutex};
  const auto now = on_disk();
  if (now != seen)
    try {
      mine = read_credentials(files);
      seen = now;
    } catch (const std::exception&) { // half replaced: what we have still works, the next handshake looks again
      ERR_clear_error();
    }
  return mine;
}

refusal tls_context::state::consider(X509_STORE_CTX* x, std::string& text) const {
  X509_STORE_CTX_set_time(x, 0, openssl::to_time_t(settings.now()));
  if (X509_verify_cert(x) != 1) {
    const auto code = X509_STORE_CTX_get_error(x);
    text = X509_verify_cert_error_string(code);
    return openssl::refusal_of_error(code == X509_V_OK ? X509_V_ERR_UNSPECIFIED : code);
  }
  const auto who = openssl::identity_of(X509_STORE_CTX_get0_cert(x));
  if (!who) {
    text = "no novacron://role/name in the certificate";
    return refusal::no_identity;
  }
  text = who->role + '/' + who->name + ", serial " + who->serial;
  const auto& roles = settings.roles;
  if (!roles.empty() && std::find(roles.begin(), roles.end(), who->role) == roles.end())
    return refusal::wrong_role;
  if (!settings.peer.empty() && settings.peer != who->name)
    return refusal::wrong_name;
  if (settings.denied && settings.denied->contains(who->serial))
    return refusal::denied;
  return refusal::none;
}

void tls_context::state::refuse(SSL* connection, refusal why, std::string_view text) const {
  remember(connection, why);
  if (settings.refused)
    settings.refused(why, text);
}

trust_files trust_files_in(const std::filesystem::path& directory) {
  return {directory / "ca.pem", directory / "cert.pem", directory / "key.pem", directory / "ca.key"};
}

tls_context::tls_context(tls_settings settings) : state_{std::make_unique<state>(std::move(settings))} {}
tls_context::~tls_context() = default;

SSL_CTX* tls_context::native() const {
  return state_->native.get();
}

identity tls_context::self() const {
  return state_->newest()->self;
}

std::shared_ptr<tls_context> make_tls_context(tls_settings settings) {
  return std::make_shared<tls_context>(std::move(settings));
}

std::optional<identity> peer_identity(const SSL* connection) {
  const auto* certificate = SSL_get0_peer_certificate(connection);
  if (certificate == nullptr || SSL_get_verify_result(connection) != X509_V_OK)
    return {};
  return openssl::identity_of(certificate);
}

refusal refusal_of(const SSL* connection) {
  return static_cast<refusal>(reinterpret_cast<std::uintptr_t>(SSL_get_ex_data(connection, refusal_slot())));
}

std::string tls_problem() {
  return openssl::last_problem();
}

struct joining_context::state {
  std::string fingerprint;
  std::function<wall_time()> now;
  context native;
  mutable std::mutex mutex;
  std::string authority;
};

namespace {

X509* find_authority(STACK_OF(X509) * chain, const std::string& fingerprint) {
  for (auto i = 0; chain != nullptr && i < sk_X509_num(chain); ++i)
    if (equal_secretly(openssl::fingerprint_of(sk_X509_value(chain, i)), fingerprint))
      return sk_X509_value(chain, i);
  return nullptr;
}

refusal consider_controller(X509_STORE_CTX* x, joining_context::state& state) {
  auto* chain = X509_STORE_CTX_get0_untrusted(x);
  auto* authority = find_authority(chain, state.fingerprint);
  if (authority == nullptr)
    return refusal::wrong_authority;
  const auto found = judge(openssl::to_pem(X509_STORE_CTX_get0_cert(x)), openssl::to_pem(authority), state.now());
  if (found.why != refusal::none)
    return found.why;
  if (found.who.role != "cloud" && found.who.role != "hybrid")
    return refusal::wrong_role;
  const auto lock = std::lock_guard{state.mutex};
  state.authority = openssl::to_pem(authority);
  return refusal::none;
}

int check_controller(X509_STORE_CTX* x, void* argument) {
  auto why = refusal::malformed;
  try {
    why = consider_controller(x, *static_cast<joining_context::state*>(argument));
  } catch (const std::exception&) { // must not cross OpenSSL's C frames
    why = refusal::malformed;
  }
  X509_STORE_CTX_set_error(x, why == refusal::none ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
  remember(connection_of(x), why);
  return why == refusal::none ? 1 : 0;
}

} // namespace

joining_context::joining_context(std::string fingerprint, std::function<wall_time()> now)
    : state_{new state{std::move(fingerprint), std::move(now), make_context(TLS_client_method()), {}, {}}} {
  SSL_CTX_set_verify(state_->native.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(state_->native.get(), check_controller, state_.get());
}

joining_context::~joining_context() = default;

SSL_CTX* joining_context::native() const {
  return state_->native.get();
}

std::string joining_context::authority() const {
  const auto lock = std::lock_guard{state_->mutex};
  return state_->authority;
}

} // namespace novacron::host
