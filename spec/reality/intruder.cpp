#include "spec/reality/intruder.hpp"

#include "actors/host/secure_file.hpp"

#include <caf/io/basp_broker.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <thread>
#include <utility>

namespace novacron::spec {
namespace {

using monotonic = std::chrono::steady_clock;
using namespace std::chrono_literals;

struct free_tls {
  void operator()(SSL* x) const { SSL_free(x); }
  void operator()(SSL_CTX* x) const { SSL_CTX_free(x); }
};

void show(SSL_CTX* at, const shown_papers& what) {
  if (what.certificate.empty())
    return;
  auto* certificate_text = BIO_new_mem_buf(what.certificate.data(), static_cast<int>(what.certificate.size()));
  auto* key_text = BIO_new_mem_buf(what.key.data(), static_cast<int>(what.key.size()));
  auto* certificate = PEM_read_bio_X509(certificate_text, nullptr, nullptr, nullptr);
  auto* key = PEM_read_bio_PrivateKey(key_text, nullptr, nullptr, nullptr);
  SSL_CTX_use_certificate(at, certificate);
  SSL_CTX_use_PrivateKey(at, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  BIO_free(certificate_text);
  BIO_free(key_text);
}

} // namespace

shown_papers papers_by(const host::key_and_certificate& authority, const std::string& name, const std::string& role,
                       host::wall_time at) {
  const auto key = host::make_key();
  return {host::issue(authority, host::make_request(key, name, role), name, role, at), key};
}

struct intruder::state {
  int fd = -1;
  std::unique_ptr<SSL_CTX, free_tls> context;
  std::unique_ptr<SSL, free_tls> session;

  bool ready(short events, monotonic::time_point until) const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - monotonic::now()).count();
    auto one = pollfd{fd, events, 0};
    return left > 0 && ::poll(&one, 1, static_cast<int>(left)) > 0;
  }

  bool finish(monotonic::time_point until) const {
    for (;;) {
      ERR_clear_error();
      const auto result = SSL_do_handshake(session.get());
      if (result == 1)
        return true;
      const auto why = SSL_get_error(session.get(), result);
      if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        return false;
      if (!ready(why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until))
        return false;
    }
  }
};

intruder::intruder(std::uint16_t port) : state_{std::make_unique<state>()} {
  auto address = sockaddr_in{};
  address.sin_family = AF_INET;
  address.sin_port = ::htons(port);
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  state_->fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(state_->fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error{"nobody listens on port " + std::to_string(port)};
  const auto yes = 1;
  ::setsockopt(state_->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

intruder::~intruder() {
  state_->session.reset();
  ::close(state_->fd);
}

void intruder::send_plain(std::string_view bytes) const {
  while (!bytes.empty()) {
    const auto count = ::send(state_->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0)
      return; // cut off: what the caller wants to see
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

bool intruder::shake_hands(const shown_papers& shown, int version_max, std::chrono::milliseconds pause) {
  auto& x = *state_;
  x.context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(x.context.get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_security_level(x.context.get(), 0);
  if (version_max != 0) {
    SSL_CTX_set_min_proto_version(x.context.get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(x.context.get(), version_max);
  }
  show(x.context.get(), shown);
  x.session.reset(SSL_new(x.context.get()));
  SSL_set_connect_state(x.session.get());
  if (pause > 0ms) {
    // The first flight into memory, and from there in two halves onto the wire.
    SSL_set_bio(x.session.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_do_handshake(x.session.get());
    char* bytes = nullptr;
    const auto count = static_cast<std::size_t>(BIO_get_mem_data(SSL_get_wbio(x.session.get()), &bytes));
    const auto flight = std::string{bytes, count};
    send_plain(flight.substr(0, count / 2));
    std::this_thread::sleep_for(pause);
    send_plain(flight.substr(count / 2));
  }
  SSL_set_fd(x.session.get(), x.fd);
  return x.finish(monotonic::now() + 5s);
}

void intruder::send(std::string_view bytes) const {
  SSL_write(state_->session.get(), bytes.data(), static_cast<int>(bytes.size()));
  ERR_clear_error();
}

std::string intruder::receive(std::chrono::milliseconds patience) const {
  auto block = std::array<char, 16384>{};
  const auto until = monotonic::now() + patience;
  for (;;) {
    const auto waiting = state_->session && SSL_pending(state_->session.get()) > 0;
    if (!waiting && !state_->ready(POLLIN, until))
      return {};
    const auto count = state_->session ? SSL_read(state_->session.get(), block.data(), static_cast<int>(block.size()))
                                       : static_cast<int>(::recv(state_->fd, block.data(), block.size(), 0));
    ERR_clear_error();
    return {block.data(), static_cast<std::size_t>(std::max(count, 0))};
  }
}

bool intruder::is_cut_off(std::chrono::milliseconds patience) const {
  auto block = std::array<char, 16384>{};
  const auto until = monotonic::now() + patience;
  while (state_->ready(POLLIN, until))
    if (::recv(state_->fd, block.data(), block.size(), 0) <= 0)
      return true;
  return false;
}

std::string frame_header(std::uint8_t operation, std::uint32_t payload, std::uint64_t about, std::uint64_t source,
                         std::uint64_t destination) {
  auto bytes = std::string{static_cast<char>(operation), '\0', '\0', '\0'};
  auto put = [&](std::uint64_t value, int count) {
    for (auto i = count - 1; i >= 0; --i)
      bytes += static_cast<char>(value >> (8 * i) & 0xff);
  };
  put(payload, 4);
  put(about, 8);
  put(source, 8);
  put(destination, 8);
  return bytes;
}

impostor::impostor(std::filesystem::path home, const node::papers& own) : home_{std::move(home)}, own_{own} {
  std::filesystem::create_directories(home_);
  host::write_atomically(home_ / "ca.pem", own.authority);
  host::write_atomically(home_ / "cert.pem", own.certificate);
  host::write_atomically(home_ / "key.pem", own.key, 0600);
  auto hooks = node::links_over_tls(home_.string(), std::make_shared<host::deny_list>(), [](const std::string&) {});
  transport_ = host::spawn_tls_middleman(system_, loop_, std::move(hooks));
  own_door_ = system_.spawn([](caf::event_based_actor* self) -> caf::behavior {
    self->set_default_handler(caf::drop);
    return {[](const wire::HealthRequest&) { return wire::Health{}; }};
  });
}

impostor::~impostor() {
  caf::anon_send_exit(own_door_, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(transport_, caf::exit_reason::user_shutdown);
}

caf::actor impostor::door_at(std::uint16_t port) {
  auto self = caf::scoped_actor{system_};
  auto found = caf::actor{};
  self->request(transport_, 10s, caf::connect_atom_v, std::string{"127.0.0.1"}, port)
      .receive([&](const caf::node_id&, const caf::strong_actor_ptr& x,
                   const std::set<std::string>&) { found = caf::actor_cast<caf::actor>(x); },
               [](caf::error&) {});
  return found;
}

caf::expected<wire::Challenge> impostor::greet(const caf::actor& door, const wire::Hello& said) {
  return ask<wire::Challenge>(door, said, own_door_);
}

caf::expected<wire::Welcome> impostor::introduce(const caf::actor& door, const std::string& name,
                                                 const std::string& role) {
  const auto challenge = greet(door, node::say_hello(own_, name, role, host::random_bytes(32)));
  if (!challenge)
    return challenge.error();
  const auto between = node::conversation{caf::to_string(system_.node()), caf::to_string(door.node())};
  auto proof = node::prove(*challenge, own_, between);
  proof.mutable_facts()->set_name(name);
  proof.mutable_facts()->set_role(role);
  return ask<wire::Welcome>(door, proof);
}

caf::actor impostor::guess(const caf::actor& door, std::uint64_t number) {
  const auto broker = system_.middleman().named_broker<caf::io::basp_broker>(caf::atom("BASP"));
  auto* basp = static_cast<caf::io::basp_broker*>(caf::actor_cast<caf::abstract_actor*>(broker));
  return caf::actor_cast<caf::actor>(basp->proxies().get_or_put(door.node(), number));
}

} // namespace novacron::spec
