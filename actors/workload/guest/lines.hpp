#pragma once

/// The lines in which novacron and the agent inside a guest speak, on libc alone.

#include <stddef.h>
#include <string.h>

namespace novacron::guest {

// A line is words between tabs. Bytes below 32, 127 and '%' are written as %XX, so that a word can hold anything and a
// line feed always ends a line: whoever comes into the middle of one finds the next.

constexpr size_t line_bytes_max = 256 << 10;
/// Bytes of a stream that one line carries, and how many may be on their way without having been taken.
constexpr size_t piece_bytes = 16 << 10;
constexpr size_t window_bytes = 256 << 10;

/// Appends `size` bytes of `data` as part of a word; `into` needs room for three times as many.
inline size_t write_word(char* into, const char* data, size_t size) {
  constexpr char digits[] = "0123456789abcdef";
  size_t at = 0;
  for (size_t i = 0; i < size; ++i) {
    const unsigned char byte = static_cast<unsigned char>(data[i]);
    if (byte >= 32 && byte != 127 && byte != '%') {
      into[at++] = data[i];
      continue;
    }
    into[at++] = '%';
    into[at++] = digits[byte >> 4];
    into[at++] = digits[byte & 15];
  }
  return at;
}

inline int value_of_digit(char x) {
  if (x >= '0' && x <= '9')
    return x - '0';
  return x >= 'a' && x <= 'f' ? x - 'a' + 10 : -1;
}

/// Reads a word in place and returns its size; a zero follows it. What is no escape stays as it is.
inline size_t read_word(char* word, size_t size) {
  size_t at = 0;
  for (size_t i = 0; i < size; ++i) {
    const int high = word[i] == '%' && i + 2 < size ? value_of_digit(word[i + 1]) : -1;
    const int low = high >= 0 ? value_of_digit(word[i + 2]) : -1;
    word[at++] = low >= 0 ? static_cast<char>(high << 4 | low) : word[i];
    i += low >= 0 ? 2 : 0;
  }
  return at;
}

struct word {
  char* text = nullptr;
  size_t size = 0;
};

/// Splits a line (without its line feed) in place; the byte behind it is overwritten. What is beyond `max` words is lost.
inline int split_line(char* line, size_t size, word* words, int max) {
  int count = 0;
  for (size_t begin = 0; begin <= size && count < max;) {
    const void* tab = memchr(line + begin, '\t', size - begin);
    const size_t end = tab != nullptr ? static_cast<size_t>(static_cast<const char*>(tab) - line) : size;
    words[count].text = line + begin;
    words[count].size = read_word(line + begin, end - begin);
    words[count].text[words[count].size] = 0;
    ++count;
    begin = end + 1;
  }
  return count;
}

} // namespace novacron::guest
