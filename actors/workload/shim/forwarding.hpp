#pragma once

/// Forwards ports of the host into a container's network, on libc alone.

#include "actors/workload/shim/events.hpp"
#include "actors/workload/shim/lane.hpp"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

namespace novacron::shim {

constexpr int ports_max = 32;
/// Connections forwarded at a time; further ones wait in the listener's backlog.
constexpr int streams_max = 256;

struct port {
  int host = 0;
  int inside = 0;
  int listener = -1;
};

struct stream {
  int sockets[2] = {-1, -1};
  lane lanes[2];
  bool connected = false;
};

struct forwarding {
  /// Of the container, in its own network.
  const char* address = "";
  port ports[ports_max] = {};
  int port_count = 0;
  stream streams[streams_max];
  int streams_open = 0;
  /// The epoll that hears of it.
  int events = -1;
};

/// Opens the listeners, in the network of the host. 0, or the port that cannot be had, with errno.
inline int open_listeners(forwarding& all) {
  for (int i = 0; i < all.port_count; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in here = {};
    here.sin_family = AF_INET;
    here.sin_port = htons(static_cast<uint16_t>(all.ports[i].host));
    if (bind(fd, reinterpret_cast<sockaddr*>(&here), sizeof here) != 0 || listen(fd, 128) != 0)
      return all.ports[i].host;
    all.ports[i].listener = fd;
  }
  return 0;
}

/// Waits for connections; `known` or not any more.
inline void listen_for(const forwarding& all, bool wanted, bool known) {
  for (int i = 0; i < all.port_count; ++i)
    watch(all.events, all.ports[i].listener, wanted ? EPOLLIN : 0u, tag(listener, i), known);
}

inline void close_stream(forwarding& all, stream& x) {
  for (int i = 0; i < 2; ++i) {
    close(x.sockets[i]);
    free(x.lanes[i].block);
  }
  x = stream{};
  if (all.streams_open-- == streams_max)
    listen_for(all, true, true);
}

/// What each side of `x` waits for now: to read while its lane has room, to write while the other lane has bytes.
inline void watch_stream(const forwarding& all, const stream& x, bool known) {
  const int index = static_cast<int>(&x - all.streams);
  for (int side = 0; side < 2; ++side) {
    const lane& out_of = x.lanes[side];
    const lane& in_to = x.lanes[1 - side];
    uint32_t events = 0;
    if (x.connected && !out_of.ended && out_of.end < block_bytes)
      events |= EPOLLIN;
    if (in_to.end > in_to.begin || (side == 1 && !x.connected))
      events |= EPOLLOUT;
    watch(all.events, x.sockets[side], events, tag(side == 0 ? host_side : inside_side, index), known);
  }
}

/// Something happened at a side of stream `index`.
inline void advance(forwarding& all, int index, uint32_t events) {
  stream& x = all.streams[index];
  if (x.sockets[0] < 0)
    return;
  if (!x.connected) {
    int problem = 0;
    socklen_t size = sizeof problem;
    getsockopt(x.sockets[1], SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem != 0 || (events & EPOLLERR) != 0)
      return close_stream(all, x);
    x.connected = (events & EPOLLOUT) != 0;
    if (!x.connected)
      return;
  }
  if (!move(x.lanes[0]) || !move(x.lanes[1]) || (over(x.lanes[0]) && over(x.lanes[1])) || (events & EPOLLERR) != 0)
    return close_stream(all, x);
  watch_stream(all, x, true);
}

/// Somebody wants to be connected at port `index`.
inline void accept_at(forwarding& all, int index) {
  const int host = accept4(all.ports[index].listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (host < 0)
    return;
  // The container's own network: this process moved there after it had opened the listeners.
  const int inside = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in target = {};
  target.sin_family = AF_INET;
  target.sin_port = htons(static_cast<uint16_t>(all.ports[index].inside));
  inet_pton(AF_INET, all.address, &target.sin_addr);
  const int code = connect(inside, reinterpret_cast<sockaddr*>(&target), sizeof target);
  if (inside < 0 || (code != 0 && errno != EINPROGRESS)) {
    close(host);
    close(inside);
    return;
  }
  const int one = 1;
  setsockopt(host, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(inside, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  for (stream& x : all.streams) {
    if (x.sockets[0] >= 0)
      continue;
    x.sockets[0] = host;
    x.sockets[1] = inside;
    for (int side = 0; side < 2; ++side) {
      x.lanes[side].from = x.sockets[side];
      x.lanes[side].to = x.sockets[1 - side];
      x.lanes[side].block = static_cast<char*>(malloc(block_bytes));
    }
    watch_stream(all, x, false);
    if (++all.streams_open == streams_max)
      listen_for(all, false, true);
    return;
  }
}

} // namespace novacron::shim
