#pragma once

/// What the shim waits for with one epoll, on libc alone.

#include <stdint.h>
#include <sys/epoll.h>

namespace novacron::shim {

// What an epoll event is about: its kind in the upper half, an index in the lower.
enum kind : uint32_t { children = 1, container_output, lease_timer, listener, host_side, inside_side };
inline uint64_t tag(kind what, int index) {
  return (static_cast<uint64_t>(what) << 32) | static_cast<uint32_t>(index);
}

/// `known` changes what is waited for already.
inline void watch(int events_fd, int fd, uint32_t events, uint64_t about, bool known = false) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = about;
  epoll_ctl(events_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
}

} // namespace novacron::shim
