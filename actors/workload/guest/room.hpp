#pragma once

/// The surroundings of a process inside a guest: file systems, limits, user and rights; on libc alone.

#include "actors/workload/guest/box.hpp"
#include "actors/workload/guest/ground.hpp"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

#include <initializer_list>

namespace novacron::guest {

inline void mount_below_root(const char* what, const char* where, const char* type, unsigned long flags,
                             const char* options) {
  char target[512];
  text_into(target, sizeof target, "/root%s", where);
  mkdir(target, 0755);
  mount(what, target, type, flags, options);
}

inline void make_device(const char* name, unsigned major, unsigned minor) {
  char target[128];
  text_into(target, sizeof target, "/root/dev/%s", name);
  if (mknod(target, S_IFCHR | 0666, makedev(major, minor)) == 0)
    chmod(target, 0666);
}

/// What a container finds below its root besides its image.
inline void furnish_root() {
  mount_below_root("proc", "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, "");
  mount_below_root("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
  mount_below_root("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
  mount_below_root("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k");
  mount_below_root("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, "");
  mount_below_root("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, "");
  const struct {
    const char* name;
    unsigned major, minor;
  } devices[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
  for (const auto& each : devices)
    make_device(each.name, each.major, each.minor);
  const char* links[][2] = {{"/proc/self/fd", "/root/dev/fd"},
                            {"/proc/self/fd/0", "/root/dev/stdin"},
                            {"/proc/self/fd/1", "/root/dev/stdout"},
                            {"/proc/self/fd/2", "/root/dev/stderr"},
                            {"pts/ptmx", "/root/dev/ptmx"}};
  for (const auto& each : links)
    if (symlink(each[0], each[1]) != 0)
      return;
  for (const char* name : {"/root/proc/sys", "/root/proc/irq", "/root/proc/bus", "/root/proc/fs"}) {
    mount(name, name, nullptr, MS_BIND | MS_REC, nullptr);
    mount(nullptr, name, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  }
  for (const char* name : {"/root/proc/kcore", "/root/proc/keys", "/root/proc/timer_list", "/root/proc/sysrq-trigger"})
    mount("/root/dev/null", name, nullptr, MS_BIND, nullptr);
}

/// The initial root cannot be pivoted away from: the new one is moved over it.
inline bool enter_root() {
  return chdir("/root") == 0 && mount(".", "/", nullptr, MS_MOVE, nullptr) == 0 && chroot(".") == 0 && chdir("/") == 0;
}

inline void limit_files(uint64_t count) {
  if (count == 0)
    return;
  const rlimit limit = {count, count};
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// The user, and no right that the box does not name. False when the kernel refuses.
inline bool become_user(const box& x) {
  for (int i = 0; i < 64 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; ++i)
    if ((x.capabilities >> i & 1) == 0)
      prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  static gid_t groups[groups_max];
  for (int i = 0; i < x.group_count; ++i)
    groups[i] = x.groups[i];
  return setgroups(static_cast<size_t>(x.group_count), groups) == 0 && setgid(x.group) == 0 && setuid(x.user) == 0;
}

inline void join_group() {
  char pid[32];
  text_into(pid, sizeof pid, "%d", getpid());
  put("/groups/box/cgroup.procs", pid);
}

/// Limits for everything that novacron did not bring itself, so that the agent has what it needs.
inline void make_group(const box& x) {
  char words[32];
  mount("cgroup2", "/groups", "cgroup2", 0, "");
  put("/groups/cgroup.subtree_control", "+memory +pids");
  mkdir("/groups/box", 0755);
  if (x.processes_max > 0) {
    text_into(words, sizeof words, "%llu", static_cast<unsigned long long>(x.processes_max));
    put("/groups/box/pids.max", words);
  }
  if (x.memory_max > 0) {
    text_into(words, sizeof words, "%llu", static_cast<unsigned long long>(x.memory_max));
    put("/groups/box/memory.max", words);
  }
}

inline void default_signals() {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGPIPE, SIGHUP, SIGINT, SIGTERM})
    signal(number, SIG_DFL);
}

[[noreturn]] inline void give_up(int report) {
  const int problem = errno;
  shim::write_all(report, reinterpret_cast<const char*>(&problem), sizeof problem);
  _exit(127);
}

/// The first process of the box, in namespaces that it was just born into. `report` gets an errno if it cannot be.
[[noreturn]] inline void become_main(box& x, int out, int report) {
  default_signals();
  setsid();
  join_group();
  if (sethostname(x.host, strlen(x.host)) != 0)
    give_up(report);
  furnish_root();
  if (x.read_only && mount(nullptr, "/root", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0)
    give_up(report);
  if (!enter_root())
    give_up(report);
  limit_files(x.files_max);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, 0);
  dup2(out, 1);
  dup2(out, 2);
  mkdir(x.directory, 0755);
  if (chdir(x.directory) != 0 || !become_user(x))
    give_up(report);
  environ = x.environment;
  execvp(x.arguments[0], x.arguments);
  give_up(report);
}

} // namespace novacron::guest
