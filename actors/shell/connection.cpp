#include "actors/shell/connection.hpp"

#include "actors/shell/interrupt.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <system_error>

namespace novacron::shell {
namespace {

using namespace std::chrono;

std::string tls_reason() {
  const auto code = ::ERR_get_error();
  const auto* reason = ::ERR_reason_error_string(code);
  ::ERR_clear_error();
  return reason ? reason : "the connection broke";
}

/// The names of the form novacron://role/name in a certificate.
std::vector<std::string> uris(X509* certificate) {
  auto found = std::vector<std::string>{};
  auto* names = static_cast<GENERAL_NAMES*>(::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (auto i = 0; i < sk_GENERAL_NAME_num(names); ++i)
    if (const auto* x = sk_GENERAL_NAME_value(names, i); x->type == GEN_URI) {
      const auto* text = x->d.uniformResourceIdentifier;
      found.emplace_back(reinterpret_cast<const char*>(::ASN1_STRING_get0_data(text)),
                         static_cast<std::size_t>(::ASN1_STRING_length(text)));
    }
  ::GENERAL_NAMES_free(names);
  return found;
}

} // namespace

client::connection::connection(const target& to, const std::filesystem::path& trust, instant deadline)
    : name{to.text()}, buffer(64u << 10, '\0') {
  try {
    if (!to.socket.empty())
      connect_socket(to);
    else {
      connect_host(to, deadline);
      start_tls(to, trust, deadline);
    }
  } catch (...) {
    if (socket != -1)
      ::close(socket);
    throw;
  }
}

client::connection::~connection() {
  if (tls)
    ::SSL_shutdown(tls.get());
  if (socket != -1)
    ::close(socket);
}

void client::connection::connect_socket(const target& to) {
  auto address = sockaddr_un{};
  address.sun_family = AF_UNIX;
  if (to.socket.size() >= sizeof address.sun_path)
    throw failure{exit_code::usage, fmt::format("the path {} is too long for a socket ({} characters at most)",
                                                to.socket, sizeof address.sun_path - 1)};
  std::memcpy(address.sun_path, to.socket.data(), to.socket.size());
  socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return;
  if (errno == EACCES || errno == EPERM)
    throw failure{exit_code::denied,
                  fmt::format("this user may not use the fabric at {}; try it as the user who runs it", to.socket)};
  if (errno == EAGAIN)
    throw failure{exit_code::unreachable, fmt::format("the fabric at {} is too busy to take calls", to.socket)};
  throw failure{exit_code::unreachable,
                fmt::format("no fabric found at {}; start one with `novacron dev`, or say where it is with --connect",
                            to.socket)};
}

void client::connection::connect_host(const target& to, instant deadline) {
  auto hints = addrinfo{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const auto error = ::getaddrinfo(to.host.c_str(), to.port.c_str(), &hints, &list))
    throw failure{exit_code::unreachable, fmt::format("cannot find {}: {}", to.host, ::gai_strerror(error))};
  const auto owner = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>{list, ::freeaddrinfo};
  auto reason = std::string{"it has no address"};
  for (const auto* x = list; x; x = x->ai_next) {
    if (socket != -1)
      ::close(socket);
    socket = ::socket(x->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    auto error = ::connect(socket, x->ai_addr, x->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      wait(POLLOUT, deadline);
      auto size = socklen_t{sizeof error};
      ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (error == 0) {
      const auto on = 1;
      ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return;
    }
    reason = std::strerror(error);
  }
  throw failure{exit_code::unreachable,
                fmt::format("no fabric found at {}: {}; is it running, and is its `api` address set?", name, reason)};
}

void client::connection::start_tls(const target& to, const std::filesystem::path& trust, instant deadline) {
  context.reset(::SSL_CTX_new(::TLS_client_method()));
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  const auto file = [&](const char* x) { return (trust / x).string(); };
  const auto need = [&](int ok, const char* x) {
    if (ok == 1)
      return;
    auto ignored = std::error_code{};
    const auto reason = tls_reason();
    throw failure{exit_code::usage,
                  fmt::format("cannot use {} for {}: {}; --trust-dir names the directory with ca.pem, "
                              "cert.pem and key.pem",
                              file(x), name,
                              std::filesystem::exists(file(x), ignored) ? reason : "there is no such file")};
  };
  need(::SSL_CTX_load_verify_locations(context.get(), file("ca.pem").c_str(), nullptr), "ca.pem");
  need(::SSL_CTX_use_certificate_chain_file(context.get(), file("cert.pem").c_str()), "cert.pem");
  need(::SSL_CTX_use_PrivateKey_file(context.get(), file("key.pem").c_str(), SSL_FILETYPE_PEM), "key.pem");
  tls.reset(::SSL_new(context.get()));
  ::SSL_set_fd(tls.get(), socket);
  ::SSL_set_tlsext_host_name(tls.get(), to.host.c_str());
  while (true) {
    const auto result = ::SSL_connect(tls.get());
    if (result == 1)
      break;
    if (!wanted(result, deadline)) {
      const auto verified = ::SSL_get_verify_result(tls.get());
      const auto reason = verified == X509_V_OK ? tls_reason() : ::X509_verify_cert_error_string(verified);
      throw failure{exit_code::denied, fmt::format("{} and we do not trust each other: {}", name, reason)};
    }
  }
  check_peer(to);
}

/// The private authority certifies every node; only those that lead may speak for the fabric, so that a stolen edge
/// box cannot pose as its controller.
void client::connection::check_peer(const target& to) {
  const auto peer = std::unique_ptr<X509, decltype(&::X509_free)>{::SSL_get1_peer_certificate(tls.get()), ::X509_free};
  const auto names = peer ? uris(peer.get()) : std::vector<std::string>{};
  const auto leads = [](const std::string& x) {
    return x.starts_with("novacron://cloud/") || x.starts_with("novacron://hybrid/");
  };
  if (std::ranges::none_of(names, leads))
    throw failure{exit_code::denied, fmt::format("{} is certified as '{}', not as a cloud or hybrid node", to.text(),
                                                 names.empty() ? "nobody" : names.front())};
}

short client::connection::wanted(int result, instant deadline) const {
  const auto error = ::SSL_get_error(tls.get(), result);
  const auto events = error == SSL_ERROR_WANT_READ ? POLLIN : error == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
  if (events)
    wait(static_cast<short>(events), deadline);
  return static_cast<short>(events);
}

void client::connection::wait(short events, instant deadline) const {
  while (true) {
    const auto left = duration_cast<milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0)
      throw failure{exit_code::timeout, fmt::format("{} gave no answer in time; a longer --timeout may help", name)};
    if (interrupt::wait(socket, events, static_cast<int>(std::min<long long>(left + 1, 60'000))) != 0)
      return;
  }
}

void client::connection::write(std::string_view bytes, instant deadline) {
  while (!bytes.empty()) {
    if (tls) {
      const auto result =
          ::SSL_write(tls.get(), bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), 1u << 20)));
      if (result > 0)
        bytes.remove_prefix(static_cast<std::size_t>(result));
      else if (!wanted(result, deadline))
        throw failure{exit_code::unreachable, fmt::format("the connection to {} broke: {}", name, tls_reason())};
      continue;
    }
    const auto count = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count > 0)
      bytes.remove_prefix(static_cast<std::size_t>(count));
    else if (errno == EAGAIN)
      wait(POLLOUT, deadline);
    else if (errno != EINTR)
      throw failure{exit_code::unreachable, fmt::format("the connection to {} broke: {}", name, std::strerror(errno))};
  }
}

std::string_view client::connection::read(instant deadline) {
  while (true) {
    if (tls) {
      const auto count = ::SSL_read(tls.get(), buffer.data(), static_cast<int>(buffer.size()));
      if (count > 0)
        return {buffer.data(), static_cast<std::size_t>(count)};
      if (::SSL_get_error(tls.get(), count) == SSL_ERROR_ZERO_RETURN)
        return {};
      if (!wanted(count, deadline))
        throw failure{exit_code::unreachable, fmt::format("{} ended the connection: {}", name, tls_reason())};
      continue;
    }
    const auto count = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (count >= 0)
      return {buffer.data(), static_cast<std::size_t>(count)};
    if (errno == EAGAIN)
      wait(POLLIN, deadline);
    else if (errno != EINTR)
      throw failure{exit_code::unreachable, fmt::format("the connection to {} broke: {}", name, std::strerror(errno))};
  }
}

bool client::connection::stale() const {
  auto x = pollfd{socket, POLLIN, 0};
  return ::poll(&x, 1, 0) != 0;
}

} // namespace novacron::shell
