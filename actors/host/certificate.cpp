#include "actors/host/certificate.hpp"

#include "actors/host/certificate_openssl.hpp"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace novacron::host {
namespace openssl {

std::string last_problem() {
  auto text = std::array<char, 256>{};
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0)
    return "unknown";
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

void fail(const std::string& what) {
  throw certificate_error{what + " (" + last_problem() + ')'};
}

std::time_t to_time_t(wall_time x) {
  return std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(x));
}

namespace {

bio reader(const std::string& text) {
  return bio{BIO_new_mem_buf(text.data(), static_cast<int>(std::min<std::size_t>(text.size(), 1u << 20)))};
}

/// No passphrase, and never a question at the terminal.
int no_passphrase(char*, int, int, void*) {
  return 0;
}

template <class Write>
std::string written(Write write) {
  const auto out = bio{BIO_new(BIO_s_mem())};
  if (write(out.get()) != 1)
    fail("cannot write PEM");
  char* bytes = nullptr;
  const auto length = BIO_get_mem_data(out.get(), &bytes);
  return {bytes, static_cast<std::size_t>(length)};
}

void require(bool held, const char* what) {
  if (!held)
    fail(what);
}

void set_time(ASN1_TIME* into, wall_time x) {
  require(ASN1_TIME_set(into, to_time_t(x)) != nullptr, "cannot set a time");
}

wall_time time_of(const ASN1_TIME* x) {
  auto parts = std::tm{};
  if (x == nullptr || ASN1_TIME_to_tm(x, &parts) != 1)
    fail("not a time");
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

void set_random_serial(X509* x) {
  const auto serial = number{BN_new()};
  require(serial && BN_rand(serial.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1, "no random serial");
  require(BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(x)) != nullptr, "cannot set the serial");
}

void set_name(X509_NAME* into, std::string_view text) {
  require(X509_NAME_add_entry_by_txt(into, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()), -1, 0) == 1,
          "cannot set a name");
}

extension make_extension(X509V3_CTX* context, int kind, const std::string& value) {
  auto made = extension{X509V3_EXT_nconf_nid(nullptr, context, kind, value.c_str())};
  require(made != nullptr, "cannot make an extension");
  return made;
}

void add_extension(X509* to, const X509* issuer, int kind, const std::string& value) {
  auto context = X509V3_CTX{};
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, const_cast<X509*>(issuer), to, nullptr, nullptr, 0);
  require(X509_add_ext(to, make_extension(&context, kind, value).get(), -1) == 1, "cannot add an extension");
}

/// A certificate with everything but extensions and signature.
certificate blank(EVP_PKEY* owner, std::string_view name, wall_time from, wall_time to) {
  auto made = certificate{X509_new()};
  require(made && X509_set_version(made.get(), 2) == 1, "cannot make a certificate");
  set_random_serial(made.get());
  set_time(X509_getm_notBefore(made.get()), from);
  set_time(X509_getm_notAfter(made.get()), to);
  set_name(X509_get_subject_name(made.get()), name);
  require(X509_set_pubkey(made.get(), owner) == 1, "cannot set the public key");
  return made;
}

std::string identity_uri(std::string_view name, std::string_view role) {
  return "novacron://" + std::string{role} + '/' + std::string{name};
}

/// The one `novacron://` URI among `all`; empty when there is none, or more than one.
std::string identity_uri_of(const GENERAL_NAMES* all) {
  auto found = std::string{};
  for (auto i = 0; all != nullptr && i < sk_GENERAL_NAME_num(all); ++i) {
    const auto* one = sk_GENERAL_NAME_value(all, i);
    if (one->type != GEN_URI)
      continue;
    const auto text =
        std::string{reinterpret_cast<const char*>(ASN1_STRING_get0_data(one->d.uniformResourceIdentifier)),
                    static_cast<std::size_t>(ASN1_STRING_length(one->d.uniformResourceIdentifier))};
    if (!text.starts_with("novacron://"))
      continue;
    if (!found.empty())
      return {};
    found = text;
  }
  return found;
}

struct name_and_role {
  std::string name;
  std::string role;
};

std::optional<name_and_role> parse_identity_uri(std::string_view uri) {
  constexpr auto scheme = std::string_view{"novacron://"};
  if (!uri.starts_with(scheme))
    return {};
  uri.remove_prefix(scheme.size());
  const auto slash = uri.find('/');
  if (slash == uri.npos || !role_exists(uri.substr(0, slash)) || !name_is_valid(uri.substr(slash + 1)))
    return {};
  return name_and_role{std::string{uri.substr(slash + 1)}, std::string{uri.substr(0, slash)}};
}

std::string serial_of(const X509* x) {
  const auto serial = number{ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), nullptr)};
  if (!serial)
    fail("no serial");
  auto bytes = std::string(static_cast<std::size_t>(BN_num_bytes(serial.get())), '\0');
  BN_bn2bin(serial.get(), reinterpret_cast<unsigned char*>(bytes.data()));
  return to_hex(bytes);
}

bool is_p256(EVP_PKEY* x) {
  auto group = std::array<char, 32>{};
  auto length = std::size_t{0};
  return x != nullptr && EVP_PKEY_is_a(x, "EC") == 1 &&
         EVP_PKEY_get_group_name(x, group.data(), group.size(), &length) == 1 &&
         std::string_view{group.data(), length} == "prime256v1";
}

/// The request, once its signature, key and identity are what they must be.
request read_request(const std::string& pem, std::string_view name, std::string_view role) {
  auto asked = request{PEM_read_bio_X509_REQ(reader(pem).get(), nullptr, no_passphrase, nullptr)};
  if (!asked)
    fail("not a certificate request");
  auto* owner = X509_REQ_get0_pubkey(asked.get());
  if (!is_p256(owner))
    throw certificate_error{"the request's key is not EC P-256"};
  if (X509_REQ_verify(asked.get(), owner) != 1)
    fail("the request is not signed by its own key");
  auto* extensions = X509_REQ_get_extensions(asked.get());
  const auto all =
      names{static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions, NID_subject_alt_name, nullptr, nullptr))};
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  if (identity_uri_of(all.get()) != identity_uri(name, role))
    throw certificate_error{"the request does not ask for " + identity_uri(name, role)};
  return asked;
}

} // namespace

std::string to_pem(const X509* x) {
  return written([&](BIO* out) { return PEM_write_bio_X509(out, const_cast<X509*>(x)); });
}

key read_key(const std::string& pem) {
  auto found = key{PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, no_passphrase, nullptr)};
  if (!found)
    fail("not a private key");
  return found;
}

certificate read_certificate(const std::string& pem) {
  auto found = certificate{PEM_read_bio_X509(reader(pem).get(), nullptr, no_passphrase, nullptr)};
  if (!found)
    fail("not a certificate");
  return found;
}

std::vector<certificate> read_certificates(const std::string& pem) {
  auto all = std::vector<certificate>{};
  const auto source = reader(pem);
  constexpr auto chain_length_max = 8;
  while (all.size() < chain_length_max) {
    auto one = certificate{PEM_read_bio_X509(source.get(), nullptr, no_passphrase, nullptr)};
    if (!one)
      break;
    all.push_back(std::move(one));
  }
  ERR_clear_error(); // the end of the text is an error to OpenSSL
  return all;
}

std::optional<identity> identity_of(const X509* x) {
  const auto all = names{static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x, NID_subject_alt_name, nullptr, nullptr))};
  const auto found = parse_identity_uri(identity_uri_of(all.get()));
  if (!found)
    return {};
  return identity{found->name, found->role, serial_of(x), time_of(X509_get0_notBefore(x)),
                  time_of(X509_get0_notAfter(x))};
}

std::string fingerprint_of(const X509* x) {
  auto bytes = std::array<unsigned char, EVP_MAX_MD_SIZE>{};
  auto length = 0u;
  require(X509_digest(x, EVP_sha256(), bytes.data(), &length) == 1, "cannot take a fingerprint");
  return to_hex({reinterpret_cast<const char*>(bytes.data()), length});
}

refusal refusal_of_error(int code) {
  switch (code) {
    case X509_V_OK: return refusal::none;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return refusal::self_signed;
    case X509_V_ERR_CERT_HAS_EXPIRED: return refusal::expired;
    case X509_V_ERR_CERT_NOT_YET_VALID: return refusal::not_yet_valid;
    case X509_V_ERR_CERT_REVOKED: return refusal::denied;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_INVALID_CA: return refusal::wrong_authority;
    default: return refusal::malformed;
  }
}

} // namespace openssl

namespace {

/// X509_verify_cert at a given time, against one authority.
int verify_at(X509* leaf, X509* authority, wall_time now) {
  const auto trusted = openssl::store{X509_STORE_new()};
  const auto context = openssl::store_context{X509_STORE_CTX_new()};
  openssl::require(trusted && context && X509_STORE_add_cert(trusted.get(), authority) == 1,
                   "cannot trust the authority");
  openssl::require(X509_STORE_CTX_init(context.get(), trusted.get(), leaf, nullptr) == 1, "cannot verify");
  X509_STORE_CTX_set_time(context.get(), 0, openssl::to_time_t(now));
  if (X509_verify_cert(context.get()) == 1)
    return X509_V_OK;
  const auto code = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  return code == X509_V_OK ? X509_V_ERR_UNSPECIFIED : code;
}

} // namespace

std::string_view to_string(refusal x) {
  constexpr auto texts = std::array<std::string_view, 12>{
      "none",        "no_certificate", "self_signed", "wrong_authority", "expired",      "not_yet_valid",
      "no_identity", "wrong_role",     "wrong_name",  "denied",          "old_protocol", "malformed"};
  return texts[static_cast<std::size_t>(x)];
}

std::vector<refusal> all_refusals() {
  auto all = std::vector<refusal>{};
  for (auto i = 1; i <= static_cast<int>(refusal::malformed); ++i)
    all.push_back(static_cast<refusal>(i));
  return all;
}

bool role_exists(std::string_view role) {
  constexpr auto roles =
      std::array<std::string_view, 7>{"cloud", "hybrid", "edge", "gpu", "storage", "gateway", "person"};
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

bool name_is_valid(std::string_view name) {
  constexpr auto length_max = std::size_t{63}; // a DNS label
  return !name.empty() && name.size() <= length_max && name.front() != '-' && name.back() != '-' &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

std::string make_key() {
  const auto made = openssl::key{EVP_EC_gen("P-256")};
  openssl::require(made != nullptr, "cannot make a key");
  return openssl::written([&](BIO* out) { //
    return PEM_write_bio_PKCS8PrivateKey(out, made.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

key_and_certificate make_authority(std::string_view fabric, wall_time now, std::chrono::seconds life) {
  auto key_text = make_key();
  const auto key = openssl::read_key(key_text);
  const auto name = std::string{fabric.substr(0, 40)} + " authority";
  const auto made = openssl::blank(key.get(), name, now - certificate_backdate, now + life);
  openssl::require(X509_set_issuer_name(made.get(), X509_get_subject_name(made.get())) == 1, "cannot set the issuer");
  openssl::add_extension(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  openssl::add_extension(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  openssl::add_extension(made.get(), made.get(), NID_subject_key_identifier, "hash");
  openssl::require(X509_sign(made.get(), key.get(), EVP_sha256()) > 0, "cannot sign");
  return {std::move(key_text), openssl::to_pem(made.get())};
}

std::string make_request(const std::string& key_text, std::string_view name, std::string_view role) {
  if (!name_is_valid(name) || !role_exists(role))
    throw certificate_error{"no such identity: " + openssl::identity_uri(name, role)};
  const auto key = openssl::read_key(key_text);
  const auto made = openssl::request{X509_REQ_new()};
  openssl::require(made && X509_REQ_set_pubkey(made.get(), key.get()) == 1, "cannot make a request");
  openssl::set_name(X509_REQ_get_subject_name(made.get()), name);
  auto* extensions = sk_X509_EXTENSION_new_null();
  sk_X509_EXTENSION_push(
      extensions,
      openssl::make_extension(nullptr, NID_subject_alt_name, "URI:" + openssl::identity_uri(name, role)).release());
  const auto added = X509_REQ_add_extensions(made.get(), extensions);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  openssl::require(added == 1, "cannot add extensions");
  openssl::require(X509_REQ_sign(made.get(), key.get(), EVP_sha256()) > 0, "cannot sign the request");
  return openssl::written([&](BIO* out) { return PEM_write_bio_X509_REQ(out, made.get()); });
}

std::string issue(const key_and_certificate& authority, const std::string& request, std::string_view name,
                  std::string_view role, wall_time now, std::chrono::seconds life) {
  if (!name_is_valid(name) || !role_exists(role))
    throw certificate_error{"no such identity: " + openssl::identity_uri(name, role)};
  const auto asked = openssl::read_request(request, name, role);
  const auto issuer = openssl::read_certificate(authority.certificate);
  const auto key = openssl::read_key(authority.key);
  const auto made = openssl::blank(X509_REQ_get0_pubkey(asked.get()), name, now - certificate_backdate, now + life);
  openssl::require(X509_set_issuer_name(made.get(), X509_get_subject_name(issuer.get())) == 1, "cannot set the issuer");
  openssl::add_extension(made.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  openssl::add_extension(made.get(), issuer.get(), NID_key_usage, "critical,digitalSignature");
  openssl::add_extension(made.get(), issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  openssl::add_extension(made.get(), issuer.get(), NID_subject_key_identifier, "hash");
  openssl::add_extension(made.get(), issuer.get(), NID_authority_key_identifier, "keyid");
  // The DNS name and the loopback let ordinary HTTP clients check the host they talk to.
  openssl::add_extension(made.get(), issuer.get(), NID_subject_alt_name,
                         "URI:" + openssl::identity_uri(name, role) + ",DNS:" + std::string{name} +
                             ",DNS:localhost,IP:127.0.0.1");
  openssl::require(X509_sign(made.get(), key.get(), EVP_sha256()) > 0, "cannot sign");
  return openssl::to_pem(made.get());
}

std::optional<identity> read_identity(const std::string& certificate) {
  try {
    return openssl::identity_of(openssl::read_certificate(certificate).get());
  } catch (const certificate_error&) {
    return {};
  }
}

wall_time end_of(const std::string& certificate) {
  return openssl::time_of(X509_get0_notAfter(openssl::read_certificate(certificate).get()));
}

bool belongs_to(const std::string& key, const std::string& certificate) {
  const auto same =
      X509_check_private_key(openssl::read_certificate(certificate).get(), openssl::read_key(key).get()) == 1;
  ERR_clear_error();
  return same;
}

void deny_list::replace(std::set<std::string> serials) {
  const auto lock = std::lock_guard{mutex_};
  serials_ = std::move(serials);
  none_.store(serials_.empty(), std::memory_order_release);
}

void deny_list::add(std::string serial) {
  const auto lock = std::lock_guard{mutex_};
  serials_.insert(std::move(serial));
  none_.store(false, std::memory_order_release);
}

bool deny_list::lists(const std::string& serial) const {
  const auto lock = std::lock_guard{mutex_};
  return serials_.contains(serial);
}

std::set<std::string> deny_list::all() const {
  const auto lock = std::lock_guard{mutex_};
  return serials_;
}

verdict judge(const std::string& chain, const std::string& authority, wall_time now, const deny_list* denied) {
  const auto given = openssl::read_certificates(chain);
  if (given.empty())
    return {refusal::no_certificate, {}, "no certificate"};
  try {
    const auto code = verify_at(given.front().get(), openssl::read_certificate(authority).get(), now);
    if (code != X509_V_OK)
      return {openssl::refusal_of_error(code), {}, X509_verify_cert_error_string(code)};
    const auto who = openssl::identity_of(given.front().get());
    if (!who)
      return {refusal::no_identity, {}, "no novacron://role/name in the certificate"};
    if (denied != nullptr && denied->contains(who->serial))
      return {refusal::denied, *who, "serial " + who->serial + " is on the deny list"};
    return {refusal::none, *who, {}};
  } catch (const certificate_error& problem) {
    return {refusal::malformed, {}, problem.what()};
  }
}

namespace {

std::string to_be_signed(std::string_view purpose, std::string_view bytes) {
  auto all = "novacron " + std::string{purpose};
  all += '\0';
  return all.append(bytes);
}

const unsigned char* raw(std::string_view x) {
  return reinterpret_cast<const unsigned char*>(x.data());
}

} // namespace

std::string sign(const std::string& key_text, std::string_view purpose, std::string_view bytes) {
  const auto key = openssl::read_key(key_text);
  const auto context = openssl::digest{EVP_MD_CTX_new()};
  const auto whole = to_be_signed(purpose, bytes);
  auto length = std::size_t{0};
  openssl::require(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
                       EVP_DigestSign(context.get(), nullptr, &length, raw(whole), whole.size()) == 1,
                   "cannot sign");
  auto signature = std::string(length, '\0');
  openssl::require(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                                  raw(whole), whole.size()) == 1,
                   "cannot sign");
  signature.resize(length);
  return signature;
}

bool is_signed(const std::string& certificate, std::string_view purpose, std::string_view bytes,
               std::string_view signature) {
  try {
    const auto owner = openssl::read_certificate(certificate);
    const auto context = openssl::digest{EVP_MD_CTX_new()};
    const auto whole = to_be_signed(purpose, bytes);
    const auto good =
        EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, X509_get0_pubkey(owner.get())) == 1 &&
        EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(whole), whole.size()) == 1;
    ERR_clear_error();
    return good;
  } catch (const certificate_error&) {
    return false;
  }
}

std::string fingerprint(const std::string& certificate) {
  return openssl::fingerprint_of(openssl::read_certificate(certificate).get());
}

std::string sha256(std::string_view bytes) {
  auto out = std::string(32, '\0');
  auto length = 0u;
  openssl::require(EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()), &length,
                              EVP_sha256(), nullptr) == 1,
                   "cannot hash");
  return out;
}

std::string random_bytes(std::size_t count) {
  auto out = std::string(count, '\0');
  openssl::require(RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) == 1,
                   "no randomness");
  return out;
}

bool equal_secretly(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_hex(std::string_view bytes) {
  constexpr auto digits = "0123456789abcdef";
  auto out = std::string{};
  for (const auto c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

} // namespace novacron::host
