#include "actors/state/cache_redis.hpp"

#include <hiredis/async.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace novacron::cache {
namespace {

using monotonic = std::chrono::steady_clock;

/// Writes unless what is there is newer: values begin with their index, 8 bytes, most significant first, so that they
/// compare as text.
constexpr const char* put_script = "local k=redis.call('GETRANGE',KEYS[1],0,7) "
                                   "if #k==8 and k>string.sub(ARGV[1],1,8) then return 0 end "
                                   "if ARGV[2]~='0' then redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) "
                                   "else redis.call('SET',KEYS[1],ARGV[1]) end return 1";

std::string encode(const item& x) {
  auto out = std::string(8, '\0');
  for (auto i = 0u; i < 8; ++i)
    out[i] = static_cast<char>(x.index >> (56 - 8 * i));
  return out + x.value;
}

std::optional<item> decode(std::string_view bytes) {
  if (bytes.size() < 8)
    return {};
  auto x = item{std::string{bytes.substr(8)}, 0};
  for (auto i = 0u; i < 8; ++i)
    x.index = x.index << 8 | static_cast<unsigned char>(bytes[i]);
  return x;
}

struct call {
  std::vector<std::string> words;
  std::uint64_t index_min = 0;
  std::function<void(redis::reply)> done;
  monotonic::time_point deadline;
};

} // namespace

struct redis::state {
  config settings;
  std::mutex guard;
  std::deque<std::unique_ptr<call>> posted;
  std::atomic<std::size_t> outstanding = 0;
  std::atomic<bool> reachable = false;
  std::atomic<bool> over = false;
  std::atomic<std::uint64_t> redials = 0;
  int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

  // Only on the thread.
  redisAsyncContext* context = nullptr;
  bool wants_read = false;
  bool wants_write = false;
  std::deque<monotonic::time_point> deadlines;
  monotonic::time_point redial_at = monotonic::now();
  duration redial{};
  std::minstd_rand chance{std::random_device{}()};
  std::thread thread;

  static state& of(const redisAsyncContext* c) { return *static_cast<state*>(c->data); }

  void submit(std::unique_ptr<call> x) {
    if (!reachable || over || outstanding >= settings.outstanding_max)
      return x->done({.failed = true});
    ++outstanding;
    x->deadline = monotonic::now() + std::chrono::duration_cast<monotonic::duration>(settings.patience);
    {
      const auto lock = std::lock_guard{guard};
      posted.push_back(std::move(x));
    }
    const auto one = std::uint64_t{1};
    [[maybe_unused]] const auto written = ::write(wake, &one, sizeof one);
  }

  void run() {
    while (!over) {
      if (!context && monotonic::now() >= redial_at)
        dial();
      wait();
      send_posted();
      if (context && !deadlines.empty() && deadlines.front() <= monotonic::now())
        // hiredis 0.14 knows no time-outs: a server that stays silent is left.
        redisAsyncFree(context);
    }
    if (context)
      redisAsyncFree(context);
    send_posted();
  }

  void dial() {
    ++redials;
    const auto colon = settings.address.rfind(':');
    context = settings.address.starts_with('/')
                  ? redisAsyncConnectUnix(settings.address.c_str())
                  : redisAsyncConnect(settings.address.substr(0, colon).c_str(),
                                      colon == std::string::npos ? 6379 : std::atoi(settings.address.c_str() + colon + 1));
    if (!context || context->err) {
      if (context)
        redisAsyncFree(context);
      return lost();
    }
    context->data = this;
    context->ev.data = this;
    context->ev.addRead = [](void* s) { static_cast<state*>(s)->wants_read = true; };
    context->ev.delRead = [](void* s) { static_cast<state*>(s)->wants_read = false; };
    context->ev.addWrite = [](void* s) { static_cast<state*>(s)->wants_write = true; };
    context->ev.delWrite = [](void* s) { static_cast<state*>(s)->wants_write = false; };
    // Called whenever hiredis frees the context, which it does by itself after an error.
    context->ev.cleanup = [](void* s) { static_cast<state*>(s)->lost(); };
    redisAsyncSetConnectCallback(context, [](const redisAsyncContext* c, int status) {
      if (status == REDIS_OK) {
        of(c).redial = {};
        of(c).reachable = true;
      }
    });
    redisAsyncSetDisconnectCallback(context, [](const redisAsyncContext*, int) {});
  }

  void lost() {
    context = nullptr;
    reachable = false;
    wants_read = wants_write = false;
    deadlines.clear();
    redial = std::min<duration>(std::max<duration>(settings.redial_min, redial * 2), settings.redial_max);
    const auto pause = std::uniform_int_distribution<std::int64_t>{redial.count() / 2, redial.count()}(chance);
    redial_at = monotonic::now() + std::chrono::duration_cast<monotonic::duration>(duration{pause});
  }

  void wait() {
    auto until = monotonic::now() + std::chrono::seconds{1};
    if (!context)
      until = std::min(until, redial_at);
    else if (!deadlines.empty())
      until = std::min(until, deadlines.front());
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - monotonic::now()).count();
    auto fds = std::array{pollfd{wake, POLLIN, 0}, pollfd{-1, 0, 0}};
    if (context)
      fds[1] = {context->c.fd, static_cast<short>((wants_read ? POLLIN : 0) | (wants_write ? POLLOUT : 0)), 0};
    ::poll(fds.data(), fds.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
    if (fds[0].revents != 0) {
      auto count = std::uint64_t{0};
      [[maybe_unused]] const auto got = ::read(wake, &count, sizeof count);
    }
    // Either may free the context.
    if (context && (fds[1].revents & (POLLIN | POLLHUP | POLLERR)))
      redisAsyncHandleRead(context);
    if (context && (fds[1].revents & POLLOUT))
      redisAsyncHandleWrite(context);
  }

  void send_posted() {
    auto batch = std::deque<std::unique_ptr<call>>{};
    {
      const auto lock = std::lock_guard{guard};
      batch.swap(posted);
    }
    for (auto& x : batch) {
      if (!context) {
        finish(*x, {.failed = true});
        continue;
      }
      auto words = std::vector<const char*>{};
      auto sizes = std::vector<std::size_t>{};
      for (const auto& word : x->words) {
        words.push_back(word.data());
        sizes.push_back(word.size());
      }
      auto* kept = x.release();
      const auto status = redisAsyncCommandArgv(context, &state::answered, kept, static_cast<int>(words.size()),
                                                words.data(), sizes.data());
      if (status == REDIS_OK) {
        deadlines.push_back(kept->deadline);
        continue;
      }
      finish(*kept, {.failed = true});
      delete kept;
    }
  }

  static void answered(redisAsyncContext* c, void* bytes, void* data) {
    auto& here = of(c);
    const auto x = std::unique_ptr<call>{static_cast<call*>(data)};
    if (!here.deadlines.empty())
      here.deadlines.pop_front();
    const auto* got = static_cast<const redisReply*>(bytes);
    if (!got || got->type == REDIS_REPLY_ERROR)
      return here.finish(*x, {.failed = true});
    auto answer = redis::reply{};
    if (got->type == REDIS_REPLY_STRING)
      answer.what = judge(decode({got->str, got->len}), x->index_min);
    here.finish(*x, std::move(answer));
  }

  void finish(const call& x, redis::reply answer) {
    --outstanding;
    x.done(std::move(answer));
  }
};

redis::redis(config settings) : state_{std::make_unique<state>()} {
  // hiredis writes to sockets of servers that died.
  ::signal(SIGPIPE, SIG_IGN);
  state_->settings = std::move(settings);
  state_->thread = std::thread{[s = state_.get()] { s->run(); }};
}

redis::~redis() {
  state_->over = true;
  const auto one = std::uint64_t{1};
  [[maybe_unused]] const auto written = ::write(state_->wake, &one, sizeof one);
  state_->thread.join();
  ::close(state_->wake);
}

void redis::get(const std::string& key, std::uint64_t index_min, std::function<void(reply)> done) {
  state_->submit(std::make_unique<call>(call{{"GET", key}, index_min, std::move(done), {}}));
}

void redis::put(const std::string& key, const item& what, duration life, std::function<void(reply)> done) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(life).count();
  state_->submit(std::make_unique<call>(
      call{{"EVAL", put_script, "1", key, encode(what), std::to_string(ms)}, 0, std::move(done), {}}));
}

void redis::erase(const std::string& key, std::function<void(reply)> done) {
  state_->submit(std::make_unique<call>(call{{"DEL", key}, 0, std::move(done), {}}));
}

bool redis::reachable() const { return state_->reachable; }
std::uint64_t redis::redials() const { return state_->redials; }

} // namespace novacron::cache
