#include "actors/api/server.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <list>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <vector>

namespace novacron::api {
namespace {

using monotonic = std::chrono::steady_clock;

/// One connection and what was read ahead from it.
struct visitor {
  std::unique_ptr<line> way;
  std::string ahead;
  deadline patience;
};

/// IMF-fixdate, as RFC 9110 asks for.
std::string date_now() {
  const auto now = std::time(nullptr);
  auto parts = std::tm{};
  ::gmtime_r(&now, &parts);
  auto text = std::array<char, 40>{};
  const auto size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), size};
}

bool read_more(visitor& x, deadline until) {
  auto block = std::array<char, 16384>{};
  const auto count = x.way->read(block.data(), block.size(), until);
  x.ahead.append(block.data(), count);
  return count > 0;
}

/// A body whose length was announced.
bool read_plain(visitor& x, std::size_t length, std::string& into, deadline until) {
  while (x.ahead.size() < length)
    if (!read_more(x, until))
      return false;
  into = x.ahead.substr(0, length);
  x.ahead.erase(0, length);
  return true;
}

std::optional<refusal> read_chunks(visitor& x, const limits& bounds, std::string& into, deadline until) {
  auto body = chunked_body{bounds};
  while (!body.complete()) {
    if (x.ahead.empty() && !read_more(x, until))
      return refusal{408, "the body did not come in time"};
    const auto taken = body.feed(x.ahead);
    if (const auto* wrong = std::get_if<refusal>(&taken))
      return *wrong;
    x.ahead.erase(0, std::get<std::size_t>(taken));
  }
  into = body.take();
  return {};
}

/// Blocks all signals for the threads that are started while it lives: they belong to the main thread.
class no_signals {
public:
  no_signals() {
    auto all = sigset_t{};
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~no_signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  no_signals(const no_signals&) = delete;
  no_signals& operator=(const no_signals&) = delete;

private:
  sigset_t before_{};
};

} // namespace

struct server::state {
  std::unique_ptr<entrance> in;
  const config settings;
  const answer how;
  const witness told;
  int wake = -1;
  const std::uint16_t port;

  std::mutex guard;
  std::condition_variable work;
  std::condition_variable quiet;
  std::deque<visitor> ready;
  std::vector<visitor> returned;
  /// Descriptors that a thread works on right now.
  std::set<int> active;
  std::list<std::thread> workers;
  std::vector<std::thread::id> ended;
  std::size_t idle = 0;
  std::size_t connections = 0;
  std::size_t streams = 0;
  bool stopping = false;
  std::thread doorman;

  state(std::unique_ptr<entrance> x, config y, answer z, witness w)
      : in{std::move(x)}, settings{y}, how{std::move(z)}, told{std::move(w)},
        wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}, port{in->port()} {
    if (wake < 0)
      throw std::system_error{errno, std::system_category(), "cannot make an eventfd"};
  }
  ~state() { ::close(wake); }

  // -- what the doorman does: it holds the connections that wait, and takes new ones in --

  void watch();
  void let_in(std::vector<visitor>& waiting);
  void hand_over(visitor x);
  void reap();
  void close_all(std::vector<visitor>& waiting);

  // -- what workers do --

  void labour();
  bool serve(visitor& x);
  bool greet(visitor& x);
  bool read_head(visitor& x, deadline until);
  std::optional<refusal> read_body(visitor& x, head& y);
  bool reply(visitor& x, const head& to, response with);
  bool stream(visitor& x, const head& to, const response& with);
  void refuse(visitor& x, const refusal& why);

  void leave(visitor x);
  bool is_stopping() {
    const auto lock = std::lock_guard{guard};
    return stopping;
  }
  void nudge() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake, &one, sizeof one);
  }
  void tell(const char* why) const {
    if (told.refused)
      told.refused(why);
  }
};

void server::state::watch() {
  auto waiting = std::vector<visitor>{};
  auto backoff = false;
  while (!is_stopping()) {
    {
      const auto lock = std::lock_guard{guard};
      std::ranges::move(returned, std::back_inserter(waiting));
      returned.clear();
    }
    reap();
    auto fds = std::vector<pollfd>{{wake, POLLIN, 0}, {backoff ? -1 : in->descriptor(), POLLIN, 0}};
    auto next = monotonic::now() + (backoff ? std::chrono::milliseconds{100} : std::chrono::milliseconds{60'000});
    for (const auto& x : waiting) {
      fds.push_back({x.way->descriptor(), POLLIN, 0});
      next = std::min(next, x.patience);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - monotonic::now()).count();
    ::poll(fds.data(), fds.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
    auto count = std::uint64_t{0};
    [[maybe_unused]] const auto got = ::read(wake, &count, sizeof count);
    const auto now = monotonic::now();
    auto still = std::vector<visitor>{};
    for (auto i = std::size_t{0}; i < waiting.size(); ++i) {
      if (fds[i + 2].revents != 0)
        hand_over(std::move(waiting[i]));
      else if (waiting[i].patience <= now)
        leave(std::move(waiting[i]));
      else
        still.push_back(std::move(waiting[i]));
    }
    waiting = std::move(still);
    backoff = false;
    if (fds[1].revents != 0) {
      let_in(waiting);
      // Out of descriptors: waiting a little is better than spinning.
      backoff = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
    }
  }
  close_all(waiting);
}

void server::state::let_in(std::vector<visitor>& waiting) {
  while (auto way = in->accept()) {
    const auto crowded = [&] {
      const auto lock = std::lock_guard{guard};
      return connections >= settings.connections_max || !(++connections);
    }();
    if (crowded) {
      tell("crowd");
      continue;
    }
    if (told.connections)
      told.connections(1);
    waiting.push_back({std::move(way), {}, monotonic::now() + settings.head_max});
  }
}

void server::state::hand_over(visitor x) {
  const auto lock = std::lock_guard{guard};
  ready.push_back(std::move(x));
  if (idle >= ready.size() || workers.size() - ended.size() >= settings.threads_max) {
    work.notify_one();
    return;
  }
  const auto silence = no_signals{};
  workers.emplace_back([this] { labour(); });
}

void server::state::reap() {
  auto gone = std::list<std::thread>{};
  {
    const auto lock = std::lock_guard{guard};
    for (const auto& id : ended) {
      const auto at = std::ranges::find(workers, id, &std::thread::get_id);
      gone.splice(gone.end(), workers, at);
    }
    ended.clear();
  }
  for (auto& x : gone)
    x.join();
}

void server::state::leave(visitor x) {
  x.way.reset();
  if (told.connections)
    told.connections(-1);
  const auto lock = std::lock_guard{guard};
  --connections;
}

void server::state::close_all(std::vector<visitor>& waiting) {
  auto all = std::deque<visitor>{};
  {
    const auto lock = std::lock_guard{guard};
    std::swap(all, ready);
    std::ranges::move(returned, std::back_inserter(all));
    returned.clear();
  }
  std::ranges::move(waiting, std::back_inserter(all));
  for (auto& x : all)
    leave(std::move(x));
  in.reset();
}

void server::state::labour() {
  for (;;) {
    auto x = visitor{};
    {
      auto lock = std::unique_lock{guard};
      ++idle;
      const auto some = work.wait_for(lock, settings.thread_idle_max, [&] { return stopping || !ready.empty(); });
      --idle;
      if (!some || ready.empty()) {
        ended.push_back(std::this_thread::get_id());
        quiet.notify_all();
        return;
      }
      x = std::move(ready.front());
      ready.pop_front();
      active.insert(x.way->descriptor());
    }
    const auto again = serve(x);
    const auto lock = std::unique_lock{guard};
    active.erase(x.way->descriptor());
    if (again && !stopping) {
      x.patience = monotonic::now() + settings.idle_max;
      returned.push_back(std::move(x));
      nudge();
    } else {
      --connections;
      x.way.reset();
      if (told.connections)
        told.connections(-1);
    }
    quiet.notify_all();
  }
}

bool server::state::greet(visitor& x) {
  if (x.way->greet(monotonic::now() + settings.head_max))
    return true;
  tell("handshake");
  return false;
}

bool server::state::read_head(visitor& x, deadline until) {
  while (head_end(x.ahead) == std::string::npos) {
    if (x.ahead.size() > settings.bounds.head_bytes_max) {
      refuse(x, {431, "the head of the request is too large"});
      return false;
    }
    if (!read_more(x, until)) {
      // One that said nothing just left.
      if (!x.ahead.empty() && monotonic::now() >= until) {
        tell("slow");
        refuse(x, {408, "the request did not come in time"});
      }
      return false;
    }
  }
  return true;
}

std::optional<refusal> server::state::read_body(visitor& x, head& y) {
  const auto until = monotonic::now() + settings.body_max;
  const auto expected = y.chunked || y.length > 0;
  if (expected && y.expects_continue && x.ahead.empty() && !x.way->write("HTTP/1.1 100 Continue\r\n\r\n", until))
    return refusal{408, "the connection broke"};
  if (y.chunked)
    return read_chunks(x, settings.bounds, y.asked.body, until);
  if (!read_plain(x, y.length, y.asked.body, until))
    return refusal{408, "the body did not come in time"};
  return {};
}

/// Serves requests as long as they are there; true when the connection may wait for more.
bool server::state::serve(visitor& x) {
  if (!greet(x))
    return false;
  do {
    if (!read_head(x, monotonic::now() + settings.head_max))
      return false;
    const auto end = head_end(x.ahead);
    auto parsed = parse_head(std::string_view{x.ahead}.substr(0, end), settings.bounds);
    x.ahead.erase(0, end);
    if (const auto* wrong = std::get_if<refusal>(&parsed)) {
      refuse(x, *wrong);
      return false;
    }
    auto& asked = std::get<head>(parsed);
    if (const auto wrong = read_body(x, asked)) {
      refuse(x, *wrong);
      return false;
    }
    asked.asked.who = x.way->who;
    auto answered = how(asked.asked);
    if (!reply(x, asked, std::move(answered)))
      return false;
  } while (!x.ahead.empty() || x.way->pending());
  return true;
}

bool server::state::reply(visitor& x, const head& to, response with) {
  const auto bare = to.asked.method == "HEAD";
  if (with.stream && !bare)
    return stream(x, to, with);
  const auto keep = to.keep_alive && !is_stopping();
  auto text = format_head(with, keep, date_now());
  if (!bare && with.status != 204 && with.status != 304)
    text += with.body;
  if (!x.way->write(text, monotonic::now() + settings.write_max)) {
    tell("slow");
    return false;
  }
  if (!keep)
    x.way->finish(monotonic::now() + settings.write_max);
  return keep;
}

namespace {

/// A sink that writes to a connection until its reader is gone, too slow, or the server stops.
class line_sink : public sink {
public:
  line_sink(line& way, bool chunked, std::chrono::milliseconds write_max, std::function<bool()> stopping)
      : way_{way}, chunked_{chunked}, write_max_{write_max}, stopping_{std::move(stopping)} {}

  bool write(std::string_view bytes) override {
    if (bytes.empty())
      return open();
    open_ = open_ && way_.write(chunked_ ? format_chunk(bytes) : std::string{bytes}, monotonic::now() + write_max_);
    return open_;
  }

  bool open() override {
    auto what = pollfd{way_.descriptor(), POLLRDHUP, 0};
    if (open_ && ::poll(&what, 1, 0) > 0)
      open_ = false;
    return open_ && !stopping_();
  }

private:
  line& way_;
  bool chunked_;
  std::chrono::milliseconds write_max_;
  std::function<bool()> stopping_;
  bool open_ = true;
};

} // namespace

bool server::state::stream(visitor& x, const head& to, const response& with) {
  {
    const auto lock = std::lock_guard{guard};
    if (streams >= settings.streams_max) {
      told.refused ? told.refused("full") : void();
      auto busy = problem(429, "too many streams are open here", "overloaded");
      busy.headers["Retry-After"] = "5";
      return x.way->write(format_head(busy, false, date_now()) + busy.body, monotonic::now() + settings.write_max) && false;
    }
    ++streams;
  }
  // HTTP/1.0 knows no chunks: there the end of the connection ends the body.
  auto head = with;
  if (to.old)
    head.stream = nullptr;
  auto text = format_head(head, to.keep_alive && !to.old, date_now());
  if (to.old)
    text.erase(text.find("Content-Length: 0\r\n"), 19);
  auto out = line_sink{*x.way, !to.old, settings.write_max, [this] { return is_stopping(); }};
  auto whole = x.way->write(text, monotonic::now() + settings.write_max) && with.stream(out);
  if (whole && !to.old)
    whole = x.way->write(format_chunk({}), monotonic::now() + settings.write_max);
  const auto keep = whole && to.keep_alive && !to.old && !is_stopping();
  if (whole && !keep)
    x.way->finish(monotonic::now() + settings.write_max);
  const auto lock = std::lock_guard{guard};
  --streams;
  return keep;
}

void server::state::refuse(visitor& x, const refusal& why) {
  tell("head");
  const auto out = problem(why.status, why.text);
  x.way->write(format_head(out, false, date_now()) + out.body, monotonic::now() + settings.write_max);
  const auto until = monotonic::now() + std::chrono::seconds{1};
  x.way->finish(until);
  // Bytes left unread would reset the connection, and the peer might lose the answer.
  auto rest = std::array<char, 16384>{};
  for (auto size = std::size_t{0}; size < (64u << 10);) {
    const auto count = x.way->read(rest.data(), rest.size(), until);
    if (count == 0)
      break;
    size += count;
  }
}

server::server(std::unique_ptr<entrance> in, config settings, answer how, witness told)
    : state_{std::make_unique<state>(std::move(in), settings, std::move(how), std::move(told))} {
  const auto silence = no_signals{};
  state_->doorman = std::thread{[x = state_.get()] { x->watch(); }};
}

server::~server() { stop(std::chrono::milliseconds{0}); }

std::uint16_t server::port() const { return state_->port; }

bool server::stop(std::chrono::milliseconds patience) {
  auto& x = *state_;
  {
    const auto lock = std::lock_guard{x.guard};
    x.stopping = true;
  }
  x.nudge();
  x.work.notify_all();
  if (x.doorman.joinable())
    x.doorman.join();
  auto clean = true;
  {
    auto lock = std::unique_lock{x.guard};
    clean = x.quiet.wait_for(lock, patience, [&] { return x.active.empty(); });
    for (const auto fd : x.active)
      ::shutdown(fd, SHUT_RDWR);
  }
  auto workers = std::list<std::thread>{};
  {
    const auto lock = std::lock_guard{x.guard};
    workers.swap(x.workers);
    x.ended.clear();
  }
  for (auto& worker : workers)
    worker.join();
  return clean;
}

} // namespace novacron::api
