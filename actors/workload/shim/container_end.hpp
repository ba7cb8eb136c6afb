#pragma once

/// How the shim ends a container by itself, on libc alone.

#include "actors/workload/shim/small_files.hpp"

#include <signal.h>
#include <stdio.h>

namespace novacron::shim {

/// The signal that asks process `pid` to end: `wanted` if it listens to that, else the one that needs no consent. The
/// kernel hides from the first process of a pid namespace every signal that it has no handler for.
inline int signal_to_end(int pid, int wanted) {
  char name[64];
  text_into(name, sizeof name, "/proc/%d/status", pid);
  FILE* lines = fopen(name, "re");
  unsigned long long caught = 0;
  char line[256];
  while (lines != nullptr && fgets(line, sizeof line, lines) != nullptr)
    if (sscanf(line, "SigCgt: %llx", &caught) == 1)
      break;
  if (lines != nullptr)
    fclose(lines);
  return wanted >= 1 && wanted <= 64 && (caught >> (wanted - 1) & 1) != 0 ? wanted : SIGKILL;
}

/// What is frozen cannot act on a signal. `group` may be of either version and any controller.
inline void thaw(const char* group) {
  const struct {
    const char* file;
    const char* word;
  } switches[] = {{"freezer.state", "THAWED"}, {"cgroup.freeze", "0"}};
  for (const auto& each : switches) {
    char name[4096];
    text_into(name, sizeof name, "%s/%s", group, each.file);
    const int fd = open(name, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
      continue;
    write_all(fd, each.word, strlen(each.word));
    close(fd);
  }
}

/// Kills every process of the group.
inline void kill_members(const char* group) {
  char name[4096];
  text_into(name, sizeof name, "%s/cgroup.procs", group);
  FILE* lines = fopen(name, "re");
  char line[32];
  while (lines != nullptr && fgets(line, sizeof line, lines) != nullptr)
    if (const int pid = atoi(line); pid > 1)
      kill(pid, SIGKILL);
  if (lines != nullptr)
    fclose(lines);
}

} // namespace novacron::shim
