#include "actors/state/ledger_clients.hpp"

#include "actors/state/frame.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace novacron::ledger {
namespace {

constexpr std::size_t unread_bytes_max = 256u << 20;

} // namespace

struct ledger_clients::connection {
  ledger_clients* owner = nullptr;
  std::uint64_t number = 0;
  uv_pipe_t pipe{};
  std::string in;
  std::string out;
  std::size_t writing = 0;
  bool watching = false;
  bool closing = false;
  std::vector<char> block = std::vector<char>(64 * 1024);
};

ledger_clients::ledger_clients(uv_loop_t* loop, called tell) : loop_{loop}, tell_{std::move(tell)} {}

ledger_clients::~ledger_clients() = default;

std::string ledger_clients::listen(const std::filesystem::path& socket) {
  ::unlink(socket.c_str());
  uv_pipe_init(loop_, &listener_, 0);
  listener_.data = this;
  const auto mask = ::umask(0177);
  auto rc = uv_pipe_bind(&listener_, socket.c_str());
  ::umask(mask);
  if (rc == 0)
    rc = uv_listen(reinterpret_cast<uv_stream_t*>(&listener_), 64, [](uv_stream_t* s, int status) {
      if (status == 0)
        static_cast<ledger_clients*>(s->data)->accept();
    });
  return rc == 0 ? std::string{} : "cannot listen at " + socket.string() + ": " + uv_strerror(rc);
}

ledger_clients::connection* ledger_clients::find(std::uint64_t number) {
  const auto found = connections_.find(number);
  return found == connections_.end() || found->second->closing ? nullptr : found->second.get();
}

void ledger_clients::answer(const caller& who, wire::LedgerReply& reply) {
  auto* c = find(who.connection);
  if (!c)
    return;
  reply.set_id(who.call);
  put_frame(c->out, reply);
}

void ledger_clients::watch(std::uint64_t connection) {
  if (auto* c = find(connection))
    c->watching = true;
}

void ledger_clients::tell(std::uint64_t connection, const wire::LedgerReply& news) {
  if (auto* c = find(connection))
    put_frame(c->out, news);
}

void ledger_clients::tell_watchers(const wire::LedgerReply& news) {
  for (auto& [number, c] : connections_)
    if (c->watching)
      put_frame(c->out, news);
}

bool ledger_clients::watched() const {
  return std::ranges::any_of(connections_, [](const auto& x) { return x.second->watching; });
}

void ledger_clients::accept() {
  auto c = std::make_unique<connection>();
  c->owner = this;
  c->number = ++last_connection_;
  uv_pipe_init(loop_, &c->pipe, 0);
  c->pipe.data = c.get();
  auto* stream = reinterpret_cast<uv_stream_t*>(&c->pipe);
  uv_accept(reinterpret_cast<uv_stream_t*>(&listener_), stream);
  uv_read_start(
    stream,
    [](uv_handle_t* h, std::size_t, uv_buf_t* b) {
      auto& block = static_cast<connection*>(h->data)->block;
      *b = uv_buf_init(block.data(), static_cast<unsigned>(block.size()));
    },
    [](uv_stream_t* s, ssize_t count, const uv_buf_t* b) {
      auto* x = static_cast<connection*>(s->data);
      count < 0 ? x->owner->drop(*x) : x->owner->received(*x, {b->base, static_cast<std::size_t>(count)});
    });
  connections_.emplace(c->number, std::move(c));
}

void ledger_clients::drop(connection& c) {
  if (c.closing)
    return;
  c.closing = true;
  c.watching = false;
  uv_close(reinterpret_cast<uv_handle_t*>(&c.pipe), [](uv_handle_t* h) {
    auto* x = static_cast<connection*>(h->data);
    x->owner->connections_.erase(x->number);
  });
}

void ledger_clients::received(connection& c, std::string_view bytes) {
  c.in += bytes;
  auto stream = frames{c.in, call_bytes_max};
  auto call = wire::LedgerCall{};
  while (const auto frame = stream.next()) {
    if (!call.ParseFromArray(frame->data(), static_cast<int>(frame->size())))
      return drop(c);
    tell_(caller{c.number, call.id()}, call);
  }
  if (stream.bad())
    return drop(c);
  c.in.erase(0, stream.taken());
}

void ledger_clients::flush() {
  for (auto& [number, c] : connections_) {
    if (c->closing || c->out.empty())
      continue;
    if (c->writing == 0)
      write(*c);
    else if (c->out.size() + c->writing > unread_bytes_max)
      drop(*c);
  }
}

void ledger_clients::write(connection& c) {
  auto* stream = reinterpret_cast<uv_stream_t*>(&c.pipe);
  auto buffer = uv_buf_init(c.out.data(), static_cast<unsigned>(c.out.size()));
  const auto sent = uv_try_write(stream, &buffer, 1);
  if (sent == static_cast<int>(c.out.size()))
    return c.out.clear();
  auto* w = new write_order{{}, c.out.substr(static_cast<std::size_t>(std::max(sent, 0)))};
  c.out.clear();
  w->request.data = w;
  c.writing = w->bytes.size();
  buffer = uv_buf_init(w->bytes.data(), static_cast<unsigned>(w->bytes.size()));
  uv_write(&w->request, stream, &buffer, 1, [](uv_write_t* r, int status) {
    auto* x = static_cast<connection*>(r->handle->data);
    delete static_cast<write_order*>(r->data);
    x->writing = 0;
    if (status != 0)
      x->owner->drop(*x);
  });
}

} // namespace novacron::ledger
