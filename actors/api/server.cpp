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
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace novacron::api {
namespace {

using monotonic = std::chrono::steady_clock;

using progress = line::progress;

/// One connection, how far it is, and what was read ahead from it.
struct visitor {
  enum class step { greeting, head, body, leaving };

  std::unique_ptr<line> way;
  /// Until when the step at hand must be done.
  deadline patience;
  step at = step::greeting;
  /// Has asked nothing yet.
  bool stranger = true;
  /// Has asked nothing since the last answer.
  bool resting = false;
  bool said_something = false;
  std::string ahead;
  head asked;
  chunked_body chunks = chunked_body{};
  /// What is to be written, and how much of it was.
  std::string out;
  std::size_t sent = 0;
  /// Bytes that came after the last answer.
  std::size_t thrown = 0;
};

/// How long, and for how many bytes, one who got the last answer may go on talking. Chosen.
constexpr auto leave_max = std::chrono::seconds{1};
constexpr auto thrown_max = std::size_t{64} << 10;

/// IMF-fixdate, as RFC 9110 asks for.
std::string date_now() {
  const auto now = std::time(nullptr);
  auto parts = std::tm{};
  ::gmtime_r(&now, &parts);
  auto text = std::array<char, 40>{};
  const auto size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), size};
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
  bool let_in(std::vector<visitor>& waiting);
  void make_room(std::vector<visitor>& waiting, const std::string& from);
  void hand_over(visitor x);
  void cut_off(visitor x);
  void reap();
  void close_all(std::vector<visitor>& waiting);

  // -- what workers do: they go on with a connection as far as it goes, and wait for none --

  void labour();
  bool serve(visitor& x);
  progress go_on(visitor& x);
  progress flush(visitor& x);
  progress greet(visitor& x);
  progress read_more(visitor& x);
  progress read_head(visitor& x);
  progress read_body(visitor& x);
  progress reply(visitor& x);
  progress stream(visitor& x, const response& with);
  progress refuse(visitor& x, const refusal& why);
  progress throw_away(visitor& x);
  void rest(visitor& x);

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
      fds.push_back({x.way->descriptor(), x.way->events(), 0});
      next = std::min(next, x.patience);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - monotonic::now()).count();
    ::poll(fds.data(), fds.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
    auto count = std::uint64_t{0};
    [[maybe_unused]] const auto got = ::read(wake, &count, sizeof count);
    const auto now = monotonic::now();
    auto still = std::vector<visitor>{};
    for (auto i = std::size_t{0}; i < waiting.size(); ++i) {
      // First whose time is over: one who sends a byte in every moment is no exception.
      if (waiting[i].patience <= now)
        cut_off(std::move(waiting[i]));
      else if (fds[i + 2].revents != 0)
        hand_over(std::move(waiting[i]));
      else
        still.push_back(std::move(waiting[i]));
    }
    waiting = std::move(still);
    backoff = false;
    // Out of descriptors: waiting a little is better than spinning.
    if (fds[1].revents != 0)
      backoff = !let_in(waiting);
  }
  close_all(waiting);
}

namespace {

/// Who came in between the turns of the doorman waits for the next one, so that a flood keeps nobody from being heard.
constexpr auto let_in_max = 64;

/// Whom to drop for a newcomer: of the address that most come from, who has asked nothing yet before who rests before
/// who is in the middle of something, and of those the one that has been at it for longest.
template <class Which>
std::vector<visitor>::iterator least_missed(std::vector<visitor>& waiting, Which which) {
  auto crowds = std::map<std::string_view, int>{};
  for (const auto& x : waiting)
    ++crowds[x.way->from];
  const auto worth = [&](const visitor& x) {
    return std::tuple{!which(x), -crowds[x.way->from], !x.stranger, !x.resting, x.patience};
  };
  const auto found =
      std::ranges::min_element(waiting, [&](const auto& x, const auto& y) { return worth(x) < worth(y); });
  return found == waiting.end() || !which(*found) ? waiting.end() : found;
}

} // namespace

/// False when the process has no descriptors left.
bool server::state::let_in(std::vector<visitor>& waiting) {
  for (auto i = 0; i < let_in_max; ++i) {
    auto way = in->accept();
    if (!way)
      return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
    make_room(waiting, way->from);
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
    waiting.push_back({.way = std::move(way), .patience = monotonic::now() + settings.head_max});
  }
  return true;
}

void server::state::make_room(std::vector<visitor>& waiting, const std::string& from) {
  const auto is_neighbour = [&](const visitor& x) { return x.way->from == from; };
  const auto full = [&] {
    const auto lock = std::lock_guard{guard};
    return connections >= settings.connections_max;
  }();
  auto victim = waiting.end();
  if (!from.empty() &&
      std::ranges::count_if(waiting, is_neighbour) >= static_cast<std::ptrdiff_t>(settings.neighbours_max))
    victim = least_missed(waiting, is_neighbour);
  else if (full)
    victim = least_missed(waiting, [](const visitor&) { return true; });
  if (victim == waiting.end())
    return;
  tell("crowd");
  leave(std::move(*victim));
  waiting.erase(victim);
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

/// Drops one whose time is over; who was understood so far is told why.
void server::state::cut_off(visitor x) {
  if (x.at == visitor::step::greeting && x.said_something)
    tell("handshake");
  const auto asking = x.at == visitor::step::body || (x.at == visitor::step::head && !x.ahead.empty());
  if (!x.out.empty() || asking)
    tell("slow");
  if (x.out.empty() && asking) {
    const auto late = problem(408, "the request did not come in time");
    x.way->write(format_head(late, false, date_now()) + late.body, monotonic::now());
    x.way->finish();
  }
  leave(std::move(x));
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
    if (x.out.empty())
      leave(std::move(x));
    else
      hand_over(std::move(x));
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

/// Goes on as far as it goes now; true when the connection may wait for more.
bool server::state::serve(visitor& x) {
  x.said_something = true;
  auto far = progress::done;
  while (far == progress::done)
    far = go_on(x);
  // Nobody waits for this one's peer any more but us.
  if (far == progress::more && !x.out.empty() && is_stopping())
    return x.way->write(std::string_view{x.out}.substr(x.sent), x.patience) && false;
  return far == progress::more;
}

progress server::state::go_on(visitor& x) {
  if (!x.out.empty())
    return flush(x);
  switch (x.at) {
    case visitor::step::greeting: return greet(x);
    case visitor::step::head: return read_head(x);
    case visitor::step::body: return read_body(x);
    case visitor::step::leaving: return throw_away(x);
  }
  return progress::over;
}

progress server::state::flush(visitor& x) {
  const auto count = x.way->write_some(std::string_view{x.out}.substr(x.sent));
  if (!count)
    return progress::more;
  if (*count == 0) {
    tell("slow");
    return progress::over;
  }
  x.sent += *count;
  if (x.sent < x.out.size())
    return progress::done;
  x.out.clear();
  x.sent = 0;
  if (x.at == visitor::step::head)
    rest(x);
  if (x.at == visitor::step::leaving) {
    x.way->finish();
    x.patience = monotonic::now() + leave_max;
  }
  return progress::done;
}

/// Between two requests.
void server::state::rest(visitor& x) {
  x.at = visitor::step::head;
  x.resting = true;
  x.patience = monotonic::now() + settings.idle_max;
}

progress server::state::greet(visitor& x) {
  const auto far = x.way->greet();
  if (far == progress::over)
    tell("handshake");
  if (far == progress::done)
    x.at = visitor::step::head;
  return far;
}

progress server::state::read_more(visitor& x) {
  auto block = std::array<char, 16384>{};
  const auto count = x.way->read(block.data(), block.size());
  if (!count)
    return progress::more;
  x.ahead.append(block.data(), *count);
  return *count == 0 ? progress::over : progress::done;
}

progress server::state::read_head(visitor& x) {
  if (x.resting && !x.ahead.empty()) {
    x.resting = false;
    x.patience = monotonic::now() + settings.head_max;
  }
  const auto end = head_end(x.ahead);
  if (end == std::string::npos)
    return x.ahead.size() > settings.bounds.head_bytes_max ? refuse(x, {431, "the head of the request is too large"})
                                                           : read_more(x);
  auto parsed = parse_head(std::string_view{x.ahead}.substr(0, end), settings.bounds);
  x.ahead.erase(0, end);
  if (const auto* wrong = std::get_if<refusal>(&parsed))
    return refuse(x, *wrong);
  x.asked = std::get<head>(std::move(parsed));
  x.stranger = false;
  x.at = visitor::step::body;
  x.patience = monotonic::now() + settings.body_max;
  x.chunks = chunked_body{settings.bounds};
  if ((x.asked.chunked || x.asked.length > 0) && x.asked.expects_continue && x.ahead.empty())
    x.out = "HTTP/1.1 100 Continue\r\n\r\n";
  return progress::done;
}

progress server::state::read_body(visitor& x) {
  auto& body = x.asked.asked.body;
  if (!x.asked.chunked) {
    if (x.ahead.size() < x.asked.length)
      return read_more(x);
    body = x.ahead.substr(0, x.asked.length);
    x.ahead.erase(0, x.asked.length);
    return reply(x);
  }
  if (!x.chunks.complete()) {
    if (x.ahead.empty())
      return read_more(x);
    const auto taken = x.chunks.feed(x.ahead);
    if (const auto* wrong = std::get_if<refusal>(&taken))
      return refuse(x, *wrong);
    x.ahead.erase(0, std::get<std::size_t>(taken));
    return progress::done;
  }
  body = x.chunks.take();
  return reply(x);
}

progress server::state::reply(visitor& x) {
  auto& asked = x.asked.asked;
  asked.who = x.way->who;
  const auto with = how(asked);
  const auto bare = asked.method == "HEAD";
  if (with.stream && !bare)
    return stream(x, with);
  const auto keep = x.asked.keep_alive && !is_stopping();
  x.out = format_head(with, keep, date_now());
  if (!bare && with.status != 204 && with.status != 304)
    x.out += with.body;
  x.at = keep ? visitor::step::head : visitor::step::leaving;
  x.patience = monotonic::now() + settings.write_max;
  return progress::done;
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

progress server::state::stream(visitor& x, const response& with) {
  {
    const auto lock = std::lock_guard{guard};
    if (streams >= settings.streams_max) {
      tell("full");
      auto busy = problem(429, "too many streams are open here", "overloaded");
      busy.headers["Retry-After"] = "5";
      x.out = format_head(busy, false, date_now()) + busy.body;
      x.at = visitor::step::leaving;
      x.patience = monotonic::now() + settings.write_max;
      return progress::done;
    }
    ++streams;
  }
  // HTTP/1.0 knows no chunks: there the end of the connection ends the body.
  const auto& to = x.asked;
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
    x.way->finish();
  rest(x);
  const auto lock = std::lock_guard{guard};
  --streams;
  return keep ? progress::done : progress::over;
}

progress server::state::refuse(visitor& x, const refusal& why) {
  tell("head");
  const auto out = problem(why.status, why.text);
  x.out = format_head(out, false, date_now()) + out.body;
  x.at = visitor::step::leaving;
  x.patience = monotonic::now() + settings.write_max;
  return progress::done;
}

/// Bytes left unread would reset the connection, and the peer might lose the answer.
progress server::state::throw_away(visitor& x) {
  x.ahead.clear();
  const auto far = read_more(x);
  x.thrown += x.ahead.size();
  return x.thrown < thrown_max ? far : progress::over;
}

server::server(std::unique_ptr<entrance> in, config settings, answer how, witness told)
    : state_{std::make_unique<state>(std::move(in), settings, std::move(how), std::move(told))} {
  const auto silence = no_signals{};
  state_->doorman = std::thread{[x = state_.get()] { x->watch(); }};
}

server::~server() {
  stop(std::chrono::milliseconds{0});
}

std::uint16_t server::port() const {
  return state_->port;
}

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
  auto late = std::deque<visitor>{};
  {
    auto lock = std::unique_lock{x.guard};
    clean = x.quiet.wait_for(lock, patience, [&] { return x.active.empty() && x.ready.empty(); });
    for (const auto fd : x.active)
      ::shutdown(fd, SHUT_RDWR);
    late.swap(x.ready);
  }
  for (auto& visitor : late)
    x.leave(std::move(visitor));
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
