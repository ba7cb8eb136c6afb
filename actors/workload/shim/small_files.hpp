#pragma once

/// What the shim does with files and text, on libc alone.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace novacron::shim {

/// snprintf that says how much it wrote, never how much it would have.
inline int text_into(char* into, size_t size, const char* format, ...) __attribute__((format(printf, 3, 4)));
inline int text_into(char* into, size_t size, const char* format, ...) {
  va_list rest;
  va_start(rest, format);
  const int count = vsnprintf(into, size, format, rest);
  va_end(rest);
  return count < static_cast<int>(size) ? count : static_cast<int>(size) - 1;
}

inline bool write_all(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t count = write(fd, data, size);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    data += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

/// When process `pid` started, in clock ticks since boot (field 22 of proc(5)).
inline unsigned long long start_of(int pid) {
  char name[64];
  text_into(name, sizeof name, "/proc/%d/stat", pid);
  const int fd = open(name, O_RDONLY | O_CLOEXEC);
  char line[1024] = {};
  const ssize_t count = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
  if (fd >= 0)
    close(fd);
  const char* at = count > 0 ? strrchr(line, ')') : nullptr;
  for (int field = 2; at != nullptr && field < 22; ++field)
    at = strchr(at + 1, ' ');
  return at == nullptr ? 0 : strtoull(at, nullptr, 10);
}

/// The number in a file, or behind `key` in a file of "KEY VALUE" lines; -1 when there is none.
inline long long number_in(const char* directory, const char* name, const char* key) {
  char where[4096];
  text_into(where, sizeof where, "%s/%s", directory, name);
  const int fd = open(where, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  char content[4096] = {};
  const ssize_t count = read(fd, content, sizeof content - 1);
  close(fd);
  if (count <= 0)
    return -1;
  if (*key == 0)
    return strtoll(content, nullptr, 10);
  // "KEY VALUE" lines; a key must start its line, because oom_kill also ends other names.
  for (const char* at = content; at != nullptr && *at != 0; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : nullptr)
    if (strncmp(at, key, strlen(key)) == 0 && at[strlen(key)] == ' ')
      return strtoll(at + strlen(key) + 1, nullptr, 10);
  return -1;
}

/// Deletes what is below `where`, so many levels deep, and `where` itself.
inline void remove_tree(const char* where, int depth) {
  DIR* entries = opendir(where);
  if (entries == nullptr)
    return;
  while (const dirent* entry = readdir(entries)) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    char below[4096];
    text_into(below, sizeof below, "%s/%s", where, entry->d_name);
    if (unlink(below) != 0 && depth > 0)
      remove_tree(below, depth - 1);
  }
  closedir(entries);
  rmdir(where);
}

} // namespace novacron::shim
