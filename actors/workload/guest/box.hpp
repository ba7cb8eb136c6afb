#pragma once

/// What a guest shall run, as novacron wrote it onto a small disk of its own; on libc alone.

#include "actors/workload/guest/lines.hpp"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace novacron::guest {

constexpr int box_words_max = 1024;
constexpr int groups_max = 64;
constexpr int box_files_max = 8;
/// The whole of it, its zeros at the end included.
constexpr size_t box_bytes_max = 1 << 20;

/// What is put in the place of a file of the image.
struct box_file {
  const char* name = nullptr;
  const char* text = nullptr;
};

struct box {
  char* arguments[box_words_max + 1] = {};
  int argument_count = 0;
  char* environment[box_words_max + 1] = {};
  int environment_count = 0;
  const char* directory = "/";
  const char* host = "guest";
  uint32_t user = 0;
  uint32_t group = 0;
  uint32_t groups[groups_max] = {};
  int group_count = 0;
  /// Without an address there is no network but loopback.
  const char* address = nullptr;
  int prefix = 0;
  const char* gateway = "";
  /// Of its network device; empty leaves that as it is.
  const char* hardware_address = "";
  box_file files[box_files_max] = {};
  int file_count = 0;
  bool read_only = false;
  /// The first argument is an init, which becomes process 1; else it runs in namespaces of its own.
  bool machine = false;
  int stop_signal = 15;
  uint64_t files_max = 0;
  uint64_t processes_max = 0;
  uint64_t memory_max = 0;
  /// A bit for each capability that the process keeps.
  uint64_t capabilities = 0;
  /// Hexadecimal digits that nobody else was given. They are read once and wiped.
  char* chance = nullptr;
  /// What the time was, in nanoseconds since 1970, when this was written.
  int64_t time = 0;
};

inline void take_box_line(box& x, const word* words, int count) {
  const auto is = [&](const char* key) { return strcmp(words[0].text, key) == 0; };
  const auto number = [&](int i) { return i < count ? strtoull(words[i].text, nullptr, 10) : 0; };
  if (count < 2)
    return;
  if (is("argument") && x.argument_count < box_words_max)
    x.arguments[x.argument_count++] = words[1].text;
  else if (is("environment") && x.environment_count < box_words_max)
    x.environment[x.environment_count++] = words[1].text;
  else if (is("directory"))
    x.directory = words[1].text;
  else if (is("host"))
    x.host = words[1].text;
  else if (is("user")) {
    x.user = static_cast<uint32_t>(number(1));
    x.group = static_cast<uint32_t>(number(2));
    for (int i = 3; i < count && x.group_count < groups_max; ++i)
      x.groups[x.group_count++] = static_cast<uint32_t>(number(i));
  } else if (is("network") && count >= 4) {
    x.address = words[1].text;
    x.prefix = static_cast<int>(number(2));
    x.gateway = words[3].text;
    x.hardware_address = count > 4 ? words[4].text : "";
  } else if (is("file") && count == 3 && x.file_count < box_files_max)
    x.files[x.file_count++] = {words[1].text, words[2].text};
  else if (is("root"))
    x.read_only = strcmp(words[1].text, "read-only") == 0;
  else if (is("role"))
    x.machine = strcmp(words[1].text, "machine") == 0;
  else if (is("stop"))
    x.stop_signal = static_cast<int>(number(1));
  else if (is("files"))
    x.files_max = number(1);
  else if (is("processes"))
    x.processes_max = number(1);
  else if (is("memory"))
    x.memory_max = number(1);
  else if (is("capabilities"))
    x.capabilities = strtoull(words[1].text, nullptr, 16);
  else if (is("chance"))
    x.chance = words[1].text;
  else if (is("time"))
    x.time = static_cast<int64_t>(number(1));
}

/// Reads it out of `text`, which it keeps pointing into. False unless it is whole: its last line is "end".
inline bool read_box(char* text, size_t size, box& into) {
  static word words[groups_max + 3];
  for (size_t begin = 0; begin < size;) {
    const void* feed = memchr(text + begin, '\n', size - begin);
    if (feed == nullptr)
      return false;
    const size_t end = static_cast<size_t>(static_cast<const char*>(feed) - text);
    if (end - begin == 3 && memcmp(text + begin, "end", 3) == 0)
      return true;
    take_box_line(into, words, split_line(text + begin, end - begin, words, groups_max + 3));
    begin = end + 1;
  }
  return false;
}

} // namespace novacron::guest
