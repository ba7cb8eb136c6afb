#include "actors/state/ledger_client.hpp"

#include "actors/host/loop.hpp"
#include "actors/state/frame.hpp"
#include "actors/state/records.hpp"

#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace novacron::ledger {
namespace {

using monotonic = std::chrono::steady_clock;

std::uint64_t random_number() {
  auto x = std::uint64_t{0};
  [[maybe_unused]] const auto got = ::getrandom(&x, sizeof x, 0);
  return x;
}

int dial(const std::filesystem::path& path) {
  auto address = sockaddr_un{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path)
    return -1;
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  const auto fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

/// What became of a call.
using finish = std::function<void(wire::LedgerReply*, fault, const std::string&)>;

struct call {
  /// The whole frame, kept so that it can be sent again.
  std::string frame;
  monotonic::time_point deadline;
  finish done;
};

} // namespace

struct client::state {
  config settings;
  std::string name = "client-" + std::to_string(random_number());

  mutable std::mutex guard;
  std::map<std::uint64_t, call> calls;
  std::uint64_t last_id = 0;
  std::uint64_t last_sequence = 0;
  std::string out;
  int fd = -1;
  bool over = false;
  bool wants_watch = false;
  bool writing = false;
  /// The loop's thread, while it hands out answers.
  std::thread::id gatherer;
  std::atomic<bool> connected = false;

  // Only touched on the loop's thread.
  watcher told;
  std::string in;
  std::vector<char> block = std::vector<char>(64 * 1024);
  duration redial{};
  std::minstd_rand chance{static_cast<std::minstd_rand::result_type>(random_number())};

  struct closing {
    int& fd;
    ~closing() {
      if (fd >= 0)
        ::close(fd);
    }
  } at_end{fd};

  // Last, so that its thread ends before anything that it uses.
  host::loop loop;

  // --- calling, from any thread

  void submit(wire::LedgerCall what, finish done) {
    auto closed = false;
    auto away = false;
    {
      const auto lock = std::lock_guard{guard};
      closed = over;
      away = !settings.resend && fd < 0;
      if (!closed && !away && calls.size() < settings.outstanding_max) {
        const auto id = ++last_id;
        what.set_id(id);
        auto& kept = calls[id];
        put_frame(kept.frame, what);
        kept.deadline = monotonic::now() + std::chrono::duration_cast<monotonic::duration>(settings.patience);
        kept.done = std::move(done);
        if (fd >= 0)
          send_now(kept.frame);
        return;
      }
    }
    closed ? done(nullptr, fault::unavailable, "the ledger's client was closed")
    : away ? done(nullptr, fault::unreachable, "the ledger's process is away")
           : done(nullptr, fault::overloaded, "too many calls wait for the ledger");
  }

  /// With the guard held. What the socket does not take now follows when it can; what the callbacks of one read ask
  /// for goes out together.
  void send_now(std::string_view bytes) {
    if (gatherer == std::this_thread::get_id()) {
      out += bytes;
      return;
    }
    if (out.empty()) {
      const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      bytes.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
      if (bytes.empty())
        return;
    }
    out += bytes;
    if (!std::exchange(writing, true))
      watch_socket();
  }

  void watch_socket() {
    const auto events = EPOLLIN | (writing ? EPOLLOUT : 0u);
    loop.watch(fd, events, [this](std::uint32_t happened) { ready(happened); });
  }

  // --- on the loop's thread

  void connect() {
    {
      const auto lock = std::lock_guard{guard};
      if (over || fd >= 0)
        return;
    }
    const auto fresh = dial(settings.socket);
    if (fresh < 0) {
      redial = std::min<duration>(std::max<duration>(settings.redial_min, redial * 2), settings.redial_max);
      const auto wait = std::uniform_int_distribution<std::int64_t>{redial.count() / 2, redial.count()}(chance);
      loop.after(duration{wait}, [this] { connect(); });
      return;
    }
    redial = {};
    in.clear();
    const auto lock = std::lock_guard{guard};
    fd = fresh;
    out.clear();
    writing = false;
    connected = true;
    watch_socket();
    if (wants_watch) {
      auto frame = std::string{};
      put_frame(frame, watch_call());
      send_now(frame);
    }
    for (const auto& [id, kept] : calls)
      send_now(kept.frame);
  }

  static wire::LedgerCall watch_call() {
    auto what = wire::LedgerCall{};
    what.mutable_watch();
    return what;
  }

  void ready(std::uint32_t events) {
    if (events & EPOLLOUT)
      write_more();
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
      read_more();
  }

  void write_more() {
    const auto lock = std::lock_guard{guard};
    if (fd < 0 || out.empty())
      return;
    const auto sent = ::send(fd, out.data(), out.size(), MSG_NOSIGNAL);
    if (sent > 0)
      out.erase(0, static_cast<std::size_t>(sent));
    if (out.empty() && std::exchange(writing, false))
      watch_socket();
  }

  void read_more() {
    const auto count = ::recv(fd, block.data(), block.size(), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (count <= 0)
      return disconnect();
    in.append(block.data(), static_cast<std::size_t>(count));
    begin_gathering();
    const auto good = hand_out();
    end_gathering();
    if (!good)
      disconnect();
  }

  void begin_gathering() {
    const auto lock = std::lock_guard{guard};
    gatherer = std::this_thread::get_id();
  }

  void end_gathering() {
    const auto lock = std::lock_guard{guard};
    gatherer = {};
    if (!writing && !out.empty())
      send_now(std::exchange(out, {}));
  }

  /// False when what came in is no stream of answers.
  bool hand_out() {
    auto stream = frames{in, reply_bytes_max};
    auto reply = wire::LedgerReply{};
    while (const auto frame = stream.next()) {
      if (!reply.ParseFromArray(frame->data(), static_cast<int>(frame->size())))
        return false;
      reply.id() == 0 ? tell(reply) : finish_call(reply);
    }
    in.erase(0, stream.taken());
    return !stream.bad();
  }

  void disconnect() {
    loop.forget(fd);
    auto broken = std::map<std::uint64_t, call>{};
    {
      const auto lock = std::lock_guard{guard};
      ::close(fd);
      fd = -1;
      connected = false;
      if (!settings.resend)
        broken.swap(calls);
    }
    for (const auto& [id, kept] : broken)
      kept.done(nullptr, fault::unreachable, "the ledger's process went away");
    if (told.lost)
      told.lost();
    loop.after(settings.redial_min, [this] { connect(); });
  }

  void tell(const wire::LedgerReply& news) {
    if (news.has_changed() && told.changed)
      told.changed(news.changed());
    else if (news.has_led() && told.led)
      told.led(news.led());
    else if (news.has_entries() && told.state)
      told.state(news.entries());
  }

  void finish_call(wire::LedgerReply& reply) {
    auto done = finish{};
    {
      const auto lock = std::lock_guard{guard};
      const auto found = calls.find(reply.id());
      if (found == calls.end())
        return;
      done = std::move(found->second.done);
      calls.erase(found);
    }
    done(&reply, static_cast<fault>(reply.fault()), reply.text());
  }

  /// Every so often: calls whose time is over.
  void expire() {
    auto late = std::vector<finish>{};
    {
      const auto lock = std::lock_guard{guard};
      if (over)
        return;
      const auto now = monotonic::now();
      for (auto i = calls.begin(); i != calls.end();) {
        if (i->second.deadline <= now) {
          late.push_back(std::move(i->second.done));
          i = calls.erase(i);
        } else {
          ++i;
        }
      }
    }
    for (const auto& done : late)
      done(nullptr, fault::timeout, "the ledger did not answer in time");
    loop.after(std::chrono::milliseconds{50}, [this] { expire(); });
  }

  template <class T, class Pick>
  static finish deliver(answered<T> done, Pick pick) {
    return [done = std::move(done), pick](wire::LedgerReply* reply, fault kind, const std::string& text) {
      auto x = answer<T>{};
      x.ok = reply && reply->fault() == 0;
      if (x.ok) {
        x.value = std::move(*pick(*reply));
      } else {
        x.kind = kind;
        x.text = text;
        if (reply)
          x.leader = reply->leader();
      }
      done(std::move(x));
    };
  }

  static finish applied(answered<wire::LedgerApplied> done) {
    return deliver<wire::LedgerApplied>(std::move(done), [](wire::LedgerReply& r) { return r.mutable_applied(); });
  }
};

client::client(config settings) : state_{std::make_unique<state>()} {
  state_->settings = std::move(settings);
  state_->loop.post([s = state_.get()] {
    s->connect();
    s->expire();
  });
}

client::~client() {
  auto owed = std::map<std::uint64_t, call>{};
  {
    const auto lock = std::lock_guard{state_->guard};
    state_->over = true;
    owed.swap(state_->calls);
  }
  state_.reset();
  for (const auto& [id, kept] : owed)
    kept.done(nullptr, fault::unavailable, "the ledger's client was closed");
}

void client::propose(wire::LedgerCommand command, answered<wire::LedgerApplied> done) {
  if (command.client().empty()) {
    command.set_client(state_->name);
    const auto lock = std::lock_guard{state_->guard};
    command.set_sequence(++state_->last_sequence);
  }
  command.set_version(command_version);
  command.clear_hops();
  auto answer_now = [&](fault kind, const std::string& why) {
    auto x = answer<wire::LedgerApplied>{};
    x.kind = kind;
    x.text = why;
    done(std::move(x));
  };
  if (const auto why = refusal(command); !why.empty())
    return answer_now(fault::bad_request, why);
  auto what = wire::LedgerCall{};
  command.SerializeToString(what.mutable_command());
  state_->submit(std::move(what), state::applied(std::move(done)));
}

void client::read(const wire::LedgerRead& query, answered<wire::LedgerEntries> done) {
  auto what = wire::LedgerCall{};
  *what.mutable_read() = query;
  state_->submit(std::move(what), state::deliver<wire::LedgerEntries>(
                                      std::move(done), [](wire::LedgerReply& r) { return r.mutable_entries(); }));
}

void client::status(answered<wire::LedgerStatus> done) {
  auto what = wire::LedgerCall{};
  what.mutable_status();
  state_->submit(std::move(what), state::deliver<wire::LedgerStatus>(
                                      std::move(done), [](wire::LedgerReply& r) { return r.mutable_status(); }));
}

void client::add(const wire::LedgerAdd& x, answered<wire::LedgerApplied> done) {
  auto what = wire::LedgerCall{};
  *what.mutable_add() = x;
  state_->submit(std::move(what), state::applied(std::move(done)));
}

void client::remove(const wire::LedgerRemove& x, answered<wire::LedgerApplied> done) {
  auto what = wire::LedgerCall{};
  *what.mutable_remove() = x;
  state_->submit(std::move(what), state::applied(std::move(done)));
}

void client::snapshot(answered<wire::LedgerApplied> done) {
  auto what = wire::LedgerCall{};
  what.mutable_snapshot();
  state_->submit(std::move(what), state::applied(std::move(done)));
}

void client::backup(const wire::LedgerBackup& x, answered<wire::LedgerApplied> done) {
  auto what = wire::LedgerCall{};
  *what.mutable_backup() = x;
  state_->submit(std::move(what), state::applied(std::move(done)));
}

void client::restore(const wire::LedgerRestore& x, answered<wire::LedgerApplied> done) {
  auto what = wire::LedgerCall{};
  *what.mutable_restore() = x;
  state_->submit(std::move(what), state::applied(std::move(done)));
}

void client::watch(watcher who) {
  state_->loop.post([s = state_.get(), who = std::move(who)] {
    s->told = who;
    const auto lock = std::lock_guard{s->guard};
    s->wants_watch = true;
    if (s->fd < 0)
      return;
    auto frame = std::string{};
    put_frame(frame, state::watch_call());
    s->send_now(frame);
  });
}

bool client::connected() const { return state_->connected; }

} // namespace novacron::ledger
