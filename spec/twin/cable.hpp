#pragma once

/// A cable between two ports of this machine that can be cut: whatever is sent meanwhile waits at its ends, as with
/// TCP.

#include <atomic>
#include <cstdint>
#include <list>
#include <string>
#include <thread>

namespace twin {

class cable {
public:
  /// Throws std::system_error.
  cable();
  ~cable();
  cable(const cable&) = delete;
  cable& operator=(const cable&) = delete;

  std::uint16_t port() const { return port_; }
  /// Where connections made from now on lead.
  void lead_to(std::uint16_t port) { target_ = port; }
  void cut(bool yes) { cut_ = yes; }

private:
  struct pair {
    int ends[2] = {-1, -1};
    /// Read from that end and not yet written to the other.
    std::string waiting[2];
    bool over = false;
  };
  void run();
  void accept();
  static void carry(pair& x, int from);

  int door_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<std::uint16_t> target_ = 0;
  std::atomic<bool> cut_ = false;
  std::atomic<bool> ends_ = false;
  std::list<pair> pairs_;
  std::thread thread_;
};

} // namespace twin
