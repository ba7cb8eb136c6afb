#pragma once

/// A conversation with QEMU's monitor that blocks: what a migration asks for follows one thing after another, within
/// milliseconds.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace novacron::migration {

/// Used by one thread at a time. All functions throw migration_error.
class monitor {
public:
  /// Connects to the unix socket; one client at a time is served there.
  explicit monitor(const std::filesystem::path& socket, std::chrono::milliseconds patience = std::chrono::seconds{5});
  ~monitor();
  monitor(const monitor&) = delete;
  monitor& operator=(const monitor&) = delete;

  /// `arguments` is a JSON object, or empty. Returns the JSON of the result.
  std::string ask(std::string_view command, std::string_view arguments = {});
  /// Gives the process a copy of `fd`, by this name.
  void give(int fd, const std::string& name);

private:
  std::string answer_to(std::uint64_t number, std::string_view command);
  std::string read_line();
  std::uint64_t send(std::string_view command, std::string_view arguments, int fd);

  int fd_;
  std::chrono::milliseconds patience_;
  std::string rest_;
  std::uint64_t count_ = 0;
};

} // namespace novacron::migration
