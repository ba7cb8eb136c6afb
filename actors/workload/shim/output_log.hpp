#pragma once

/// Keeps a container's output in files of a bounded size, on libc alone.

#include "actors/workload/shim/small_files.hpp"

#include <sys/stat.h>

namespace novacron::shim {

/// A segment is called by the offset of its first byte, so a reader finds any offset by the names alone.
struct output_log {
  const char* directory = "";
  long segment = 1 << 20;
  int segments = 8;

  int fd = -1;
  long long offset = 0;
  long long segment_at = 0;
};

struct segments_kept {
  long long smallest = -1;
  long long largest = -1;
  int count = 0;
};

inline segments_kept look(const output_log& x) {
  segments_kept found;
  DIR* entries = opendir(x.directory);
  while (const dirent* entry = entries != nullptr ? readdir(entries) : nullptr) {
    char* end = nullptr;
    const long long number = strtoll(entry->d_name, &end, 10);
    if (end == entry->d_name || *end != 0)
      continue;
    ++found.count;
    if (found.smallest < 0 || number < found.smallest)
      found.smallest = number;
    if (number > found.largest)
      found.largest = number;
  }
  if (entries != nullptr)
    closedir(entries);
  return found;
}

inline void open_segment(output_log& x) {
  if (x.fd >= 0)
    close(x.fd);
  char name[4200];
  // The old goes first: on a full disk it makes the room that the new needs.
  for (segments_kept kept = look(x); kept.count >= x.segments; kept = look(x)) {
    text_into(name, sizeof name, "%s/%lld", x.directory, kept.smallest);
    if (unlink(name) != 0)
      break;
  }
  text_into(name, sizeof name, "%s/%lld", x.directory, x.offset);
  x.fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  x.segment_at = x.offset;
}

/// Goes on where an earlier run ended.
inline void resume(output_log& x) {
  mkdir(x.directory, 0700);
  const segments_kept kept = look(x);
  if (kept.count > 0) {
    char name[4200];
    text_into(name, sizeof name, "%s/%lld", x.directory, kept.largest);
    struct stat facts = {};
    x.offset = kept.largest + (stat(name, &facts) == 0 ? facts.st_size : 0);
    x.segment_at = kept.largest;
    if (facts.st_size < x.segment) {
      x.fd = open(name, O_WRONLY | O_APPEND | O_CLOEXEC);
      return;
    }
  }
  open_segment(x);
}

/// Moves what is in the pipe to the log. A full disk costs output, never a stuck container. False at the end.
inline bool pump(output_log& x, int pipe) {
  static char block[65536];
  const ssize_t count = read(pipe, block, sizeof block);
  if (count < 0)
    return errno == EINTR || errno == EAGAIN;
  if (count == 0)
    return false;
  if (x.fd < 0 || x.offset - x.segment_at >= x.segment)
    open_segment(x);
  const ssize_t kept = x.fd >= 0 ? write(x.fd, block, static_cast<size_t>(count)) : -1;
  if (kept > 0)
    x.offset += kept;
  return true;
}

} // namespace novacron::shim
