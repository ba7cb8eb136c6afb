// The usher inside a function's container: it takes calls to the handler. One static program that novacron carries
// along.
//
//     usher wait MODE HANDLER...    is the container's first process: waits, reaps, and ends at SIGTERM
//     usher take MODE HANDLER...    a lane: takes one call after another from stdin and answers on stdout
//
//     to a lane      call BYTES MILLISECONDS LF body
//     from a lane    ready 1 LF | answer BYTES LF body | failed WORDS LF | late LF
//
// MODE "each" starts the handler for each call: the body is its stdin, the answer its stdout, and exit code 0 says that
// there is one. MODE "stream" starts it once; it reads "BYTES LF body" and answers in the same form. A lane ends with
// its stdin, and takes the handler with it.

#include "actors/workload/shim/small_files.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

namespace {

using novacron::shim::text_into;
using novacron::shim::write_all;

/// As in call_frames.hpp; a longer answer is none.
constexpr size_t body_bytes_max = 512 << 10;
constexpr size_t line_bytes_max = 64;

long long now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/// What is read piece by piece: first a line, then as many bytes as it says.
struct frame {
  char bytes[line_bytes_max + body_bytes_max + 1];
  size_t size = 0;

  void drop(size_t count) {
    size -= count;
    memmove(bytes, bytes + count, size);
  }
  /// The length of the line at the front, with its end; 0 while it is not whole.
  size_t line() const {
    const void* end = memchr(bytes, '\n', size);
    return end == nullptr ? 0 : static_cast<size_t>(static_cast<const char*>(end) - bytes) + 1;
  }
  /// False at the end of the source. Reads no more than there is room for.
  bool fill(int fd) {
    const ssize_t count = read(fd, bytes + size, sizeof bytes - size);
    if (count < 0)
      return errno == EAGAIN || errno == EINTR;
    size += static_cast<size_t>(count);
    return count > 0;
  }
  bool full() const { return size == sizeof bytes; }
};

frame calls;
frame answer;

// The handler ------------------------------------------------------------------------------------------------

char** handler_words;
bool stream;
int handler = 0;
int handler_end = -1;
int handler_in = -1;
int handler_out = -1;

void shut(int& fd) {
  if (fd >= 0)
    close(fd);
  fd = -1;
}

[[noreturn]] void become_handler(int in, int out) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(in, 0);
  dup2(out, 1);
  // What it complains about goes where the output of the container goes.
  const int log = open("/proc/1/fd/2", O_WRONLY | O_APPEND | O_CLOEXEC);
  const int words = log >= 0 ? log : open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (words >= 0)
    dup2(words, 2);
  signal(SIGPIPE, SIG_DFL);
  execvp(handler_words[0], handler_words);
  dprintf(2, "cannot run %s: %s\n", handler_words[0], strerror(errno));
  _exit(errno == ENOENT ? 127 : 126);
}

bool start_handler() {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0)
    return false;
  if (pipe2(out, O_CLOEXEC) != 0) {
    close(in[0]);
    close(in[1]);
    return false;
  }
  handler = fork();
  if (handler == 0)
    become_handler(in[0], out[1]);
  close(in[0]);
  close(out[1]);
  handler_in = in[1];
  handler_out = out[0];
  answer.size = 0;
  if (handler > 0) {
    setpgid(handler, handler);
    handler_end = static_cast<int>(syscall(SYS_pidfd_open, handler, 0));
  }
  if (handler_end < 0) {
    if (handler > 0) {
      kill(handler, SIGKILL);
      waitpid(handler, nullptr, 0);
    }
    handler = 0;
    shut(handler_in);
    shut(handler_out);
    return false;
  }
  fcntl(handler_in, F_SETFL, O_NONBLOCK);
  fcntl(handler_out, F_SETFL, O_NONBLOCK);
  return true;
}

/// Ends the handler with all that it has started, and says how it ended.
int end_handler() {
  int status = 0;
  if (handler > 0) {
    kill(-handler, SIGKILL);
    kill(handler, SIGKILL);
    waitpid(handler, &status, 0);
  }
  handler = 0;
  shut(handler_end);
  shut(handler_in);
  shut(handler_out);
  return status;
}

[[noreturn]] void leave() {
  end_handler();
  _exit(0);
}

// Answers ----------------------------------------------------------------------------------------------------

void say(const char* line) {
  if (!write_all(1, line, strlen(line)))
    leave();
}

void say_answer(const char* body, size_t size) {
  char line[line_bytes_max];
  text_into(line, sizeof line, "answer %zu\n", size);
  say(line);
  if (!write_all(1, body, size))
    leave();
}

void say_ended(int status) {
  char line[128];
  if (WIFSIGNALED(status))
    text_into(line, sizeof line, "failed the handler was killed by signal %d\n", WTERMSIG(status));
  else if (WEXITSTATUS(status) == 127 || WEXITSTATUS(status) == 126)
    text_into(line, sizeof line, "failed the handler cannot be run (exit code %d)\n", WEXITSTATUS(status));
  else
    text_into(line, sizeof line, "failed the handler ended with exit code %d\n", WEXITSTATUS(status));
  say(line);
}

// A call -----------------------------------------------------------------------------------------------------

/// What has come of an answer in the form "BYTES LF body": 1 when it is whole, 0 when it is not yet, -1 when it is
/// none.
int look_at_stream(size_t& begin, size_t& size) {
  begin = answer.line();
  if (begin == 0)
    return answer.size >= line_bytes_max ? -1 : 0;
  size = 0;
  if (begin == 1)
    return -1;
  for (size_t i = 0; i + 1 < begin; ++i) {
    if (answer.bytes[i] < '0' || answer.bytes[i] > '9')
      return -1;
    size = size * 10 + static_cast<size_t>(answer.bytes[i] - '0');
    if (size > body_bytes_max)
      return -1;
  }
  return answer.size >= begin + size ? 1 : 0;
}

void fail(const char* line) {
  end_handler();
  say(line);
}

/// Gives the handler `size` bytes and passes its answer on; returns when the call is over, however.
void take_call(const char* body, size_t size, long long limit_ms) {
  const long long until = now_ms() + limit_ms;
  // What it said without being asked would be taken for the answer to this.
  if (stream && handler > 0) {
    pollfd early[2] = {{handler_out, POLLIN, 0}, {handler_end, POLLIN, 0}};
    if (answer.size > 0 || poll(early, 2, 0) > 0)
      end_handler();
  }
  if (handler == 0 && !start_handler())
    return say("failed the handler cannot be started: too many processes or files\n");
  char head[line_bytes_max];
  size_t head_left = stream ? static_cast<size_t>(text_into(head, sizeof head, "%zu\n", size)) : 0;
  const char* head_at = head;
  bool ended = false;
  for (;;) {
    if (!stream && size == 0)
      shut(handler_in);
    size_t begin = 0, length = 0;
    const int whole = stream ? look_at_stream(begin, length) : 0;
    if (whole == 1 && head_left + size == 0) {
      say_answer(answer.bytes + begin, length);
      return answer.drop(begin + length);
    }
    if (whole == -1)
      return fail("failed the handler's answer is not BYTES, a line feed and that many bytes, 524288 at most\n");
    if (answer.full() || (!stream && answer.size > body_bytes_max))
      return fail("failed the handler answered with more than 524288 bytes\n");
    if (ended) {
      const int status = end_handler();
      if (!stream && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return say_answer(answer.bytes, answer.size);
      return say_ended(status);
    }
    const long long left = until - now_ms();
    if (left <= 0)
      return fail("late\n");
    pollfd all[4] = {{0, 0, 0},
                     {handler_out, POLLIN, 0},
                     {handler_end, POLLIN, 0},
                     {head_left + size > 0 ? handler_in : -1, POLLOUT, 0}};
    poll(all, 4, static_cast<int>(left < 3600000 ? left : 3600000));
    if (all[0].revents & (POLLHUP | POLLERR | POLLNVAL))
      leave();
    if (all[3].revents != 0) {
      const bool at_head = head_left > 0;
      const ssize_t count = write(handler_in, at_head ? head_at : body, at_head ? head_left : size);
      if (count > 0 && at_head) {
        head_at += count;
        head_left -= static_cast<size_t>(count);
      } else if (count > 0) {
        body += count;
        size -= static_cast<size_t>(count);
      } else if (count < 0 && errno != EAGAIN && errno != EINTR) {
        // It does not want to read all of it, and may answer all the same.
        shut(handler_in);
        head_left = size = 0;
      }
    }
    if (all[1].revents != 0 && !answer.fill(handler_out))
      shut(handler_out);
    if (all[2].revents != 0) {
      // What it wrote last is still in the pipe.
      while (handler_out >= 0 && !answer.full()) {
        const size_t before = answer.size;
        if (!answer.fill(handler_out) || answer.size == before)
          break;
      }
      ended = true;
    }
  }
}

[[noreturn]] void take_calls() {
  signal(SIGPIPE, SIG_IGN);
  if (stream)
    start_handler();
  say("ready 1\n");
  for (;;) {
    size_t size = 0;
    long long limit = 0;
    const size_t begin = calls.line();
    if (begin > 0) {
      if (sscanf(calls.bytes, "call %zu %lld\n", &size, &limit) != 2 || size > body_bytes_max)
        leave();
      if (calls.size >= begin + size) {
        take_call(calls.bytes + begin, size, limit);
        calls.drop(begin + size);
        continue;
      }
    } else if (calls.size >= line_bytes_max) {
      leave();
    }
    if (!calls.fill(0))
      leave();
  }
}

// The first process ------------------------------------------------------------------------------------------

void go(int) {
  _exit(0);
}
/// Only so that waiting is interrupted.
void look(int) {}

[[noreturn]] void wait_for_the_end() {
  struct sigaction end {
  }, child{};
  end.sa_handler = go;
  child.sa_handler = look;
  sigaction(SIGTERM, &end, nullptr);
  sigaction(SIGINT, &end, nullptr);
  sigaction(SIGCHLD, &child, nullptr);
  for (;;) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    // A child that ends in between is reaped with the next one; nothing waits for it.
    pause();
  }
}

} // namespace

int main(int count, char** words) {
  if (count < 4)
    return 2;
  stream = strcmp(words[2], "stream") == 0;
  handler_words = words + 3;
  if (strcmp(words[1], "take") == 0)
    take_calls();
  wait_for_the_end();
}
