// The agent inside a guest: its first process, one static program that novacron carries along.
//
// It brings the guest up (modules, disks, network), reads what shall run from a small disk, runs it with its output on
// a port that leads to the log, and writes how it ended to another, so that nobody outside has to be there. Through the
// control port novacron asks for further processes in it, signals and the end (see lines.hpp for the form):
//
//     to the agent    hello NONCE | time NANOSECONDS | signal NUMBER | stop | renew ID BOX |
//                     exec ID TERMINAL ROWS COLUMNS COUNT WORD... NAME=VALUE...
//                     hold ID 0-OR-1 |
//                     in ID BYTES | eof ID | size ID ROWS COLUMNS | kill ID NUMBER | took ID COUNT | close ID
//     from the agent  hello NONCE | held ID [WORDS] | renewed ID [WORDS] | began ID | failed ID WORDS | out ID BYTES |
//     err ID BYTES | took ID COUNT |
//                     exit ID CODE
//
// A box whose first argument is an init (a virtual machine) gets that as process 1, and the agent lives on beside it.
//
// A guest that was restored from a checkpoint learns by "renew" who it is from now on: from a box that says only what
// may differ from the one that it began with.
//
// A machine that others are cloned from (a template) goes no further than to where it would read what shall run. It
// says "ready" to whoever listens at its end port and waits until nobody does any more: in a clone, whose ports lead
// elsewhere, that is at once, and there it goes on.

#include "actors/workload/guest/session.hpp"
#include "actors/workload/shim/container_end.hpp"

#include <poll.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>

#include <initializer_list>

namespace {

using namespace novacron::guest;

box all;
session sessions[sessions_max];
/// The first process of the box; 0 beside an init.
int main_pid = 0;
bool main_ended = false;
int main_status = 0;
int signals = -1;

// Ports -------------------------------------------------------------------------------------------------------

struct port {
  int fd = -1;
  /// Nobody listens outside until the port says that this has changed.
  bool away = false;
  char in[line_bytes_max];
  size_t in_size = 0;
  bool skipping = false;
  char out[line_bytes_max];
  size_t out_size = 0;
};

port control;
port end_port;
/// What the box says, on its way to the log.
int log_port = -1;
int box_output = -1;
char log_block[65536];
size_t log_begin = 0, log_size = 0;

void flush(port& x) {
  while (x.out_size > 0) {
    const ssize_t count = write(x.fd, x.out, x.out_size);
    if (count <= 0)
      return;
    x.out_size -= static_cast<size_t>(count);
    memmove(x.out, x.out + count, x.out_size);
  }
}

/// Room for a line with that much in its last word, however it has to be escaped.
bool has_room(size_t size) {
  return control.out_size + 3 * size + 64 < sizeof control.out;
}

void say(const char* verb, const char* first, const char* bytes, size_t size) {
  if (!has_room(size))
    return;
  control.out_size += static_cast<size_t>(
      text_into(control.out + control.out_size, sizeof control.out - control.out_size, "%s\t%s", verb, first));
  if (bytes != nullptr) {
    control.out[control.out_size++] = '\t';
    control.out_size += write_word(control.out + control.out_size, bytes, size);
  }
  control.out[control.out_size++] = '\n';
  flush(control);
}

void say(const char* verb, unsigned long id, const char* words) {
  char name[32];
  text_into(name, sizeof name, "%lu", id);
  say(verb, name, words, words != nullptr ? strlen(words) : 0);
}

void say(const char* verb, unsigned long id, long long number) {
  char words[32];
  text_into(words, sizeof words, "%lld", number);
  say(verb, id, words);
}

// The end -----------------------------------------------------------------------------------------------------

[[noreturn]] void power_off() {
  sync();
  reboot(RB_POWER_OFF);
  for (;;)
    pause();
}

/// Notes how it ended where the machine's keeper finds it, then switches the machine off.
[[noreturn]] void finish(int code, bool out_of_memory, const char* words) {
  char line[512];
  const int size = text_into(line, sizeof line, "%d %d\n%s\n", code, out_of_memory ? 1 : 0, words);
  const int how = open_port("nv.how");
  fcntl(how, F_SETFL, 0);
  if (how >= 0)
    novacron::shim::write_all(how, line, static_cast<size_t>(size));
  umount2("/root", MNT_DETACH);
  power_off();
}

[[noreturn]] void fail(const char* what) {
  char words[400];
  text_into(words, sizeof words, "could not be started: %s: %s", what, strerror(errno));
  finish(125, false, words);
}

/// What is still on its way to the log. The process is gone, so its pipe ends unless it was handed elsewhere.
void drain_output() {
  fcntl(log_port, F_SETFL, 0);
  novacron::shim::write_all(log_port, log_block + log_begin, log_size);
  for (pollfd ready = {box_output, POLLIN, 0}; poll(&ready, 1, 300) > 0;) {
    const ssize_t count = read(box_output, log_block, sizeof log_block);
    if (count <= 0 || !novacron::shim::write_all(log_port, log_block, static_cast<size_t>(count)))
      break;
  }
}

[[noreturn]] void box_ended() {
  drain_output();
  const int status = main_status;
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  const bool out_of_memory = code == 137 && novacron::shim::number_in("/groups/box", "memory.events", "oom_kill") > 0;
  char words[256];
  if (out_of_memory)
    text_into(words, sizeof words, "ran out of memory: the kernel killed it at its limit");
  else if (WIFSIGNALED(status))
    text_into(words, sizeof words, "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
  else
    text_into(words, sizeof words, "ended with exit code %d", code);
  finish(code, out_of_memory, words);
}

/// Asks the box to end: an init by the program that every distribution has for it, another by its own signal.
void ask_to_end() {
  if (main_pid > 0) {
    kill(main_pid, novacron::shim::signal_to_end(main_pid, all.stop_signal));
    return;
  }
  if (fork() == 0) {
    default_signals();
    execl("/sbin/poweroff", "poweroff", static_cast<char*>(nullptr));
    execl("/bin/poweroff", "poweroff", static_cast<char*>(nullptr));
    kill(1, SIGUSR2);
    _exit(0);
  }
}

// Sessions ----------------------------------------------------------------------------------------------------

session* find(unsigned long id) {
  for (session& each : sessions)
    if (each.id == id && id != 0)
      return &each;
  return nullptr;
}

void begin_session(const word* words, int count) {
  static char* arguments[box_words_max + 1];
  static char* environment[box_words_max + 1];
  session* x = nullptr;
  for (session& each : sessions)
    if (each.id == 0)
      x = &each;
  const unsigned long id = strtoul(words[1].text, nullptr, 10);
  const int wanted = atoi(words[5].text);
  if (x == nullptr || wanted < 1 || wanted > count - 6)
    return say("failed", id, x == nullptr ? "there are too many sessions" : "there is no command");
  session_order what;
  what.terminal = words[2].text[0] == '1';
  what.rows = static_cast<unsigned short>(atoi(words[3].text));
  what.columns = static_cast<unsigned short>(atoi(words[4].text));
  what.arguments = arguments;
  what.environment = environment;
  for (int i = 0; i < wanted; ++i)
    arguments[i] = words[6 + i].text;
  arguments[wanted] = nullptr;
  int names = 0;
  for (int i = 6 + wanted; i < count; ++i)
    environment[names++] = words[i].text;
  environment[names] = nullptr;
  const int problem = start_session(*x, all, main_pid, what);
  if (problem != 0) {
    char reason[256];
    text_into(reason, sizeof reason, "cannot run %s: %s", arguments[0], strerror(problem));
    close_session(*x);
    return say("failed", id, reason);
  }
  x->id = id;
  say("began", id, static_cast<const char*>(nullptr));
}

void feed(session& x) {
  while (x.pending_size > 0 && x.input >= 0) {
    const ssize_t count = write(x.input, x.pending, x.pending_size);
    if (count < 0 && errno == EAGAIN)
      return;
    // Nobody reads it any more: it is taken, and lost.
    const size_t taken = count > 0 ? static_cast<size_t>(count) : x.pending_size;
    x.pending_size -= taken;
    memmove(x.pending, x.pending + taken, x.pending_size);
    say("took", x.id, static_cast<long long>(taken));
  }
  if (x.pending_size > 0 || !x.input_ended || x.input < 0)
    return;
  if (x.terminal) {
    const char end_of_file = 4;
    x.input_ended = write(x.input, &end_of_file, 1) != 1;
    return;
  }
  close(x.input);
  x.input = -1;
}

/// Moves output towards novacron, as much as it is ready to take.
void pump(session& x) {
  for (int i = 0; i < 2; ++i) {
    int& fd = x.sources[i];
    static char block[piece_bytes];
    while (fd >= 0 && x.untaken + sizeof block <= window_bytes && has_room(sizeof block)) {
      const ssize_t count = read(fd, block, sizeof block);
      if (count < 0 && (errno == EAGAIN || errno == EINTR))
        break;
      if (count > 0) {
        char name[32];
        text_into(name, sizeof name, "%lu", x.id);
        x.untaken += static_cast<size_t>(count);
        say(i == 0 ? "out" : "err", name, block, static_cast<size_t>(count));
        continue;
      }
      // A terminal says EIO once the last process that had it is gone.
      close(fd);
      if (x.terminal)
        x.input = -1;
      fd = -1;
    }
  }
  if (!x.ended || x.sources[0] >= 0 || x.sources[1] >= 0 || !has_room(64))
    return;
  say("exit", x.id, static_cast<long long>(x.code));
  close_session(x);
}

void session_line(const char* verb, const word* words, int count) {
  session* x = find(count > 1 ? strtoul(words[1].text, nullptr, 10) : 0);
  const auto is = [&](const char* what) { return strcmp(verb, what) == 0; };
  if (x == nullptr)
    return;
  if (is("in") && count == 3 && x->pending_size + words[2].size <= window_bytes) {
    memcpy(x->pending + x->pending_size, words[2].text, words[2].size);
    x->pending_size += words[2].size;
  } else if (is("eof")) {
    x->input_ended = true;
  } else if (is("size") && count == 4 && x->terminal && x->input >= 0) {
    const winsize size = {static_cast<unsigned short>(atoi(words[2].text)),
                          static_cast<unsigned short>(atoi(words[3].text)), 0, 0};
    ioctl(x->input, TIOCSWINSZ, &size);
  } else if (is("kill") && count == 3 && x->pid > 0 && !x->ended) {
    kill(x->pid, atoi(words[2].text));
  } else if (is("took") && count == 3) {
    const size_t taken = strtoul(words[2].text, nullptr, 10);
    x->untaken -= taken < x->untaken ? taken : x->untaken;
  } else if (is("close")) {
    if (x->pid > 0 && !x->ended)
      kill(x->pid, SIGKILL);
    return close_session(*x);
  }
  feed(*x);
  pump(*x);
}

/// Has the root stand still, all that was written on its disk, or go on.
void hold_root(const word* words) {
  const int root = open(main_pid > 0 ? "/root" : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool still = words[2].text[0] == '1';
  if (still)
    sync();
  // It may stand still already, or go on already: then that is what was wanted.
  const bool done = root >= 0 && (ioctl(root, still ? FIFREEZE : FITHAW, 0) == 0 || errno == (still ? EBUSY : EINVAL));
  say("held", words[1].text, done ? nullptr : strerror(errno), done ? 0 : strlen(strerror(errno)));
  if (root >= 0)
    close(root);
}

// Who it is -------------------------------------------------------------------------------------------------------

/// What the image says of names is of where it was made, a link among it. `top` is where its root is.
void write_files(const box& x, const char* top) {
  for (int i = 0; i < x.file_count; ++i) {
    char name[256];
    text_into(name, sizeof name, "%s%s", top, x.files[i].name);
    unlink(name);
    const int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0)
      continue; // Read-only, or without /etc: it goes on as it is.
    novacron::shim::write_all(file, x.files[i].text, strlen(x.files[i].text));
    close(file);
  }
}

/// What runs in the box has a name for the machine that is not the agent's.
bool rename_host(const char* name) {
  const int own = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
  char other[64];
  text_into(other, sizeof other, "/proc/%d/ns/uts", main_pid);
  const int there = main_pid > 0 ? open(other, O_RDONLY | O_CLOEXEC) : -1;
  bool done = main_pid == 0 || (there >= 0 && setns(there, CLONE_NEWUTS) == 0);
  done = done && sethostname(name, strlen(name)) == 0;
  if (there >= 0) {
    setns(own, CLONE_NEWUTS);
    close(there);
  }
  if (own >= 0)
    close(own);
  return done;
}

/// Chance, time, name and addresses, of a guest that is not who it was when it was written down.
void become_another(const char* id, char* text, size_t size) {
  static box now;
  now = box{};
  const char* problem = nullptr;
  if (!read_box(text, size, now))
    problem = "what it was told is not whole";
  else if (now.chance == nullptr || !mix_chance(now.chance))
    problem = "its kernel took no chance of its own";
  else if (!rename_host(now.host))
    problem = "its kernel took no name";
  if (problem != nullptr)
    return say("renewed", id, problem, strlen(problem));
  advance_clock(now.time);
  if (now.address != nullptr)
    join_network(now.hardware_address, now.address, now.prefix, now.gateway);
  write_files(now, main_pid > 0 ? "/root" : "");
  say("renewed", id, nullptr, 0);
}

// Orders ------------------------------------------------------------------------------------------------------

void obey(char* line, size_t size) {
  static word words[2 * box_words_max + 8];
  const int count = split_line(line, size, words, 2 * box_words_max);
  const char* verb = words[0].text;
  const auto is = [&](const char* what) { return strcmp(verb, what) == 0; };
  if (is("hello") && count == 2) {
    // A novacron that is new knows nothing of the sessions of another.
    for (session& each : sessions)
      if (each.id != 0) {
        if (each.pid > 0 && !each.ended)
          kill(each.pid, SIGKILL);
        close_session(each);
      }
    say("hello", words[1].text, nullptr, 0);
  } else if (is("time") && count == 2) {
    // Once: from then on the clock is the affair of the guest.
    static bool told = false;
    if (!told)
      advance_clock(strtoll(words[1].text, nullptr, 10));
    told = true;
  } else if (is("signal") && count == 2 && main_pid > 0) {
    kill(main_pid, atoi(words[1].text));
  } else if (is("stop")) {
    ask_to_end();
  } else if (is("hold") && count == 3) {
    hold_root(words);
  } else if (is("renew") && count == 3) {
    become_another(words[1].text, words[2].text, words[2].size);
  } else if (is("exec") && count > 6) {
    begin_session(words, count);
  } else {
    session_line(verb, words, count);
  }
}

void hear(port& x) {
  for (;;) {
    const ssize_t count = read(x.fd, x.in + x.in_size, sizeof x.in - x.in_size);
    if (count < 0)
      return;
    if (count == 0) {
      x.away = true;
      x.in_size = 0;
      return;
    }
    x.in_size += static_cast<size_t>(count);
    size_t begin = 0;
    while (char* feed = static_cast<char*>(memchr(x.in + begin, '\n', x.in_size - begin))) {
      const size_t size = static_cast<size_t>(feed - x.in) - begin;
      if (!x.skipping)
        obey(x.in + begin, size);
      x.skipping = false;
      begin += size + 1;
    }
    x.in_size -= begin;
    memmove(x.in, x.in + begin, x.in_size);
    if (x.in_size == sizeof x.in) {
      x.skipping = true;
      x.in_size = 0;
    }
  }
}

void move_output() {
  if (log_size == 0) {
    const ssize_t count = read(box_output, log_block, sizeof log_block);
    log_begin = 0;
    log_size = count > 0 ? static_cast<size_t>(count) : 0;
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
      close(box_output);
      box_output = -1;
    }
  }
  const ssize_t count = log_size > 0 ? write(log_port, log_block + log_begin, log_size) : 0;
  if (count > 0) {
    log_begin += static_cast<size_t>(count);
    log_size -= static_cast<size_t>(count);
  }
}

void reap() {
  int status = 0;
  for (int pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
    if (pid == main_pid) {
      main_ended = true;
      main_status = status;
    }
    for (session& each : sessions)
      if (each.id != 0 && each.pid == pid) {
        each.ended = true;
        each.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        pump(each);
      }
  }
}

/// A signal is a child's end, or a port whose other side came or went.
void take_signals() {
  signalfd_siginfo told = {};
  while (read(signals, &told, sizeof told) > 0)
    if (told.ssi_signo == SIGIO)
      control.away = end_port.away = false;
  reap();
}

[[noreturn]] void serve() {
  for (;;) {
    pollfd waits[5 + 3 * sessions_max];
    session* owners[5 + 3 * sessions_max] = {};
    int count = 0;
    const auto wait_for = [&](int fd, short events, session* owner = nullptr) {
      if (fd >= 0 && events != 0) {
        owners[count] = owner;
        waits[count++] = {fd, events, 0};
      }
    };
    wait_for(signals, POLLIN);
    wait_for(control.away ? -1 : control.fd, static_cast<short>(POLLIN | (control.out_size > 0 ? POLLOUT : 0)));
    wait_for(end_port.away ? -1 : end_port.fd, POLLIN);
    wait_for(log_size == 0 ? box_output : -1, POLLIN);
    wait_for(log_size > 0 ? log_port : -1, POLLOUT);
    for (session& each : sessions) {
      if (each.id == 0)
        continue;
      const bool open = each.untaken + piece_bytes <= window_bytes && has_room(piece_bytes);
      wait_for(open ? each.sources[0] : -1, POLLIN, &each);
      wait_for(open && !each.terminal ? each.sources[1] : -1, POLLIN, &each);
      wait_for(each.pending_size > 0 ? each.input : -1, POLLOUT, &each);
    }
    poll(waits, static_cast<nfds_t>(count), -1);
    take_signals();
    if (main_ended)
      box_ended();
    for (port* each : {&control, &end_port})
      if (each->fd >= 0 && !each->away) {
        hear(*each);
        flush(*each);
      }
    if (box_output >= 0 || log_size > 0)
      move_output();
    for (session& each : sessions)
      if (each.id != 0) {
        feed(each);
        pump(each);
      }
  }
}

// The beginning -----------------------------------------------------------------------------------------------

/// A port can be opened once only. What is open already gets this process as its owner.
void open_line(port& x, const char* name) {
  if (x.fd < 0)
    x.fd = open_port(name);
  if (x.fd < 0)
    return;
  fcntl(x.fd, F_SETOWN, getpid());
  fcntl(x.fd, F_SETFL, O_NONBLOCK | O_ASYNC);
}

void read_all_about() {
  char disk[64];
  static char text[box_bytes_max];
  find_disk("nv-box", disk, sizeof disk);
  const int fd = open(disk, O_RDONLY | O_CLOEXEC);
  size_t size = 0;
  for (ssize_t count = 1; fd >= 0 && count > 0 && size < sizeof text;
       size += static_cast<size_t>(count > 0 ? count : 0))
    count = read(fd, text + size, sizeof text - size);
  if (fd < 0 || !read_box(text, size, all) || all.argument_count == 0) {
    errno = EINVAL;
    fail("what shall run");
  }
  close(fd);
}

void mount_root() {
  char disk[64];
  find_disk("nv-root", disk, sizeof disk);
  if (mount(disk, "/root", "ext4", all.machine && all.read_only ? MS_RDONLY : 0, "") != 0)
    fail("the image's disk");
}

void watch_signals() {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGIO);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
  signal(SIGPIPE, SIG_IGN);
}

void start_box() {
  int out[2], report[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(report, O_CLOEXEC) != 0)
    fail("a pipe");
  const long flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | SIGCHLD;
  main_pid = static_cast<int>(syscall(SYS_clone, flags, nullptr, nullptr, nullptr, 0));
  if (main_pid == 0)
    become_main(all, out[1], report[1]);
  if (main_pid < 0)
    fail("its first process");
  close(out[1]);
  close(report[1]);
  box_output = out[0];
  fcntl(box_output, F_SETFL, O_NONBLOCK);
  int problem = 0;
  if (read(report[0], &problem, sizeof problem) == sizeof problem) {
    errno = problem;
    fail(all.arguments[0]);
  }
  close(report[0]);
}

/// The init becomes process 1, with its console on the machine's; the agent goes on as a process of its own.
void start_machine() {
  if (sethostname(all.host, strlen(all.host)) != 0)
    fail("its name");
  for (const char* name : {"/root/dev", "/root/proc", "/root/sys"})
    mkdir(name, 0755);
  mount("/dev", "/root/dev", nullptr, MS_MOVE, nullptr);
  mount("/proc", "/root/proc", nullptr, MS_MOVE, nullptr);
  mount("/sys", "/root/sys", nullptr, MS_MOVE, nullptr);
  if (!enter_root())
    fail("the image's root");
  struct stat facts = {};
  if (stat(all.arguments[0], &facts) != 0)
    fail(all.arguments[0]);
  const int agent = fork();
  if (agent < 0)
    fail("the agent");
  if (agent == 0) {
    setsid();
    return;
  }
  const int console = open("/dev/console", O_RDWR | O_NOCTTY);
  for (int i = 0; i < 3; ++i)
    dup2(console, i);
  default_signals();
  environ = all.environment;
  execv(all.arguments[0], all.arguments);
  fail(all.arguments[0]);
}

/// All that is the same for each clone. Disks and network are left alone: those of a clone are others.
void wait_to_be_cloned() {
  take_devices(false);
  for (const char* kind : {"/modules/disk", "/modules/network"})
    load_modules(kind);
  open_line(end_port, "nv.end");
  novacron::shim::write_all(end_port.fd, "ready\n", 6);
  pollfd gone = {end_port.fd, 0, 0};
  while ((gone.revents & (POLLHUP | POLLERR | POLLNVAL)) == 0)
    poll(&gone, 1, -1);
  take_devices_now();
}

/// A clone that would draw what others draw must not run.
void take_chance_and_time(bool is_cloned) {
  const bool mixed = all.chance != nullptr && mix_chance(all.chance);
  if (is_cloned && !mixed)
    fail("chance of its own");
  advance_clock(all.time);
}

} // namespace

int main() {
  mount_kernel_files();
  load_modules("/modules");
  const bool is_cloned = kernel_has_word("nv.template");
  is_cloned ? wait_to_be_cloned() : load_modules("/modules/disk");
  read_all_about();
  take_chance_and_time(is_cloned);
  bring_up("lo");
  if (all.address != nullptr) {
    if (!is_cloned)
      load_modules("/modules/network");
    join_network(all.hardware_address, all.address, all.prefix, all.gateway);
  }
  mount_root();
  mkdir("/root/etc", 0755);
  write_files(all, "/root");
  if (all.machine) {
    start_machine();
    watch_signals();
  } else {
    make_group(all);
    watch_signals();
    log_port = open_port("nv.out");
    start_box();
  }
  open_line(control, "nv.control");
  open_line(end_port, "nv.end");
  serve();
}
