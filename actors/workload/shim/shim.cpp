// The shim: one small process per container or machine that outlives novacron.
//
// It holds the lock of the instance while it lives, runs crun in mount and network namespaces of its own (so that
// no mount or network of a container can be left behind), keeps the container's output in files of a bounded size,
// forwards the published ports, waits for the container and writes down how it ended. A container that another node
// may take over has a lease: the shim ends it when that is over, whether or not novacron is there to do so.
//
// It is linked statically against libc alone. It is started as
//
//     novacron-shim run key=value...      (keys: see `settings`)
//     novacron-shim inside HIDE COMMAND...   runs COMMAND where the directory HIDE is not mounted
//
// Files it writes into `dir`: lock ("PID START" of itself), container ("PID START" of the first process), log/N,
// exit ("CODE OUT_OF_MEMORY CPU_USEC LEASE_OVER" and a second line with words; written by rename).

#include "actors/workload/shim/container_end.hpp"
#include "actors/workload/shim/events.hpp"
#include "actors/workload/shim/forwarding.hpp"
#include "actors/workload/shim/lease_page.hpp"
#include "actors/workload/shim/machine_start.hpp"
#include "actors/workload/shim/output_log.hpp"
#include "actors/workload/shim/small_files.hpp"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>

namespace {

using namespace novacron::shim;

constexpr int paths_max = 32;
constexpr int exit_bytes_max = 2048;

struct settings {
  const char* dir = "";
  const char* id = "";
  const char* crun = "crun";
  /// The overlay's lower directory; empty when dir/root is the root file system already.
  const char* lower = "";
  /// A mount that crun must not see; empty for none.
  const char* hide = "";
  /// "host", "none", or "given" (then `net` is the descriptor of the namespace).
  const char* mode = "none";
  int net = -1;
  int lock = -1;
  const char* cgroups[paths_max] = {};
  int cgroup_count = 0;
  /// The node's lease, and how many milliseconds of silence it lasts; 0 for a container that needs none.
  const char* lease = "";
  long long patience = 0;
  /// Milliseconds between the signal that asks for the end, and SIGKILL.
  long long grace = 10'000;
  int stop_signal = SIGTERM;
  /// What it runs instead of a container: the process of a machine, with the file "end" to tell to "end.sock".
  program machine;
};

settings set;
output_log output;
forwarding forwards;

struct path {
  char text[4096];
  explicit path(const char* name) { text_into(text, sizeof text, "%s/%s", set.dir, name); }
};

/// A durable one survives loss of power once this returns.
void write_by_rename(const char* name, const char* content, int size, bool durable) {
  const path target{name};
  char part[4200];
  text_into(part, sizeof part, "%s.part", target.text);
  const int fd = open(part, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return;
  const bool whole = write_all(fd, content, static_cast<size_t>(size)) && ftruncate(fd, size) == 0 &&
                     (!durable || fdatasync(fd) == 0);
  close(fd);
  if (!whole || rename(part, target.text) != 0 || !durable)
    return;
  const int directory = open(set.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0)
    return;
  fsync(directory);
  close(directory);
}

/// Room for how it ends, taken before it begins: a disk that is full by then must not cost the exit code.
void reserve_exit() {
  const int fd = open(path{"exit.part"}.text, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return;
  posix_fallocate(fd, 0, exit_bytes_max);
  close(fd);
}

struct account {
  long long kills = 0;
  long long cpu_usec = 0;
};

/// What the cgroups of the container say: version 1 has a directory per controller, version 2 one for all.
account take_account() {
  account sum;
  for (int i = 0; i < set.cgroup_count; ++i) {
    const char* here = set.cgroups[i];
    const long long v1 = number_in(here, "memory.oom_control", "oom_kill");
    const long long v2 = number_in(here, "memory.events", "oom_kill");
    const long long nanoseconds = number_in(here, "cpuacct.usage", "");
    const long long microseconds = number_in(here, "cpu.stat", "usage_usec");
    sum.kills += (v1 > 0 ? v1 : 0) + (v2 > 0 ? v2 : 0);
    if (nanoseconds > 0)
      sum.cpu_usec = nanoseconds / 1000;
    else if (microseconds > 0)
      sum.cpu_usec = microseconds;
  }
  return sum;
}

/// Removes what crun made: the cgroups with whoever is still in them (one who joined by `exec`, or all of a container
/// whose crun was killed while it started it), and its state.
void clean_up() {
  for (int i = 0; i < set.cgroup_count; ++i)
    for (int attempt = 0; attempt < 50 && rmdir(set.cgroups[i]) != 0 && errno == EBUSY; ++attempt) {
      const timespec moment = {0, 2'000'000};
      kill_members(set.cgroups[i]);
      thaw(set.cgroups[i]);
      nanosleep(&moment, nullptr);
    }
  remove_tree(path{"crun"}.text, 3);
  for (const char* name : {"pid", "control.sock", "monitor.sock", "end.sock"})
    unlink(path{name}.text);
}

// The lease ---------------------------------------------------------------------------------------------------

struct lease_watch {
  const lease_page* page = nullptr;
  int timer = -1;
  bool over = false;
  bool asked_to_end = false;
  /// When the grace ends, in nanoseconds since boot.
  uint64_t kill_at = 0;
};
lease_watch lease;

constexpr uint64_t nanoseconds(long long milliseconds) { return static_cast<uint64_t>(milliseconds) * 1'000'000u; }

[[noreturn]] void finish(int code, bool out_of_memory, long long cpu_usec, const char* words) {
  char content[exit_bytes_max], stopped[128];
  if (lease.over) {
    const auto seconds = static_cast<double>(set.patience) / 1e3;
    text_into(stopped, sizeof stopped, "was stopped: no controller was in reach for %.1f s", seconds);
    words = stopped;
  }
  const int size = text_into(content, sizeof content, "%d %d %lld %d\n%s\n", code, out_of_memory ? 1 : 0, cpu_usec,
                             lease.over ? 1 : 0, words);
  write_by_rename("exit", content, size, true);
  clean_up();
  _exit(0);
}

[[noreturn]] void fail(const char* what) {
  char words[512];
  text_into(words, sizeof words, "could not be started: %s: %s", what, strerror(errno));
  finish(125, false, 0, words);
}

void wake_for_lease(uint64_t when) {
  itimerspec at = {};
  at.it_value.tv_sec = static_cast<time_t>(when / 1'000'000'000u);
  at.it_value.tv_nsec = static_cast<long>(when % 1'000'000'000u);
  timerfd_settime(lease.timer, TFD_TIMER_ABSTIME, &at, nullptr);
}

/// On a lease that is over nothing begins to run.
void open_lease() {
  if (set.patience == 0)
    return;
  lease.page = share_lease(set.lease, false);
  lease.timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  if (lease.page == nullptr || lease.timer < 0)
    fail("the node's lease");
  const uint64_t end = confirmed_in(*lease.page) + nanoseconds(set.patience);
  lease.over = boot_nanoseconds() >= end;
  if (lease.over)
    finish(125, false, 0, "");
  wake_for_lease(end);
}

/// Ends the container once the lease is over. There is no way back from there: who renews it later must start anew,
/// because nobody could say in between which of two copies is the one.
void mind_lease(int crun, int container) {
  constexpr uint64_t soon = nanoseconds(20);
  const uint64_t now = boot_nanoseconds();
  if (!lease.over) {
    const uint64_t end = confirmed_in(*lease.page) + nanoseconds(set.patience);
    if (now < end)
      return wake_for_lease(end);
    lease.over = true;
    // Not from now on: a host that was asleep, or busy, has used up the grace as well.
    lease.kill_at = end + nanoseconds(set.grace);
  }
  if (now >= lease.kill_at) {
    kill(container > 0 ? container : crun, SIGKILL);
    for (int i = 0; i < set.cgroup_count; ++i) {
      kill_members(set.cgroups[i]);
      thaw(set.cgroups[i]);
    }
    return wake_for_lease(now + soon);
  }
  if (container > 0 && !lease.asked_to_end) {
    lease.asked_to_end = true;
    if (*set.machine.file != 0)
      tell_socket(set.dir, "end.sock", "end");
    else
      kill(container, signal_to_end(container, set.stop_signal));
    for (int i = 0; i < set.cgroup_count; ++i)
      thaw(set.cgroups[i]);
  }
  wake_for_lease(lease.asked_to_end || lease.kill_at < now + soon ? lease.kill_at : now + soon);
}

// The container -----------------------------------------------------------------------------------------------

void publish_ports() {
  if (const int refused = open_listeners(forwards); refused != 0) {
    char words[64];
    text_into(words, sizeof words, "port %d of the host", refused);
    fail(words);
  }
}

void enter_mounts(const char* hide) {
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    fail("a mount namespace");
  if (*hide != 0)
    umount2(hide, MNT_DETACH);
}

void mount_root() {
  if (*set.lower == 0)
    return;
  // Relative names keep the options below the page that mount(2) takes, however deep the data directory is.
  if (chdir(set.dir) != 0)
    fail("the instance directory");
  char options[4096];
  text_into(options, sizeof options, "lowerdir=%s,upperdir=upper,workdir=work", set.lower);
  if (mount("overlay", "root", "overlay", 0, options) != 0)
    fail("an overlay over the image");
}

void enter_network() {
  if (strcmp(set.mode, "given") == 0 && setns(set.net, CLONE_NEWNET) != 0)
    fail("the network namespace");
  if (strcmp(set.mode, "none") == 0) {
    if (unshare(CLONE_NEWNET) != 0)
      fail("a network namespace");
    ifreq loopback = {};
    strcpy(loopback.ifr_name, "lo");
    loopback.ifr_flags = IFF_UP;
    const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ioctl(any, SIOCSIFFLAGS, &loopback);
    close(any);
  }
  if (set.net >= 0)
    close(set.net);
}

int start_crun(int out) {
  unlink(path{"crun.log"}.text);
  const path root{"crun"}, log{"crun.log"}, pid{"pid"}, bundle{"bundle"};
  const int child = fork();
  if (child != 0)
    return child;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, 0);
  dup2(out, 1);
  dup2(out, 2);
  execlp(set.crun, set.crun, "--root", root.text, "--cgroup-manager=cgroupfs", "--log", log.text, "--log-format=text",
         "run", "-d", "--pid-file", pid.text, "-b", bundle.text, set.id, static_cast<char*>(nullptr));
  _exit(127);
}

/// Runs the machine's process. It is there once the exec went well: nothing else needs to be waited for.
int start_machine(int out) {
  char* words[program_words_max + 1];
  int report[2];
  if (!read_words(path{set.machine.file}.text, words) || pipe2(report, O_CLOEXEC) != 0)
    fail("what to run");
  const int child = fork();
  if (child == 0)
    become_program(set.machine, words, set.dir, set.cgroups, set.cgroup_count, out, report[1]);
  close(report[1]);
  for (const int fd : {set.machine.link, set.machine.state, set.machine.memory})
    if (fd >= 0)
      close(fd);
  int problem = 0;
  const bool failed = read(report[0], &problem, sizeof problem) == sizeof problem;
  close(report[0]);
  errno = failed ? problem : errno;
  if (failed || child < 0)
    fail(words[0]);
  return child;
}

void note_container(int pid) {
  char content[64];
  const int size = text_into(content, sizeof content, "%d %llu\n", pid, start_of(pid));
  write_by_rename("container", content, size, false);
}

/// What crun complained about last, without its time stamp and level.
void crun_complaint(char* into, size_t size) {
  char content[1024] = {};
  const int fd = open(path{"crun.log"}.text, O_RDONLY | O_CLOEXEC);
  const ssize_t count = fd >= 0 ? read(fd, content, sizeof content - 1) : -1;
  if (fd >= 0)
    close(fd);
  if (count <= 0) {
    text_into(into, size, "could not be started: crun failed without a word");
    return;
  }
  if (char* line_end = strchr(content, '\n'))
    *line_end = 0;
  const char* words = strstr(content, "Z: ");
  text_into(into, size, "could not be started: %s", words != nullptr ? words + 3 : content);
}

/// crun is done: the container runs (its first process is returned) or never will.
int container_started(int status) {
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    char words[1200];
    crun_complaint(words, sizeof words);
    finish(125, false, 0, words);
  }
  const int pid = static_cast<int>(number_in(set.dir, "pid", ""));
  if (pid <= 0) {
    errno = ENOENT;
    fail("the container's process");
  }
  note_container(pid);
  return pid;
}

/// By the word of the agent in the guest, if it had the time to say one.
[[noreturn]] void machine_ended(int status, const account& sum) {
  char content[512] = {}, words[512];
  const int fd = open(path{"how"}.text, O_RDONLY | O_CLOEXEC);
  int code = 0, killed = 0, used = 0;
  if (fd >= 0 && read(fd, content, sizeof content - 1) > 0 && strchr(content, '\n') != nullptr &&
      sscanf(content, "%d %d%n", &code, &killed, &used) == 2) {
    char* line = content + used + 1;
    line[strcspn(line, "\n")] = 0;
    finish(code, killed != 0, sum.cpu_usec, line);
  }
  if (WIFSIGNALED(status)) {
    const bool out_of_memory = sum.kills > 0 && WTERMSIG(status) == SIGKILL;
    text_into(words, sizeof words, out_of_memory ? "ran out of memory: the kernel killed its machine"
                                                 : "its machine was killed by signal %d", WTERMSIG(status));
    finish(128 + WTERMSIG(status), out_of_memory, sum.cpu_usec, words);
  }
  if (WEXITSTATUS(status) == 0)
    finish(0, false, sum.cpu_usec, "was switched off");
  last_complaint(path{"complaints"}.text, content, sizeof content);
  text_into(words, sizeof words, "its machine failed: %s", *content != 0 ? content : "without a word");
  finish(125, false, sum.cpu_usec, words);
}

[[noreturn]] void container_ended(int status, int pipe) {
  // Its pid namespace is gone with its first process, so the pipe ends; the limit is for a pipe handed elsewhere.
  for (pollfd ready = {pipe, POLLIN, 0}; poll(&ready, 1, 500) > 0 && pump(output, pipe);)
    ;
  const account sum = take_account();
  if (*set.machine.file != 0)
    machine_ended(status, sum);
  const bool out_of_memory = sum.kills > 0 && WIFSIGNALED(status);
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  char words[256];
  if (out_of_memory || (code == 137 && sum.kills > 0))
    text_into(words, sizeof words, "ran out of memory: the kernel killed it at its limit");
  else if (WIFSIGNALED(status))
    text_into(words, sizeof words, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
  else
    text_into(words, sizeof words, "ended with exit code %d", code);
  finish(code, code == 137 && sum.kills > 0, sum.cpu_usec, words);
}

/// Reaps whatever ended. Processes that `crun exec` left to us are reaped too.
void reap(int crun, int& container, int pipe) {
  // The container may end before crun does; its status waits here until we know that it was the container.
  static int early_pid[64], early_status[64], early = 0;
  int status = 0;
  for (int pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
    if (pid == crun)
      container = container_started(status);
    else if (early < 64 && container < 0) {
      early_pid[early] = pid;
      early_status[early++] = status;
    }
    if (pid == container)
      container_ended(status, pipe);
  }
  for (int i = 0; i < early && container > 0; ++i)
    if (early_pid[i] == container)
      container_ended(early_status[i], pipe);
}

[[noreturn]] void serve(int crun, int container, int pipe, int signals) {
  const int events_fd = epoll_create1(EPOLL_CLOEXEC);
  watch(events_fd, signals, EPOLLIN, tag(children, 0));
  watch(events_fd, pipe, EPOLLIN, tag(container_output, 0));
  if (lease.timer >= 0)
    watch(events_fd, lease.timer, EPOLLIN, tag(lease_timer, 0));
  forwards.events = events_fd;
  listen_for(forwards, true, false);
  reap(crun, container, pipe);
  for (;;) {
    epoll_event events[32];
    const int count = epoll_wait(events_fd, events, 32, -1);
    for (int i = 0; i < count; ++i) {
      const int index = static_cast<int>(events[i].data.u64 & 0xffffffffu);
      signalfd_siginfo told = {};
      switch (static_cast<kind>(events[i].data.u64 >> 32)) {
        case children:
          if (read(signals, &told, sizeof told) > 0)
            reap(crun, container, pipe);
          break;
        case container_output:
          if (!pump(output, pipe))
            epoll_ctl(events_fd, EPOLL_CTL_DEL, pipe, nullptr);
          break;
        case lease_timer: {
          uint64_t expired = 0;
          if (read(lease.timer, &expired, sizeof expired) > 0)
            mind_lease(crun, container);
          break;
        }
        case listener: accept_at(forwards, index); break;
        case host_side:
        case inside_side: advance(forwards, index, events[i].events); break;
      }
    }
  }
}

bool take(const char* argument) {
  const char* value = strchr(argument, '=');
  if (value == nullptr)
    return false;
  const size_t size = static_cast<size_t>(value++ - argument);
  const auto is = [&](const char* key) { return strlen(key) == size && strncmp(argument, key, size) == 0; };
  if (is("dir")) set.dir = value;
  else if (is("id")) set.id = value;
  else if (is("crun")) set.crun = value;
  else if (is("lower")) set.lower = value;
  else if (is("hide")) set.hide = value;
  else if (is("address")) forwards.address = value;
  else if (is("mode")) set.mode = value;
  else if (is("net")) set.net = atoi(value);
  else if (is("machine")) set.machine.file = value;
  else if (is("link")) set.machine.link = atoi(value);
  else if (is("state"))
    set.machine.state = atoi(value);
  else if (is("memory"))
    set.machine.memory = atoi(value);
  else if (is("owns"))
    set.machine.owns_memory = *value == '1';
  else if (is("relays")) set.machine.relays = *value == '1';
  else if (is("lock")) set.lock = atoi(value);
  else if (is("segment")) output.segment = atol(value);
  else if (is("segments")) output.segments = atoi(value);
  else if (is("lease")) set.lease = value;
  else if (is("patience")) set.patience = atoll(value);
  else if (is("grace")) set.grace = atoll(value);
  else if (is("signal")) set.stop_signal = atoi(value);
  else if (is("cgroup") && set.cgroup_count < paths_max) set.cgroups[set.cgroup_count++] = value;
  else if (is("port") && forwards.port_count < ports_max)
    return sscanf(value, "%d:%d", &forwards.ports[forwards.port_count].host,
                  &forwards.ports[forwards.port_count].inside) == 2 &&
           forwards.port_count++ < ports_max;
  else return false;
  return true;
}

int run(int count, char** arguments) {
  for (int i = 2; i < count; ++i)
    if (!take(arguments[i])) {
      dprintf(2, "novacron-shim: what is \"%s\"?\n", arguments[i]);
      return 2;
    }
  for (const int fd : {set.lock, set.net, set.machine.link, set.machine.state, set.machine.memory})
    if (fd >= 0)
      fcntl(fd, F_SETFD, FD_CLOEXEC);
  char content[64];
  const int size = text_into(content, sizeof content, "%d %llu\n", getpid(), start_of(getpid()));
  if (ftruncate(set.lock, 0) != 0 || pwrite(set.lock, content, static_cast<size_t>(size), 0) != size)
    fail("the lock file");
  for (const int number : {SIGPIPE, SIGHUP, SIGINT, SIGTERM})
    signal(number, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);
  const int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  reserve_exit();
  open_lease();
  const path log{"log"};
  output.directory = log.text;
  resume(output);
  publish_ports();
  enter_mounts(set.hide);
  mount_root();
  enter_network();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    fail("a pipe");
  const bool is_machine = *set.machine.file != 0;
  const int started = is_machine ? start_machine(ends[1]) : start_crun(ends[1]);
  if (is_machine)
    note_container(started);
  close(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  serve(is_machine ? -1 : started, is_machine ? started : -1, ends[0], signals);
}

int inside(char** arguments) {
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    dprintf(2, "novacron-shim: no mount namespace: %s\n", strerror(errno));
    return 125;
  }
  umount2(arguments[2], MNT_DETACH);
  execvp(arguments[3], arguments + 3);
  dprintf(2, "novacron-shim: cannot run %s: %s\n", arguments[3], strerror(errno));
  return 127;
}

} // namespace

int main(int count, char** arguments) {
  prctl(PR_SET_NAME, "novacron-shim");
  if (count > 2 && strcmp(arguments[1], "run") == 0)
    return run(count, arguments);
  if (count > 3 && strcmp(arguments[1], "inside") == 0)
    return inside(arguments);
  dprintf(2, "novacron-shim: started by novacron, not by hand\n");
  return 2;
}
