#pragma once

/// Moves the bytes of a forwarded connection, on libc alone.

#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>

namespace novacron::shim {

constexpr int block_bytes = 16384;

/// One direction of a forwarded connection.
struct lane {
  int from = -1;
  int to = -1;
  char* block = nullptr;
  int begin = 0;
  int end = 0;
  bool ended = false;
};

/// Moves what can be moved in one direction; false when the connection is broken.
inline bool move(lane& x) {
  if (!x.ended && x.end < block_bytes) {
    const ssize_t count = recv(x.from, x.block + x.end, static_cast<size_t>(block_bytes - x.end), MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN && errno != EINTR)
      return false;
    x.ended = count == 0;
    x.end += count > 0 ? static_cast<int>(count) : 0;
  }
  if (x.end > x.begin) {
    const ssize_t count =
        send(x.to, x.block + x.begin, static_cast<size_t>(x.end - x.begin), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN && errno != EINTR)
      return false;
    x.begin += count > 0 ? static_cast<int>(count) : 0;
  }
  if (x.begin == x.end) {
    x.begin = x.end = 0;
    if (x.ended)
      shutdown(x.to, SHUT_WR);
  }
  return true;
}

inline bool over(const lane& x) { return x.ended && x.begin == x.end; }

} // namespace novacron::shim
