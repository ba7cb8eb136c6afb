#pragma once

/// The owners of OpenSSL's objects and what certificate.cpp and tls.cpp both need of them.

#include "actors/host/certificate.hpp"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

namespace novacron::host::openssl {

template <auto Free>
struct freer {
  template <class T>
  void operator()(T* x) const {
    Free(x);
  }
};

using bio = std::unique_ptr<BIO, freer<BIO_free_all>>;
using key = std::unique_ptr<EVP_PKEY, freer<EVP_PKEY_free>>;
using digest = std::unique_ptr<EVP_MD_CTX, freer<EVP_MD_CTX_free>>;
using certificate = std::unique_ptr<X509, freer<X509_free>>;
using request = std::unique_ptr<X509_REQ, freer<X509_REQ_free>>;
using store = std::unique_ptr<X509_STORE, freer<X509_STORE_free>>;
using store_context = std::unique_ptr<X509_STORE_CTX, freer<X509_STORE_CTX_free>>;
using extension = std::unique_ptr<X509_EXTENSION, freer<X509_EXTENSION_free>>;
using names = std::unique_ptr<GENERAL_NAMES, freer<GENERAL_NAMES_free>>;
using number = std::unique_ptr<BIGNUM, freer<BN_free>>;

/// What OpenSSL says went wrong last; empties its queue.
std::string last_problem();
/// Throws certificate_error with `what` and OpenSSL's reason.
[[noreturn]] void fail(const std::string& what);

key read_key(const std::string& pem);
certificate read_certificate(const std::string& pem);
std::string to_pem(const X509* x);
std::vector<certificate> read_certificates(const std::string& pem);
std::optional<identity> identity_of(const X509* x);
std::string fingerprint_of(const X509* x);
/// What an error code of X509_verify_cert means to us.
refusal refusal_of_error(int code);
std::time_t to_time_t(wall_time x);

} // namespace novacron::host::openssl
