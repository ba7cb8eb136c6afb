#pragma once

/// How the shim runs a machine's process itself, where a container would be started by crun; on libc alone.

#include "actors/workload/shim/small_files.hpp"

#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <initializer_list>

namespace novacron::shim {

constexpr int program_words_max = 512;

struct program {
  /// Its words, each with a zero behind it, in a file of the machine's directory.
  const char* file = "";
  /// The descriptor of its network device; it finds that as 4, and its log as 3.
  int link = -1;
  /// Those of the state and the memory of its template; it finds them as 5 and 6.
  int state = -1;
  int memory = -1;
  /// It gets a copy of that memory; else it shares it.
  bool owns_memory = false;
  /// It makes connections for its guest, and so has the host's network; else none.
  bool relays = false;
};

/// The words of the program; false when there are none, or too many.
inline bool read_words(const char* file, char** words) {
  static char text[256 << 10];
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  const ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
  if (fd >= 0)
    close(fd);
  int count = 0;
  for (ssize_t at = 0; at < size && count < program_words_max; at += static_cast<ssize_t>(strlen(text + at)) + 1)
    words[count++] = text + at;
  words[count] = nullptr;
  return count > 0 && count < program_words_max;
}

inline void join_groups(const char* const* groups, int count) {
  for (int i = 0; i < count; ++i) {
    char name[4096], pid[32];
    text_into(name, sizeof name, "%s/cgroup.procs", groups[i]);
    const int fd = open(name, O_WRONLY | O_CLOEXEC);
    const int size = text_into(pid, sizeof pid, "%d", getpid());
    if (fd < 0)
      continue;
    write_all(fd, pid, static_cast<size_t>(size));
    close(fd);
  }
}

/// Nothing but `directory` can be written from here on, whoever the process is.
inline bool confine_writing(const char* directory) {
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 ||
      mount(directory, directory, nullptr, MS_BIND, nullptr) != 0)
    return false;
  mount_attr closed = {};
  closed.attr_set = MOUNT_ATTR_RDONLY;
  mount_attr open = {};
  open.attr_clr = MOUNT_ATTR_RDONLY;
  return mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &closed, sizeof closed) == 0 &&
         mount_setattr(AT_FDCWD, directory, 0, &open, sizeof open) == 0;
}

/// No right that its user does not have, and none to be had.
inline bool drop_rights() {
  for (int i = 0; i < 64 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; ++i)
    prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  return syscall(SYS_capset, &header, none) == 0;
}

/// Memory with the same content; -1 when there is none to be had. Whoever calls this pays for it: the group of the
/// machine.
inline int copy_of_memory(int from) {
  struct stat facts = {};
  const int to = memfd_create("novacron-guest-memory", MFD_CLOEXEC);
  if (to < 0 || fstat(from, &facts) != 0 || ftruncate(to, facts.st_size) != 0)
    return -1;
  // Others have the same place in the file: none of them relies on it.
  for (off_t at = 0; (at = lseek(from, at, SEEK_DATA)) >= 0;) {
    const off_t end = lseek(from, at, SEEK_HOLE);
    lseek(to, at, SEEK_SET);
    while (at < end)
      if (sendfile(to, from, &at, static_cast<size_t>(end - at)) <= 0)
        return -1;
  }
  return to;
}

/// The child's half: becomes the program. `report` gets an errno when that fails.
[[noreturn]] inline void become_program(const program& x, char* const* words, const char* directory,
                                        const char* const* groups, int group_count, int out, int report) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGPIPE, SIGHUP, SIGINT, SIGTERM})
    signal(number, SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  join_groups(groups, group_count);
  const int log = fcntl(out, F_DUPFD_CLOEXEC, 64);
  const int given[] = {x.link, x.state, x.memory};
  int kept[] = {-1, -1, -1};
  for (int i = 0; i < 3; ++i)
    kept[i] = given[i] >= 0 ? fcntl(given[i], F_DUPFD_CLOEXEC, 64) : -1;
  const int told = fcntl(report, F_DUPFD_CLOEXEC, 64);
  if (x.owns_memory)
    kept[2] = fcntl(copy_of_memory(x.memory), F_DUPFD_CLOEXEC, 64);
  const int spaces = CLONE_NEWIPC | (x.relays ? 0 : CLONE_NEWNET);
  const bool confined = unshare(spaces) == 0 && confine_writing(directory) && chdir(directory) == 0;
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  const int complaints = open("complaints", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (confined && complaints >= 0 && (x.memory < 0 || kept[2] >= 0)) {
    dup2(null, 0);
    dup2(null, 1);
    dup2(complaints, 2);
    dup2(log, 3);
    for (int i = 0; i < 3; ++i)
      if (kept[i] >= 0)
        dup2(kept[i], 4 + i);
    if (drop_rights())
      execvp(words[0], words);
  }
  const int problem = errno;
  write_all(told, reinterpret_cast<const char*>(&problem), sizeof problem);
  _exit(127);
}

/// The last line that the program complained with, if any.
inline void last_complaint(const char* file, char* into, size_t size) {
  char content[2048] = {};
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  const ssize_t count = fd >= 0 ? read(fd, content, sizeof content - 1) : -1;
  if (fd >= 0)
    close(fd);
  *into = 0;
  char* rest = nullptr;
  for (char* line = count > 0 ? strtok_r(content, "\n", &rest) : nullptr; line != nullptr; line = strtok_r(nullptr, "\n", &rest))
    text_into(into, size, "%s", line);
}

/// Writes what is in the file `words` to the socket `name`, both in `directory`, where somebody understands it.
inline void tell_socket(const char* directory, const char* name, const char* words) {
  char content[512], path[4200];
  text_into(path, sizeof path, "%s/%s", directory, words);
  const int from = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t size = from >= 0 ? read(from, content, sizeof content) : -1;
  if (from >= 0)
    close(from);
  const int place = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un where = {};
  where.sun_family = AF_UNIX;
  // By way of a descriptor, because a socket's name has 108 bytes at most.
  text_into(where.sun_path, sizeof where.sun_path, "/proc/self/fd/%d/%s", place, name);
  if (size > 0 && connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0)
    send(fd, content, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (place >= 0)
    close(place);
  // It stays open: closing it at once could take back what was not yet read. There is one per life of a shim.
}

} // namespace novacron::shim
