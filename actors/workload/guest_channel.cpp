#include "actors/workload/guest_channel.hpp"

#include "actors/host/unix_socket.hpp"
#include "actors/workload/guest/lines.hpp"
#include "actors/workload/qmp.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <map>
#include <mutex>
#include <random>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

using namespace std::chrono_literals;

/// Between attempts to connect: a machine's process needs some 100 ms until it listens, and a start must not wait.
constexpr auto retry_delay = 10ms;
/// Chosen: how long the agent may take to begin a process.
constexpr auto exec_patience = 20s;

std::uint64_t number_of(const std::string& text) {
  auto found = std::uint64_t{0};
  std::from_chars(text.data(), text.data() + text.size(), found);
  return found;
}

struct session {
  then<std::shared_ptr<exec_process>> began;
  exec_process::output ready;
  /// Given to the agent and not yet taken by the process.
  std::size_t unread = 0;
  std::function<void()> tell;
};

/// State under a lock; callbacks are called without it.
class channel final : public guest_channel, public std::enable_shared_from_this<channel> {
public:
  channel(host::loop& loop, std::filesystem::path directory, std::string name, std::function<void()> up)
      : loop_{loop}, directory_{std::move(directory)}, name_{std::move(name)}, tell_up_{std::move(up)},
        nonce_{fmt::format("{:08x}", std::random_device{}())} {}

  ~channel() override {
    if (fd_ < 0)
      return;
    loop_.forget(fd_);
    ::close(fd_);
  }

  void connect();
  bool up() const override {
    const auto lock = std::lock_guard{guard_};
    return up_;
  }
  void send(const std::vector<std::string_view>& words) override {
    const auto lock = std::lock_guard{guard_};
    if (fd_ < 0)
      return;
    to_send_ += guest_line(words);
    flush();
  }
  void hold(bool held, then<> done) override { order({"hold", held ? "1" : "0"}, std::move(done)); }
  void renew(const std::string& box, then<> done) override { order({"renew", box}, std::move(done)); }
  void exec(const exec_order& what, then<std::shared_ptr<exec_process>> done) override;

  std::size_t write(std::uint64_t id, std::string_view input);
  exec_process::output take(std::uint64_t id);
  void when_ready(std::uint64_t id, std::function<void()> what);
  void tell(const char* verb, std::uint64_t id, const std::string& first = {}, const std::string& second = {});
  void close(std::uint64_t id);

private:
  /// What the agent answers with one line.
  void order(const std::vector<std::string_view>& words, then<> done);
  void flush();
  void ready(std::uint32_t events);
  void hear(const std::vector<std::string>& words, std::vector<std::function<void()>>& then);
  void hear_of_session(const std::vector<std::string>& words, std::vector<std::function<void()>>& then);
  void refuse(std::uint64_t id, fault kind, const std::string& why, std::vector<std::function<void()>>& then);

  host::loop& loop_;
  const std::filesystem::path directory_;
  const std::string name_;
  mutable std::mutex guard_;
  std::function<void()> tell_up_;
  /// What the agent says before it repeats this was meant for somebody else.
  const std::string nonce_;
  int fd_ = -1;
  bool up_ = false;
  std::string to_send_;
  line_gatherer lines_{guest::line_bytes_max};
  std::map<std::uint64_t, session> sessions_;
  std::uint64_t count_ = 0;
  /// Who waits for such an answer, by the number of the order.
  std::map<std::uint64_t, then<>> orders_;
};

class guest_process final : public exec_process {
public:
  guest_process(std::shared_ptr<channel> way, std::uint64_t id) : way_{std::move(way)}, id_{id} {}
  ~guest_process() override { way_->close(id_); }
  std::size_t write(std::string_view input) override { return way_->write(id_, input); }
  void end_input() override { way_->tell("eof", id_); }
  void resize(std::uint16_t rows, std::uint16_t columns) override {
    way_->tell("size", id_, std::to_string(rows), std::to_string(columns));
  }
  void signal(int number) override { way_->tell("kill", id_, std::to_string(number)); }
  output take() override { return way_->take(id_); }
  void when_ready(std::function<void()> what) override { way_->when_ready(id_, std::move(what)); }

private:
  std::shared_ptr<channel> way_;
  std::uint64_t id_;
};

void channel::connect() {
  const auto again = [weak = weak_from_this()] {
    if (const auto alive = weak.lock())
      alive->connect();
  };
  const auto fd = host::connect_in(directory_, name_, SOCK_NONBLOCK);
  if (fd < 0)
    return loop_.after(retry_delay, again);
  {
    const auto lock = std::lock_guard{guard_};
    fd_ = fd;
    // The line feed ends what a former novacron may have begun to say.
    to_send_ = "\n" + guest_line({"hello", nonce_});
  }
  loop_.watch(fd, EPOLLIN, [weak = weak_from_this()](std::uint32_t events) {
    if (const auto alive = weak.lock())
      alive->ready(events);
  });
  const auto lock = std::lock_guard{guard_};
  flush();
}

void channel::flush() {
  while (!to_send_.empty()) {
    const auto count = ::send(fd_, to_send_.data(), to_send_.size(), MSG_NOSIGNAL);
    if (count <= 0)
      break;
    to_send_.erase(0, static_cast<std::size_t>(count));
  }
  const auto events = EPOLLIN | (to_send_.empty() ? 0u : static_cast<std::uint32_t>(EPOLLOUT));
  loop_.watch(fd_, events, [weak = weak_from_this()](std::uint32_t now) {
    if (const auto alive = weak.lock())
      alive->ready(now);
  });
}

void channel::ready(std::uint32_t events) {
  auto then = std::vector<std::function<void()>>{};
  {
    const auto lock = std::lock_guard{guard_};
    if (fd_ < 0)
      return;
    if ((events & EPOLLOUT) != 0)
      flush();
    auto block = std::array<char, 65536>{};
    const auto count = ::recv(fd_, block.data(), block.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (count > 0) {
      for (const auto& line : lines_.take({block.data(), static_cast<std::size_t>(count)}))
        hear(guest_words(line), then);
    } else {
      loop_.forget(fd_);
      ::close(std::exchange(fd_, -1));
      up_ = false;
      for (auto& [id, each] : sessions_) {
        each.ready.exited = true;
        each.ready.code = 137;
        refuse(id, fault::unreachable, "the guest has gone", then);
        if (each.tell)
          then.push_back(std::exchange(each.tell, nullptr));
      }
    }
  }
  for (const auto& each : then)
    each();
}

void channel::hear(const std::vector<std::string>& words, std::vector<std::function<void()>>& then) {
  if (words[0] == "hello" && words.size() > 1 && words[1] == nonce_) {
    up_ = true;
    // As late as possible: what was sent before waited for the guest to come up.
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    to_send_ += guest_line({"time", std::to_string(std::chrono::nanoseconds{now}.count())});
    flush();
    if (tell_up_)
      then.push_back(std::exchange(tell_up_, nullptr));
  } else if (up_ && (words[0] == "held" || words[0] == "renewed") && words.size() > 1) {
    const auto what =
        std::string{words[0] == "held" ? "its files would not stand still: " : "it could not be told who it is: "};
    if (auto waits = orders_.extract(number_of(words[1])))
      then.push_back([done = std::move(waits.mapped()), why = words.size() > 2 ? what + words[2] : ""] {
        done(why.empty() ? outcome<>{nothing{}} : outcome<>{trouble{fault::storage, why}});
      });
  } else if (up_ && words.size() > 1) {
    hear_of_session(words, then);
  }
}

void channel::hear_of_session(const std::vector<std::string>& words, std::vector<std::function<void()>>& then) {
  const auto id = number_of(words[1]);
  const auto found = sessions_.find(id);
  if (found == sessions_.end())
    return;
  auto& x = found->second;
  const auto has = words.size() > 2;
  if (words[0] == "began") {
    if (auto began = std::exchange(x.began, nullptr))
      then.push_back([self = shared_from_this(), id, began] { began(std::shared_ptr<exec_process>{std::make_shared<guest_process>(self, id)}); });
    return;
  }
  if (words[0] == "failed")
    return refuse(id, fault::bad_request, has ? words[2] : "it could not be started", then);
  if (words[0] == "out" && has)
    x.ready.out += words[2];
  else if (words[0] == "err" && has)
    x.ready.err += words[2];
  else if (words[0] == "took" && has)
    x.unread -= std::min<std::size_t>(x.unread, number_of(words[2]));
  else if (words[0] == "exit" && has) {
    x.ready.exited = true;
    x.ready.code = static_cast<int>(number_of(words[2]));
  }
  if (words[0] != "took" && x.tell)
    then.push_back(std::exchange(x.tell, nullptr));
}

void channel::refuse(std::uint64_t id, fault kind, const std::string& why, std::vector<std::function<void()>>& then) {
  if (auto began = std::exchange(sessions_.at(id).began, nullptr))
    then.push_back([began, kind, why] { began(trouble{kind, why}); });
}

void channel::exec(const exec_order& what, then<std::shared_ptr<exec_process>> done) {
  auto id = std::uint64_t{0};
  {
    const auto lock = std::lock_guard{guard_};
    if (up_) {
      id = ++count_;
      sessions_[id].began = done;
      auto numbers = std::vector<std::string>{std::to_string(id), what.terminal ? "1" : "0", std::to_string(what.rows),
                                              std::to_string(what.columns), std::to_string(what.command.size())};
      auto words = std::vector<std::string_view>{"exec"};
      words.insert(words.end(), numbers.begin(), numbers.end());
      words.insert(words.end(), what.command.begin(), what.command.end());
      auto environment = std::vector<std::string>{};
      for (const auto& [key, value] : what.env)
        environment.push_back(key + "=" + value);
      words.insert(words.end(), environment.begin(), environment.end());
      to_send_ += guest_line(words);
      flush();
    }
  }
  if (id == 0)
    return done(trouble{fault::conflict, "the guest's agent does not answer"});
  loop_.after(exec_patience, [weak = weak_from_this(), id] {
    const auto alive = weak.lock();
    if (!alive)
      return;
    auto then = std::vector<std::function<void()>>{};
    {
      const auto lock = std::lock_guard{alive->guard_};
      if (alive->sessions_.contains(id))
        alive->refuse(id, fault::timeout, "the guest's agent did not answer in time", then);
    }
    for (const auto& each : then)
      each();
  });
}

void channel::order(const std::vector<std::string_view>& words, then<> done) {
  auto id = std::uint64_t{0};
  {
    const auto lock = std::lock_guard{guard_};
    if (up_) {
      id = ++count_;
      orders_[id] = done;
      const auto number = std::to_string(id);
      auto line = words;
      line.insert(line.begin() + 1, number);
      to_send_ += guest_line(line);
      flush();
    }
  }
  if (id == 0)
    return done(trouble{fault::conflict, "the guest's agent does not answer"});
  loop_.after(exec_patience, [weak = weak_from_this(), id] {
    const auto alive = weak.lock();
    auto late = workload::then<>{};
    if (alive) {
      const auto lock = std::lock_guard{alive->guard_};
      if (auto waits = alive->orders_.extract(id))
        late = std::move(waits.mapped());
    }
    if (late)
      late(trouble{fault::timeout, "the guest's agent did not answer in time"});
  });
}

std::size_t channel::write(std::uint64_t id, std::string_view input) {
  const auto lock = std::lock_guard{guard_};
  auto& x = sessions_[id];
  // What has ended takes everything, and nothing comes of it.
  if (x.ready.exited || fd_ < 0)
    return input.size();
  auto taken = std::size_t{0};
  while (taken < input.size()) {
    const auto room = std::min(guest::window_bytes - x.unread, guest::piece_bytes);
    const auto part = input.substr(taken, room);
    if (part.empty())
      break;
    to_send_ += guest_line({"in", std::to_string(id), part});
    x.unread += part.size();
    taken += part.size();
  }
  flush();
  return taken;
}

exec_process::output channel::take(std::uint64_t id) {
  const auto lock = std::lock_guard{guard_};
  auto now = std::exchange(sessions_[id].ready, {});
  // The end is said again to who asks again.
  sessions_[id].ready.exited = now.exited;
  sessions_[id].ready.code = now.code;
  const auto size = now.out.size() + now.err.size();
  if (size > 0 && fd_ >= 0) {
    to_send_ += guest_line({"took", std::to_string(id), std::to_string(size)});
    flush();
  }
  return now;
}

void channel::when_ready(std::uint64_t id, std::function<void()> what) {
  {
    const auto lock = std::lock_guard{guard_};
    auto& x = sessions_[id];
    if (x.ready.out.empty() && x.ready.err.empty() && !x.ready.exited) {
      x.tell = std::move(what);
      return;
    }
  }
  what();
}

void channel::tell(const char* verb, std::uint64_t id, const std::string& first, const std::string& second) {
  const auto name = std::to_string(id);
  auto words = std::vector<std::string_view>{verb, name};
  for (const auto* each : {&first, &second})
    if (!each->empty())
      words.push_back(*each);
  send(words);
}

void channel::close(std::uint64_t id) {
  auto over = false;
  {
    const auto lock = std::lock_guard{guard_};
    if (const auto gone = sessions_.extract(id))
      over = gone.mapped().ready.exited;
  }
  if (!over)
    tell("close", id);
}

} // namespace

std::string guest_line(const std::vector<std::string_view>& words) {
  auto line = std::string{};
  for (const auto& each : words) {
    if (&each != words.data())
      line += '\t';
    const auto begin = line.size();
    line.resize(begin + 3 * each.size());
    line.resize(begin + guest::write_word(line.data() + begin, each.data(), each.size()));
  }
  return line + '\n';
}

std::vector<std::string> guest_words(std::string_view line) {
  auto words = std::vector<std::string>{};
  for (;;) {
    const auto tab = line.find('\t');
    auto word = std::string{line.substr(0, tab)};
    word.resize(guest::read_word(word.data(), word.size()));
    words.push_back(std::move(word));
    if (tab == line.npos)
      return words;
    line.remove_prefix(tab + 1);
  }
}

std::shared_ptr<guest_channel> open_guest_channel(host::loop& loop, const std::filesystem::path& directory,
                                                  const std::string& name, std::function<void()> up) {
  auto made = std::make_shared<channel>(loop, directory, name, std::move(up));
  loop.post([weak = std::weak_ptr{made}] {
    if (const auto alive = weak.lock())
      alive->connect();
  });
  return made;
}

} // namespace novacron::workload
