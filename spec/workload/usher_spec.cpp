/// What the usher inside a function's container promises, as the real program.

#include "actors/workload/call_frames.hpp"
#include "actors/workload/usher_program.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace novacron::workload;
using namespace std::chrono_literals;
using enum lane_word::kind;

namespace {

/// The usher, as novacron would start it.
class lane {
public:
  explicit lane(std::vector<std::string> words) {
    static const auto program = [] {
      const auto fd = ::memfd_create("usher", MFD_CLOEXEC);
      const auto text = usher_program();
      REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
      return fd;
    }();
    auto in = std::array<int, 2>{}, out = std::array<int, 2>{};
    REQUIRE(::pipe2(in.data(), O_CLOEXEC) == 0);
    REQUIRE(::pipe2(out.data(), O_CLOEXEC) == 0);
    words.insert(words.begin(), "usher");
    auto argv = std::vector<char*>{};
    for (auto& each : words)
      argv.push_back(each.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::fexecve(program, argv.data(), environ);
      ::_exit(99);
    }
    ::close(in[0]);
    ::close(out[1]);
    in_ = in[1];
    out_ = out[0];
  }
  ~lane() {
    if (in_ >= 0)
      end_input();
    ::close(out_);
    if (pid_ > 0)
      CHECK(WEXITSTATUS(wait()) == 0);
  }
  lane(const lane&) = delete;
  lane& operator=(const lane&) = delete;

  /// The next word within five seconds; `foreign` when there is none.
  lane_word next() {
    for (;;) {
      if (auto word = reader_.next())
        return *word;
      auto ready = pollfd{out_, POLLIN, 0};
      auto block = std::array<char, 65536>{};
      const auto count = ::poll(&ready, 1, 5000) == 1 ? ::read(out_, block.data(), block.size()) : 0;
      if (count <= 0)
        return {foreign};
      reader_.take({block.data(), static_cast<std::size_t>(count)});
    }
  }

  void send(std::string_view body, std::chrono::milliseconds limit) {
    const auto frame = call_frame(body, limit);
    REQUIRE(::write(in_, frame.data(), frame.size()) == static_cast<ssize_t>(frame.size()));
  }

  lane_word call(std::string_view body, std::chrono::milliseconds limit = 5000ms) {
    send(body, limit);
    return next();
  }

  void end_input() { ::close(std::exchange(in_, -1)); }
  int wait() {
    auto status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }
  pid_t pid() const { return pid_; }

private:
  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
  lane_reader reader_;
};

std::vector<std::string> each(const std::string& script) {
  return {"take", "each", "/bin/sh", "-c", script};
}
std::vector<std::string> stream(const std::string& script) {
  return {"take", "stream", "/bin/sh", "-c", script};
}

/// A fifo that handlers hold open: its reader sees the end when the last of them has gone.
struct witness {
  std::string path = "/tmp/novacron-usher-" + std::to_string(::getpid());
  int fd = -1;
  witness() {
    ::unlink(path.c_str());
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  ~witness() {
    ::close(fd);
    ::unlink(path.c_str());
  }
  bool all_gone() const {
    auto ready = pollfd{fd, POLLIN, 0};
    return ::poll(&ready, 1, 5000) == 1 && (ready.revents & POLLHUP) != 0;
  }
};

} // namespace

SCENARIO("a handler is started for each call, with its body on stdin and its answer from stdout") {
  auto one = lane{each("echo $$; cat")};
  CHECK(one.next() == lane_word{ready});
  const auto first = one.call("hello\n");
  const auto second = one.call("hello\n");
  CHECK(first.what == answered);
  CHECK(first.text.ends_with("\nhello\n"));
  CHECK(second.text.ends_with("\nhello\n"));
  CHECK(first.text != second.text);
  CHECK(one.call("").what == answered);
}

SCENARIO("a handler that fails says how, and the next call gets another") {
  auto one = lane{each("read x; [ $x = good ] && exec echo fine; [ $x = bad ] && exit 7; kill -9 $$")};
  CHECK(one.next() == lane_word{ready});
  CHECK(one.call("bad\n") == lane_word{failed, "the handler ended with exit code 7"});
  CHECK(one.call("ugly\n") == lane_word{failed, "the handler was killed by signal 9"});
  CHECK(one.call("good\n") == lane_word{answered, "fine\n"});
  auto none = lane{{"take", "each", "/no/such/handler"}};
  CHECK(none.next() == lane_word{ready});
  CHECK(none.call("") == lane_word{failed, "the handler cannot be run (exit code 127)"});
}

SCENARIO("a handler whose time is over is killed with all that it started") {
  const auto seen = witness{};
  auto one = lane{each("exec 3>" + seen.path + "; echo up >&3; sleep 1000 & sleep 1000")};
  CHECK(one.next() == lane_word{ready});
  const auto begin = std::chrono::steady_clock::now();
  CHECK(one.call("", 300ms) == lane_word{late});
  CHECK(std::chrono::steady_clock::now() - begin < 4s);
  auto block = std::array<char, 16>{};
  CHECK(::read(seen.fd, block.data(), block.size()) == 3);
  CHECK(seen.all_gone());
}

SCENARIO("what a handler leaves running when it has answered is killed too") {
  const auto seen = witness{};
  auto one = lane{each("exec 3>" + seen.path + "; sleep 1000 & echo answer")};
  CHECK(one.next() == lane_word{ready});
  CHECK(one.call("") == lane_word{answered, "answer\n"});
  CHECK(seen.all_gone());
}

SCENARIO("a lane that nobody speaks to any more ends, and its handler with it") {
  for (const auto* mode : {"each", "stream"}) {
    CAPTURE(mode);
    const auto seen = witness{};
    auto one = lane{{"take", mode, "/bin/sh", "-c", "exec 3>" + seen.path + "; echo up >&3; sleep 1000"}};
    CHECK(one.next() == lane_word{ready});
    one.send("", 60s);
    auto up = pollfd{seen.fd, POLLIN, 0};
    REQUIRE(::poll(&up, 1, 5000) == 1);
    auto block = std::array<char, 16>{};
    CHECK(::read(seen.fd, block.data(), block.size()) == 3);
    one.end_input();
    CHECK(one.wait() == 0);
    CHECK(seen.all_gone());
  }
}

SCENARIO("a handler dies with a lane that is killed") {
  const auto seen = witness{};
  auto one = lane{each("exec 3>" + seen.path + "; echo up >&3; exec sleep 1000")};
  CHECK(one.next() == lane_word{ready});
  one.send("", 60s);
  auto up = pollfd{seen.fd, POLLIN, 0};
  REQUIRE(::poll(&up, 1, 5000) == 1);
  auto block = std::array<char, 16>{};
  CHECK(::read(seen.fd, block.data(), block.size()) == 3);
  ::kill(one.pid(), SIGKILL);
  one.wait();
  CHECK(seen.all_gone());
}

SCENARIO("a stream of calls goes to one handler, which answers in the form in which it was asked") {
  auto one = lane{stream("while read n; do b=$(head -c $n); a=\"$$ $b\"; printf '%d\\n%s' ${#a} \"$a\"; done")};
  CHECK(one.next() == lane_word{ready});
  const auto first = one.call("one");
  const auto second = one.call("two");
  CHECK(first.what == answered);
  REQUIRE(first.text.ends_with(" one"));
  REQUIRE(second.text.ends_with(" two"));
  CHECK(first.text.substr(0, first.text.size() - 4) == second.text.substr(0, second.text.size() - 4));
}

SCENARIO("a handler of a stream that ends, is late or talks nonsense is followed by another") {
  auto one = lane{stream("read n; b=$(head -c $n); case $b in"
                         " end) exit 3;; late) sleep 1000;; talk) echo hi;; more) printf '2\\nokmore'; sleep 1000;;"
                         " *) printf '4\\nwell'; sleep 1000;; esac")};
  CHECK(one.next() == lane_word{ready});
  CHECK(one.call("end") == lane_word{failed, "the handler ended with exit code 3"});
  CHECK(one.call("late", 200ms) == lane_word{late});
  CHECK(one.call("talk").what == failed);
  // What it says beyond its answer is not taken for the next.
  CHECK(one.call("more") == lane_word{answered, "ok"});
  CHECK(one.call("well") == lane_word{answered, "well"});
}

SCENARIO("bodies and answers may have half a megabyte, and an answer that has more is none") {
  const auto most = std::string(novacron::call_bytes_max, 'z');
  auto one = lane{each("cat")};
  CHECK(one.next() == lane_word{ready});
  CHECK(one.call(most) == lane_word{answered, most});
  auto flood = lane{each("yes")};
  CHECK(flood.next() == lane_word{ready});
  CHECK(flood.call("") == lane_word{failed, "the handler answered with more than 524288 bytes"});
  // Who does not want to read all of it may answer all the same.
  auto deaf = lane{each("exec <&-; echo no")};
  CHECK(deaf.next() == lane_word{ready});
  CHECK(deaf.call(most) == lane_word{answered, "no\n"});
}

SCENARIO("the first process of a function waits, and ends when it is told") {
  auto first = lane{{"wait", "each", "/bin/cat"}};
  std::this_thread::sleep_for(100ms);
  CHECK(::kill(first.pid(), 0) == 0);
  // It may be asked before it listens, which the kernel keeps from the first process of a container only.
  ::kill(first.pid(), SIGTERM);
  const auto status = first.wait();
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
