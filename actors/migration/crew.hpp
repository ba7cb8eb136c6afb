#pragma once

/// Runs the streams of a migration side by side, a thread each.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace novacron::migration {

class crew {
public:
  /// Calls work(0) to work(count - 1), each in a thread, and returns when all have returned. When one throws, `fail` is
  /// called at once, by which the others learn to return, and the first exception is thrown in the end.
  void run(std::size_t count, const std::function<void(std::size_t)>& work, const std::function<void()>& fail);
  /// Of the processor, by all of them so far.
  double cpu_seconds() const { return static_cast<double>(nanoseconds_.load()) * 1e-9; }

private:
  std::atomic<std::int64_t> nanoseconds_{0};
};

} // namespace novacron::migration
