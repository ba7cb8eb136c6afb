#pragma once

/// A further process inside a guest, with pipes or a terminal; on libc alone.

#include "actors/workload/guest/room.hpp"

#include <sys/wait.h>
#include <termios.h>

#include <initializer_list>

namespace novacron::guest {

constexpr int sessions_max = 32;

/// Sources 0 and 1 are its output and its errors; a terminal has only the first.
struct session {
  /// What novacron calls it; 0 for a place that is free.
  unsigned long id = 0;
  int pid = -1;
  int input = -1;
  int sources[2] = {-1, -1};
  bool terminal = false;
  /// Bytes that novacron has not yet said it took.
  size_t untaken = 0;
  char* pending = nullptr;
  size_t pending_size = 0;
  bool input_ended = false;
  bool ended = false;
  int code = 0;
};

struct session_order {
  bool terminal = false;
  unsigned short rows = 24;
  unsigned short columns = 80;
  char** arguments = nullptr;
  /// "NAME=value", added to those of the box.
  char** environment = nullptr;
};

/// Joins the namespaces of process `main`; does nothing for 0, whose processes share those of the agent.
inline bool join_namespaces(int main) {
  if (main == 0)
    return true;
  const struct {
    const char* name;
    int flag;
  } kinds[] = {{"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC}, {"pid", CLONE_NEWPID}, {"mnt", CLONE_NEWNS}};
  int fds[4];
  char name[64];
  for (int i = 0; i < 4; ++i) {
    text_into(name, sizeof name, "/proc/%d/ns/%s", main, kinds[i].name);
    fds[i] = open(name, O_RDONLY | O_CLOEXEC);
  }
  for (int i = 0; i < 4; ++i)
    if (fds[i] < 0 || setns(fds[i], kinds[i].flag) != 0)
      return false;
  return true;
}

/// A terminal of the devpts that process `main` has; the other end's name is its own there.
inline int open_terminal(int main, const session_order& what, int& number) {
  char name[64];
  text_into(name, sizeof name, main != 0 ? "/proc/%d/root/dev/pts/ptmx" : "/dev/ptmx", main);
  const int fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  int locked = 0;
  if (fd < 0 || ioctl(fd, TIOCSPTLCK, &locked) != 0 || ioctl(fd, TIOCGPTN, &number) != 0)
    return -1;
  const winsize size = {what.rows, what.columns, 0, 0};
  ioctl(fd, TIOCSWINSZ, &size);
  return fd;
}

[[noreturn]] inline void become_session(box& x, const session_order& what, const int* fds, int terminal, int report) {
  default_signals();
  setsid();
  if (what.terminal) {
    char name[32];
    text_into(name, sizeof name, "/dev/pts/%d", terminal);
    const int fd = open(name, O_RDWR);
    if (fd < 0)
      give_up(report);
    ioctl(fd, TIOCSCTTY, 0);
    for (int i = 0; i < 3; ++i)
      dup2(fd, i);
  } else {
    for (int i = 0; i < 3; ++i)
      dup2(fds[i], i);
  }
  limit_files(x.files_max);
  if (!x.machine && (chdir(x.directory) != 0 || !become_user(x)))
    give_up(report);
  environ = x.environment;
  for (char** each = what.environment; *each != nullptr; ++each)
    putenv(*each);
  execvp(what.arguments[0], what.arguments);
  give_up(report);
}

/// The process between: only a child's child is born into a joined pid namespace. It is the agent's own child all the
/// same (CLONE_PARENT), and its pid goes through `told`.
[[noreturn]] inline void pass_through(box& x, int main, const session_order& what, const int* fds, int terminal, int told,
                                      int report) {
  if (main != 0)
    join_group();
  if (!join_namespaces(main))
    give_up(report);
  const int pid = static_cast<int>(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, 0));
  if (pid == 0)
    become_session(x, what, fds, terminal, report);
  if (pid < 0)
    give_up(report);
  shim::write_all(told, reinterpret_cast<const char*>(&pid), sizeof pid);
  _exit(0);
}

inline void close_session(session& x) {
  // Of a terminal both are the same.
  for (const int fd : {x.terminal ? -1 : x.input, x.sources[0], x.sources[1]})
    if (fd >= 0)
      close(fd);
  free(x.pending);
  x = session{};
}

/// Starts it beside process `main` (0: beside the agent). Returns 0, or the errno that says why not.
inline int start_session(session& x, box& all, int main, const session_order& what) {
  int pipes[5][2];
  for (auto& each : pipes)
    if (pipe2(each, O_CLOEXEC) != 0)
      return errno;
  auto& [in, out, err, told, report] = pipes;
  int number = -1;
  x.terminal = what.terminal;
  if (what.terminal) {
    x.input = x.sources[0] = open_terminal(main, what, number);
    if (x.input < 0)
      return errno;
  }
  const int theirs[3] = {in[0], out[1], err[1]};
  const int child = fork();
  if (child == 0)
    pass_through(all, main, what, theirs, number, told[1], report[1]);
  for (const int fd : {in[0], out[1], err[1], told[1], report[1]})
    close(fd);
  int problem = 0;
  if (child < 0 || read(told[0], &x.pid, sizeof x.pid) != sizeof x.pid)
    x.pid = -1;
  // Ends with the exec, or brings the errno of what failed before.
  if (read(report[0], &problem, sizeof problem) != sizeof problem)
    problem = x.pid > 0 ? 0 : EAGAIN;
  waitpid(child, nullptr, 0);
  close(told[0]);
  close(report[0]);
  if (what.terminal) {
    for (const int fd : {in[1], out[0], err[0]})
      close(fd);
  } else {
    x.input = in[1];
    x.sources[0] = out[0];
    x.sources[1] = err[0];
    for (const int fd : {x.input, x.sources[0], x.sources[1]})
      fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  x.pending = static_cast<char*>(malloc(window_bytes));
  return problem;
}

} // namespace novacron::guest
