#pragma once

/// Tells when files of instances change, through one inotify for all of them.

#include "actors/host/loop.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace novacron::workload {

/// Functions may be called from any thread; callbacks run on the loop's.
class output_watch {
public:
  /// Throws std::system_error.
  explicit output_watch(host::loop& loop);
  ~output_watch();
  output_watch(const output_watch&) = delete;
  output_watch& operator=(const output_watch&) = delete;

  /// Calls `what` whenever something in `directory` is written, until the returned handle is dropped.
  std::shared_ptr<void> add(const std::filesystem::path& directory, std::function<void()> what);

  /// Calls `what` once when `file` is in `directory`, at once if it is already.
  void once(const std::filesystem::path& directory, const std::string& file, std::function<void()> what);
  void forget(const std::filesystem::path& directory);

private:
  struct state;
  std::shared_ptr<state> state_;
};

} // namespace novacron::workload
