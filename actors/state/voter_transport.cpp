#include "actors/state/voter_transport.hpp"

#include "actors/host/tls.hpp"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <uv.h>

#include <cstring>
#include <set>
#include <utility>
#include <vector>

namespace novacron::ledger {
namespace {

/// What the connecting voter says first, so that both know who talks to whom.
constexpr std::string_view preamble_magic = "NVVOTER1";
/// What the accepting voter answers once it is convinced.
constexpr char welcome = 'W';
constexpr std::size_t address_bytes_max = 512;
/// A direction that has this much waiting to be written is not read any further.
constexpr std::size_t waiting_bytes_max = 1u << 20;

/// The node at the other end; its certificate was believed already.
std::string named_by(const SSL* ssl) {
  const auto who = host::peer_identity(ssl);
  return who ? who->name : std::string{};
}

std::string make_preamble(std::uint64_t id, const std::string& address) {
  auto out = std::string{preamble_magic};
  for (const auto x : {id, std::uint64_t{address.size()}})
    for (auto i = 0; i < 8; ++i)
      out.push_back(static_cast<char>(x >> (8 * i)));
  return out + address;
}

std::uint64_t number_at(const std::string& text, std::size_t where) {
  auto x = std::uint64_t{0};
  for (auto i = 0u; i < 8; ++i)
    x |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[where + i])) << (8 * i);
  return x;
}

struct written {
  uv_write_t request;
  std::string bytes;
};

} // namespace

std::uint64_t voter_id(std::string_view node) {
  unsigned char sum[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(node.data()), node.size(), sum);
  auto id = std::uint64_t{0};
  std::memcpy(&id, sum, sizeof id);
  // Positive also where a reader takes it for signed, and never 0.
  return (id >> 1) | 1;
}

voter_address parse_voter_address(std::string_view text) {
  const auto at = text.find('@');
  const auto colon = text.rfind(':');
  if (at == text.npos || colon == text.npos || colon < at || text.size() > address_bytes_max)
    return {};
  auto host = std::string{text.substr(at + 1, colon - at - 1)};
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  return {std::string{text.substr(0, at)}, host, std::string{text.substr(colon + 1)}};
}

/// One connection, from the first SYN until both its ends are closed.
struct channel;

struct voter_transport::state : std::enable_shared_from_this<state> {
  uv_loop_t* loop = nullptr;
  config settings;
  accepted on_accepted;
  std::unique_ptr<uv_tcp_t> listener;
  std::set<channel*> channels;
  std::function<void()> on_closed;
  std::uint64_t refused = 0;
  std::size_t handshakes = 0;
  bool closing = false;
  std::shared_ptr<host::tls_context> server;
  std::shared_ptr<host::tls_context> client;

  /// Empty when the certificate can be used, or none is wanted.
  std::string load_trust() {
    if (settings.trust.empty())
      return {};
    auto wanted = host::tls_settings{.directory = settings.trust, .roles = {"cloud", "hybrid"}};
    try {
      server = host::make_tls_context(wanted);
      wanted.side = host::tls_side::client;
      client = host::make_tls_context(wanted);
      return {};
    } catch (const std::exception& x) {
      return x.what();
    }
  }

  void closed_if_done() {
    if (closing && channels.empty() && !listener && on_closed)
      std::exchange(on_closed, nullptr)();
  }
};

struct channel {
  enum class phase { connecting, handshake, preamble, open, closing };

  std::shared_ptr<voter_transport::state> owner;
  bool accepting = false;
  std::uint64_t peer_id = 0;
  std::string peer_address;
  voter_transport::connected on_connected;
  voter_transport::outcome result = voter_transport::outcome::failed;
  phase now = phase::connecting;
  bool counted = false;

  uv_tcp_t net{};
  uv_timer_t limit{};
  uv_pipe_t inner{};
  bool inner_there = false;
  int handles = 0;
  uv_getaddrinfo_t lookup{};
  bool looking_up = false;
  uv_connect_t dialing{};

  SSL* ssl = nullptr;
  BIO* from_net = nullptr;
  BIO* to_net = nullptr;
  std::string early;
  std::vector<char> block = std::vector<char>(64 * 1024);

  ~channel() { SSL_free(ssl); }

  static channel* make(std::shared_ptr<voter_transport::state> owner, bool accepting) {
    auto* c = new channel;
    c->owner = std::move(owner);
    c->accepting = accepting;
    uv_tcp_init(c->owner->loop, &c->net);
    uv_timer_init(c->owner->loop, &c->limit);
    c->net.data = c->limit.data = c->inner.data = c->lookup.data = c->dialing.data = c;
    c->handles = 2;
    c->owner->channels.insert(c);
    ++c->owner->handshakes;
    uv_timer_start(&c->limit, [](uv_timer_t* t) { static_cast<channel*>(t->data)->refuse(); },
                   c->owner->settings.handshake_ms, 0);
    return c;
  }

  void refuse() {
    if (now != phase::closing && now != phase::open && now != phase::connecting && accepting)
      ++owner->refused;
    close();
  }

  void close() {
    if (now == phase::closing)
      return;
    if (now != phase::open)
      --owner->handshakes;
    now = phase::closing;
    auto gone = [](uv_handle_t* h) { static_cast<channel*>(h->data)->handle_closed(); };
    if (looking_up)
      uv_cancel(reinterpret_cast<uv_req_t*>(&lookup));
    uv_close(reinterpret_cast<uv_handle_t*>(&net), gone);
    uv_close(reinterpret_cast<uv_handle_t*>(&limit), gone);
    if (inner_there)
      uv_close(reinterpret_cast<uv_handle_t*>(&inner), gone);
  }

  void handle_closed() {
    if (--handles > 0 || looking_up)
      return;
    const auto kept = owner;
    if (on_connected)
      on_connected(nullptr, kept->closing ? voter_transport::outcome::cancelled : voter_transport::outcome::failed);
    kept->channels.erase(this);
    delete this;
    kept->closed_if_done();
  }

  // --- the way up to being open

  void begin() {
    now = phase::handshake;
    uv_tcp_nodelay(&net, 1);
    if (!owner->settings.trust.empty()) {
      ssl = SSL_new((accepting ? owner->server : owner->client)->native());
      from_net = BIO_new(BIO_s_mem());
      to_net = BIO_new(BIO_s_mem());
      SSL_set_bio(ssl, from_net, to_net);
      accepting ? SSL_set_accept_state(ssl) : SSL_set_connect_state(ssl);
    }
    read_net();
    step_handshake();
  }

  void step_handshake() {
    if (ssl) {
      ERR_clear_error();
      const auto done = SSL_do_handshake(ssl);
      flush_tls();
      if (done != 1) {
        const auto why = SSL_get_error(ssl, done);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
          refuse();
        return;
      }
      if (!accepting && named_by(ssl) != parse_voter_address(peer_address).node)
        return refuse();
    }
    now = phase::preamble;
    if (!accepting) {
      const auto& mine = owner->settings;
      send(make_preamble(voter_id(mine.node), mine.node + "@" + mine.address));
    }
  }

  void step_preamble() {
    if (!accepting) {
      if (early.empty())
        return;
      if (early.front() != welcome || early.size() > 1)
        return refuse();
      early.clear();
      return open();
    }
    constexpr auto head = preamble_magic.size() + 16;
    if (early.size() < head)
      return;
    const auto length = number_at(early, preamble_magic.size() + 8);
    if (!early.starts_with(preamble_magic) || length > address_bytes_max)
      return refuse();
    if (early.size() < head + length)
      return;
    peer_id = number_at(early, preamble_magic.size());
    peer_address = early.substr(head, length);
    early.erase(0, head + length);
    const auto node = parse_voter_address(peer_address).node;
    if (node.empty() || peer_id != voter_id(node) || (ssl && named_by(ssl) != node))
      return refuse();
    send(std::string{welcome});
    open();
  }

  void open() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
      return close();
    auto* theirs = static_cast<uv_pipe_t*>(owner->settings.allocate(sizeof(uv_pipe_t)));
    uv_pipe_init(owner->loop, theirs, 0);
    uv_pipe_open(theirs, ends[1]);
    uv_pipe_init(owner->loop, &inner, 0);
    inner.data = this;
    inner_there = true;
    ++handles;
    uv_pipe_open(&inner, ends[0]);
    uv_timer_stop(&limit);
    --owner->handshakes;
    now = phase::open;
    read_inner();
    if (!early.empty())
      write_to(&inner, std::exchange(early, {}));
    auto* stream = reinterpret_cast<uv_stream_t*>(theirs);
    if (accepting)
      owner->on_accepted(peer_id, peer_address, stream);
    else
      std::exchange(on_connected, nullptr)(stream, voter_transport::outcome::connected);
  }

  // --- bytes in both directions

  template <class Handle>
  void write_to(Handle* where, std::string bytes) {
    auto* w = new written{{}, std::move(bytes)};
    w->request.data = w;
    const auto buffer = uv_buf_init(w->bytes.data(), static_cast<unsigned>(w->bytes.size()));
    const auto failed = uv_write(&w->request, reinterpret_cast<uv_stream_t*>(where), &buffer, 1, [](uv_write_t* r, int status) {
      auto* c = static_cast<channel*>(r->handle->data);
      delete static_cast<written*>(r->data);
      if (c->now == phase::closing)
        return;
      if (status != 0)
        return c->close();
      c->read_net();
      if (c->inner_there)
        c->read_inner();
    });
    if (failed != 0) {
      delete w;
      close();
    }
  }

  void flush_tls() {
    const auto waiting = BIO_ctrl_pending(to_net);
    if (waiting == 0)
      return;
    auto out = std::string(waiting, '\0');
    BIO_read(to_net, out.data(), static_cast<int>(out.size()));
    write_to(&net, std::move(out));
  }

  void send(std::string plain) {
    if (!ssl)
      return write_to(&net, std::move(plain));
    // The context allows partial writes: what is not taken at once is offered again.
    for (auto left = std::string_view{plain}; !left.empty();) {
      const auto count = SSL_write(ssl, left.data(), static_cast<int>(left.size()));
      if (count <= 0)
        return close();
      left.remove_prefix(static_cast<std::size_t>(count));
    }
    flush_tls();
  }

  void received(std::string plain) {
    if (now == phase::open)
      return write_to(&inner, std::move(plain));
    early += plain;
    if (now == phase::preamble)
      step_preamble();
  }

  void decrypt() {
    for (;;) {
      ERR_clear_error();
      auto plain = std::string(16 * 1024, '\0');
      const auto count = SSL_read(ssl, plain.data(), static_cast<int>(plain.size()));
      if (count <= 0) {
        const auto why = SSL_get_error(ssl, count);
        flush_tls();
        return why == SSL_ERROR_WANT_READ ? void() : refuse();
      }
      plain.resize(static_cast<std::size_t>(count));
      received(std::move(plain));
      if (now == phase::closing)
        return;
    }
  }

  void net_bytes(const char* bytes, std::size_t size) {
    if (!ssl)
      return received(std::string{bytes, size});
    BIO_write(from_net, bytes, static_cast<int>(size));
    if (now == phase::handshake)
      step_handshake();
    if (now == phase::preamble || now == phase::open)
      decrypt();
  }

  static void lend(uv_handle_t* h, std::size_t, uv_buf_t* buffer) {
    auto* c = static_cast<channel*>(h->data);
    *buffer = uv_buf_init(c->block.data(), static_cast<unsigned>(c->block.size()));
  }

  void read_net() {
    if (inner_there && inner.write_queue_size > waiting_bytes_max)
      return;
    uv_read_start(reinterpret_cast<uv_stream_t*>(&net), lend, [](uv_stream_t* s, ssize_t count, const uv_buf_t* b) {
      auto* c = static_cast<channel*>(s->data);
      if (count < 0)
        return c->refuse();
      c->net_bytes(b->base, static_cast<std::size_t>(count));
      if (c->now == phase::open && c->inner.write_queue_size > waiting_bytes_max)
        uv_read_stop(s);
    });
  }

  void read_inner() {
    if (net.write_queue_size > waiting_bytes_max)
      return;
    uv_read_start(reinterpret_cast<uv_stream_t*>(&inner), lend, [](uv_stream_t* s, ssize_t count, const uv_buf_t* b) {
      auto* c = static_cast<channel*>(s->data);
      if (count < 0)
        return c->close();
      c->send(std::string{b->base, static_cast<std::size_t>(count)});
      if (c->now == phase::open && c->net.write_queue_size > waiting_bytes_max)
        uv_read_stop(s);
    });
  }

  // --- connecting

  void dial() {
    const auto where = parse_voter_address(peer_address);
    auto hints = addrinfo{};
    hints.ai_socktype = SOCK_STREAM;
    looking_up = true;
    const auto failed = uv_getaddrinfo(owner->loop, &lookup, [](uv_getaddrinfo_t* r, int status, addrinfo* found) {
      auto* c = static_cast<channel*>(r->data);
      c->looking_up = false;
      if (c->now == phase::closing) {
        uv_freeaddrinfo(found);
        if (c->handles == 0) {
          c->handles = 1;
          c->handle_closed();
        }
        return;
      }
      if (status != 0 || uv_tcp_connect(&c->dialing, &c->net, found->ai_addr, &channel::dialed) != 0)
        c->close();
      uv_freeaddrinfo(found);
    }, where.host.c_str(), where.port.c_str(), &hints);
    if (failed != 0) {
      looking_up = false;
      close();
    }
  }

  static void dialed(uv_connect_t* r, int status) {
    auto* c = static_cast<channel*>(r->data);
    if (c->now == phase::closing)
      return;
    status == 0 ? c->begin() : c->close();
  }
};

voter_transport::voter_transport(uv_loop_s* loop, config settings) : state_{std::make_shared<state>()} {
  state_->loop = loop;
  state_->settings = std::move(settings);
}

voter_transport::~voter_transport() = default;

std::string voter_transport::listen(accepted told) {
  state_->on_accepted = std::move(told);
  const auto where = parse_voter_address(state_->settings.node + "@" + state_->settings.address);
  if (auto problem = state_->load_trust(); !problem.empty())
    return problem;
  auto request = uv_getaddrinfo_t{};
  auto hints = addrinfo{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  if (const auto rc = uv_getaddrinfo(state_->loop, &request, nullptr, where.host.c_str(), where.port.c_str(), &hints))
    return "no address " + state_->settings.address + ": " + uv_strerror(rc);
  state_->listener = std::make_unique<uv_tcp_t>();
  uv_tcp_init(state_->loop, state_->listener.get());
  state_->listener->data = state_.get();
  auto rc = uv_tcp_bind(state_->listener.get(), request.addrinfo->ai_addr, 0);
  uv_freeaddrinfo(request.addrinfo);
  if (rc == 0)
    rc = uv_listen(reinterpret_cast<uv_stream_t*>(state_->listener.get()), 64, [](uv_stream_t* s, int status) {
      auto* here = static_cast<state*>(s->data);
      if (status != 0)
        return;
      auto* c = channel::make(here->shared_from_this(), true);
      if (uv_accept(s, reinterpret_cast<uv_stream_t*>(&c->net)) != 0)
        return c->close();
      c->now = channel::phase::handshake;
      here->handshakes > here->settings.handshakes_max ? c->refuse() : c->begin();
    });
  return rc == 0 ? std::string{} : "cannot listen at " + state_->settings.address + ": " + uv_strerror(rc);
}

void voter_transport::connect(std::uint64_t id, const std::string& address, connected told) {
  auto* c = channel::make(state_, false);
  c->peer_id = id;
  c->peer_address = address;
  c->on_connected = std::move(told);
  c->dial();
}

void voter_transport::close(std::function<void()> done) {
  state_->closing = true;
  state_->on_closed = std::move(done);
  const auto all = state_->channels;
  for (auto* c : all)
    c->close();
  if (state_->listener)
    uv_close(reinterpret_cast<uv_handle_t*>(state_->listener.get()), [](uv_handle_t* h) {
      auto kept = static_cast<state*>(h->data)->shared_from_this();
      kept->listener.reset();
      kept->closed_if_done();
    });
  else
    // Even with nothing open the answer comes later: an idle timer's close is the shortest way round the loop.
    channel::make(state_, false)->close();
}

std::uint64_t voter_transport::refused() const { return state_->refused; }

} // namespace novacron::ledger
