#pragma once

/// Stands in for the HTTP side of a fabric: answers on a unix socket whatever a spec wants, good HTTP or not.

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <mutex>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace novacron::shell {

struct fake_request {
  /// "GET /v1/nodes".
  std::string line;
  std::string head;
  std::string body;
};

/// A good answer with JSON.
inline std::string answer(const std::string& json, int status = 200, const std::string& type = "application/json") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(json.size()) + "\r\n\r\n" + json;
}

class fake_fabric {
public:
  /// `reply` gives the bytes of the answer; "" closes the connection, "..." says nothing and keeps it open.
  explicit fake_fabric(std::function<std::string(const fake_request&)> reply) : reply{std::move(reply)} {
    char name[] = "/tmp/fake-fabric-XXXXXX";
    directory = ::mkdtemp(name);
    listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto address = sockaddr_un{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path().c_str());
    REQUIRE(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    ::listen(listener, 8);
    REQUIRE(::pipe(stop) == 0);
    server = std::thread{[this] { serve(); }};
  }
  ~fake_fabric() {
    ::close(stop[1]);
    server.join();
    ::close(stop[0]);
    ::close(listener);
    std::filesystem::remove_all(directory);
  }
  fake_fabric(const fake_fabric&) = delete;
  fake_fabric& operator=(const fake_fabric&) = delete;

  std::string path() const { return directory + "/api.sock"; }
  std::vector<fake_request> asked() {
    const auto guard = std::lock_guard{lock};
    return log;
  }

private:
  /// One connection after the other is enough for one client.
  void serve() {
    while (wait(listener)) {
      const auto peer = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      talk(peer);
      ::close(peer);
    }
  }

  bool wait(int socket) const {
    pollfd both[] = {{socket, POLLIN, 0}, {stop[0], POLLIN, 0}};
    ::poll(both, 2, -1);
    return both[1].revents == 0;
  }

  void talk(int peer) {
    auto bytes = std::string{};
    while (wait(peer)) {
      char piece[4096];
      const auto count = ::recv(peer, piece, sizeof piece, 0);
      if (count <= 0)
        return;
      bytes.append(piece, static_cast<std::size_t>(count));
      const auto end = bytes.find("\r\n\r\n");
      if (end == bytes.npos)
        continue;
      auto x = fake_request{.line = bytes.substr(0, bytes.find(" HTTP/1.1")),
                            .head = bytes.substr(0, end),
                            .body = bytes.substr(end + 4)};
      const auto length = x.head.find("Content-Length: ");
      if (length != x.head.npos && x.body.size() < std::stoul(x.head.substr(length + 16)))
        continue;
      bytes.clear();
      {
        const auto guard = std::lock_guard{lock};
        log.push_back(x);
      }
      const auto said = reply(x);
      if (said == "...")
        continue;
      if (said.empty() || ::send(peer, said.data(), said.size(), MSG_NOSIGNAL) < 0)
        return;
    }
  }

  std::function<std::string(const fake_request&)> reply;
  std::string directory;
  int listener = -1;
  int stop[2] = {-1, -1};
  std::mutex lock;
  std::vector<fake_request> log;
  std::thread server;
};

} // namespace novacron::shell
