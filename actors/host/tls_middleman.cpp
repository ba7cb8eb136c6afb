#include "actors/host/tls_middleman.hpp"

#include <caf/all.hpp>
#include <caf/io/basp_broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/io/middleman_actor_impl.hpp>
#include <caf/io/network/acceptor_impl.hpp>
#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/interfaces.hpp>
#include <caf/io/network/stream_impl.hpp>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>
#include <utility>

namespace novacron::host {
namespace {

namespace network = caf::io::network;

using multiplexer = network::default_multiplexer;

struct free_session {
  void operator()(SSL* x) const { SSL_free(x); }
};
using session_ptr = std::unique_ptr<SSL, free_session>;

/// A connection on its way through the handshake; owns its socket until that is handed on.
struct guest {
  int fd = -1;
  session_ptr session;
  ~guest() {
    session.reset();
    if (fd >= 0)
      ::close(fd);
  }
};
using guest_ptr = std::shared_ptr<guest>;

enum class progress { done, wants_read, wants_write, failed };

progress shake(SSL* session) {
  ERR_clear_error();
  const auto result = SSL_do_handshake(session);
  if (result == 1)
    return progress::done;
  switch (SSL_get_error(session, result)) {
    case SSL_ERROR_WANT_READ: return progress::wants_read;
    case SSL_ERROR_WANT_WRITE: return progress::wants_write;
    default: return progress::failed;
  }
}

/// Reads and writes an established session for CAF's stream.
class tls_policy {
public:
  explicit tls_policy(session_ptr session) : session_{std::move(session)} {}

  network::rw_state read_some(std::size_t& result, network::native_socket, void* into, std::size_t size) {
    return result_of(SSL_read_ex(session_.get(), into, size, &result), result);
  }

  network::rw_state write_some(std::size_t& result, network::native_socket, const void* from, std::size_t size) {
    if (size == 0) {
      result = 0;
      return network::rw_state::indeterminate;
    }
    return result_of(SSL_write_ex(session_.get(), from, size, &result), result);
  }

  /// What OpenSSL has decrypted already does not wake the multiplexer again.
  bool must_read_more(network::native_socket, std::size_t threshold) {
    return static_cast<std::size_t>(SSL_pending(session_.get())) >= threshold;
  }

private:
  network::rw_state result_of(int ok, std::size_t& result) {
    if (ok == 1)
      return network::rw_state::success;
    result = 0;
    const auto reason = SSL_get_error(session_.get(), ok);
    ERR_clear_error();
    return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? network::rw_state::indeterminate
                                                                           : network::rw_state::failure;
  }

  session_ptr session_;
};

/// CAF's view of an established connection. What it reads alternates between a header and what that announces.
class tls_scribe : public caf::io::scribe {
public:
  tls_scribe(multiplexer& mpx, guest& connection, std::shared_ptr<const tls_hooks> hooks)
    : scribe(network::conn_hdl_from_socket(connection.fd)), hooks_{std::move(hooks)},
      peer_{hooks_->name(connection.session.get())},
      stream_{mpx, std::exchange(connection.fd, -1), std::move(connection.session)} {}

  bool consume(caf::execution_unit* context, const void* bytes, std::size_t count) override {
    switch (std::exchange(next_, part::header)) {
      case part::payload: return scribe::consume(context, bytes, count);
      case part::waste: return read_next(frame_header_bytes);
      case part::header: break;
    }
    if (count != frame_header_bytes)
      return cut("malformed");
    const auto found = judge_frame({static_cast<const char*>(bytes), count}, hooks_->message_bytes_max,
                                   [this](const destination& where) { return hooks_->reaches(peer_, where); });
    if (found.what == frame_verdict::cut)
      return cut(found.why);
    const auto passes = found.what == frame_verdict::pass;
    if (!passes && !found.why.empty())
      hooks_->refused(std::string{found.why});
    if (found.payload > 0)
      next_ = passes ? part::payload : part::waste;
    if (passes)
      return scribe::consume(context, bytes, count);
    return found.payload == 0 || read_next(found.payload);
  }

  void configure_read(caf::io::receive_policy::config config) override {
    stream_.configure_read(config);
    if (!std::exchange(launched_, true))
      stream_.start(this);
  }
  void ack_writes(bool) override {}
  std::vector<char>& wr_buf() override { return stream_.wr_buf(); }
  std::vector<char>& rd_buf() override { return stream_.rd_buf(); }
  void graceful_shutdown() override {
    stream_.graceful_shutdown();
    detach(&stream_.backend(), false);
  }
  void flush() override { stream_.flush(this); }
  std::string addr() const override {
    auto address = network::remote_addr_of_fd(stream_.fd());
    return address ? *address : std::string{};
  }
  std::uint16_t port() const override {
    auto number = network::remote_port_of_fd(stream_.fd());
    return number ? *number : std::uint16_t{0};
  }
  void add_to_loop() override { stream_.activate(this); }
  void remove_from_loop() override { stream_.passivate(); }

private:
  enum class part : std::uint8_t { header, payload, waste };

  bool read_next(std::size_t count) {
    stream_.configure_read(caf::io::receive_policy::exactly(count));
    return true;
  }

  bool cut(std::string_view why) {
    hooks_->refused(std::string{why});
    io_failure(&stream_.backend(), network::operation::read);
    ::shutdown(stream_.fd(), SHUT_RDWR);
    return false;
  }

  std::shared_ptr<const tls_hooks> hooks_;
  std::string peer_;
  part next_ = part::header;
  bool launched_ = false;
  network::stream_impl<tls_policy> stream_;
};

/// A connected, non-blocking socket, -1 when there is none within `patience`: a silent partition must not hold up
/// the middleman for the kernel's two minutes.
int dial(const std::string& host, std::uint16_t port, std::chrono::nanoseconds patience) {
  const auto hints = addrinfo{.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
    return -1;
  const auto addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>{found, &::freeaddrinfo};
  for (const auto* at = found; at; at = at->ai_next) {
    const auto fd = ::socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    auto wait = pollfd{fd, POLLOUT, 0};
    const auto limit = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(patience).count());
    auto problem = 0;
    auto size = socklen_t{sizeof problem};
    const auto connecting = fd >= 0 && (::connect(fd, at->ai_addr, at->ai_addrlen) == 0 || errno == EINPROGRESS);
    if (connecting && ::poll(&wait, 1, limit) > 0
        && ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) == 0 && problem == 0)
      return fd;
    if (fd >= 0)
      ::close(fd);
  }
  return -1;
}

/// Takes new connections through the handshake, off the multiplexer's thread.
class reception : public std::enable_shared_from_this<reception> {
public:
  reception(loop& loop, tls_hooks hooks) : loop_{loop}, hooks_{std::make_shared<const tls_hooks>(std::move(hooks))} {}

  using welcome = std::function<void(guest_ptr)>;

  const std::shared_ptr<const tls_hooks>& hooks() const { return hooks_; }

  /// Calls `then` on the loop's thread when `fd` belongs to a peer that proved itself.
  void receive(int fd, welcome then) {
    auto visitor = std::make_shared<guest>();
    visitor->fd = fd;
    loop_.post([self = shared_from_this(), visitor, then = std::move(then)]() mutable { self->begin(visitor, std::move(then)); });
  }

  /// The client's side: blocks the calling thread, which belongs to the middleman alone.
  session_ptr introduce(int fd) {
    auto session = session_ptr{hooks_->session(false)};
    if (!session)
      return nullptr;
    SSL_set_fd(session.get(), fd);
    SSL_set_connect_state(session.get());
    const auto deadline = monotonic::now() + hooks_->patience;
    for (auto state = shake(session.get()); state != progress::done; state = shake(session.get())) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - monotonic::now());
      auto wait = pollfd{fd, static_cast<short>(state == progress::wants_write ? POLLOUT : POLLIN), 0};
      if (state == progress::failed || left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) {
        hooks_->refused(state == progress::failed ? hooks_->why(session.get()) : "too_slow");
        return nullptr;
      }
    }
    return session;
  }

private:
  using monotonic = std::chrono::steady_clock;

  struct handshake {
    guest_ptr visitor;
    welcome then;
    monotonic::time_point deadline;
  };

  // Everything below happens on the loop's thread.

  void begin(const guest_ptr& visitor, welcome then) {
    visitor->session.reset(hooks_->session(true));
    if (!visitor->session)
      return hooks_->refused("no_own_certificate");
    SSL_set_fd(visitor->session.get(), visitor->fd);
    SSL_set_accept_state(visitor->session.get());
    if (under_way_.size() >= hooks_->handshakes_max)
      turn_away(under_way_.begin()->first, "too_many");
    under_way_.emplace(++last_, handshake{visitor, std::move(then), monotonic::now() + hooks_->patience});
    if (!std::exchange(timed_, true))
      look_later(hooks_->patience);
    advance(last_);
  }

  void advance(std::uint64_t number) {
    const auto at = under_way_.find(number);
    if (at == under_way_.end())
      return;
    auto* session = at->second.visitor->session.get();
    const auto fd = at->second.visitor->fd;
    const auto state = shake(session);
    if (state == progress::wants_read || state == progress::wants_write)
      return loop_.watch(fd, state == progress::wants_read ? EPOLLIN : EPOLLOUT,
                         [self = shared_from_this(), number](std::uint32_t) { self->advance(number); });
    if (state == progress::failed)
      return turn_away(number, hooks_->why(session));
    loop_.forget(fd);
    const auto done = std::move(at->second);
    under_way_.erase(at);
    done.then(done.visitor);
  }

  void turn_away(std::uint64_t number, const std::string& why) {
    const auto at = under_way_.find(number);
    loop_.forget(at->second.visitor->fd);
    under_way_.erase(at);
    hooks_->refused(why);
  }

  /// One timer for all, so that a flood of connections leaves no flood of timers behind.
  void look_later(monotonic::duration after) {
    loop_.after(after, [self = shared_from_this()] {
      auto& all = self->under_way_;
      const auto now = monotonic::now();
      while (!all.empty() && all.begin()->second.deadline <= now)
        self->turn_away(all.begin()->first, "too_slow");
      self->timed_ = !all.empty();
      if (self->timed_)
        self->look_later(all.begin()->second.deadline - now);
    });
  }

  loop& loop_;
  std::shared_ptr<const tls_hooks> hooks_;
  /// By number, which is by age.
  std::map<std::uint64_t, handshake> under_way_;
  std::uint64_t last_ = 0;
  bool timed_ = false;
};
using reception_ptr = std::shared_ptr<reception>;

/// Accepts connections. Out of descriptors it turns one away with the help of a spare one: a connection that cannot be
/// accepted stays ready, and the multiplexer's thread would do nothing but look at it.
class accepting {
public:
  explicit accepting(reception_ptr told) : told_{std::move(told)}, spare_{hold()} {}
  ~accepting() { ::close(spare_); }
  accepting(const accepting&) = delete;
  accepting& operator=(const accepting&) = delete;

  bool try_accept(network::native_socket& result, network::native_socket listener) {
    result = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (result < 0 && (errno == EMFILE || errno == ENFILE)) {
      ::close(spare_);
      ::close(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
      spare_ = hold();
      told_->hooks()->refused("no_descriptors");
    }
    return result >= 0;
  }

private:
  static int hold() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

  reception_ptr told_;
  int spare_;
};

class tls_doorman : public caf::io::doorman {
public:
  tls_doorman(multiplexer& mpx, network::native_socket socket, reception_ptr reception)
    : doorman(network::accept_hdl_from_socket(socket)), reception_{reception}, acceptor_{mpx, socket, std::move(reception)} {}

  bool new_connection() override {
    if (detached())
      return false;
    auto& mpx = acceptor_.backend();
    const auto fd = acceptor_.accepted_socket();
    network::tcp_nodelay(fd, true);
    auto self = caf::intrusive_ptr<tls_doorman>{this};
    reception_->receive(fd, [self, &mpx](guest_ptr visitor) { mpx.post([self, &mpx, visitor] { self->admit(mpx, *visitor); }); });
    return true;
  }
  void graceful_shutdown() override {
    acceptor_.graceful_shutdown();
    detach(&acceptor_.backend(), false);
  }
  void launch() override { acceptor_.start(this); }
  std::string addr() const override {
    auto address = network::local_addr_of_fd(acceptor_.fd());
    return address ? *address : std::string{};
  }
  std::uint16_t port() const override {
    auto number = network::local_port_of_fd(acceptor_.fd());
    return number ? *number : std::uint16_t{0};
  }
  void add_to_loop() override { acceptor_.activate(this); }
  void remove_from_loop() override { acceptor_.passivate(); }

private:
  void admit(multiplexer& mpx, guest& visitor) {
    if (detached())
      return;
    auto connection = caf::make_counted<tls_scribe>(mpx, visitor, reception_->hooks());
    const auto handle = connection->hdl();
    parent()->add_scribe(std::move(connection));
    doorman::new_connection(&mpx, handle);
  }

  reception_ptr reception_;
  network::acceptor_impl<accepting> acceptor_;
};

class tls_middleman : public caf::io::middleman_actor_impl {
public:
  tls_middleman(caf::actor_config& config, caf::actor broker, reception_ptr reception)
    : middleman_actor_impl(config, std::move(broker)), reception_{std::move(reception)} {}

  const char* name() const override { return "tls_middleman"; }

protected:
  caf::expected<caf::io::scribe_ptr> connect(const std::string& host, std::uint16_t port) override {
    auto connection = guest{};
    connection.fd = dial(host, port, reception_->hooks()->patience);
    if (connection.fd < 0)
      return caf::sec::cannot_connect_to_node;
    network::tcp_nodelay(connection.fd, true);
    connection.session = reception_->introduce(connection.fd);
    if (!connection.session)
      return caf::sec::cannot_connect_to_node;
    return caf::make_counted<tls_scribe>(mpx(), connection, reception_->hooks());
  }

  caf::expected<caf::io::doorman_ptr> open(std::uint16_t port, const char* address, bool reuse) override {
    auto fd = network::new_tcp_acceptor_impl(port, address, reuse);
    if (!fd)
      return std::move(fd.error());
    return caf::make_counted<tls_doorman>(mpx(), *fd, reception_);
  }

private:
  multiplexer& mpx() { return static_cast<multiplexer&>(system().middleman().backend()); }

  reception_ptr reception_;
};

} // namespace

caf::io::middleman_actor spawn_tls_middleman(caf::actor_system& system, loop& loop, tls_hooks hooks) {
  auto broker = system.middleman().named_broker<caf::io::basp_broker>(caf::atom("BASP"));
  return system.spawn<tls_middleman, caf::detached + caf::hidden>(std::move(broker),
                                                                  std::make_shared<reception>(loop, std::move(hooks)));
}

} // namespace novacron::host
