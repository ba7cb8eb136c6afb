#pragma once

/// A directory that nobody may change for a while, not even root: what a failing disk looks like.

#include <sys/fsuid.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

namespace novacron::workload {

/// Holds for the thread that made it.
class barred {
public:
  explicit barred(std::filesystem::path directory) : directory_{std::move(directory)} {
    std::filesystem::permissions(directory_, std::filesystem::perms{0555});
    if (::geteuid() == 0)
      ::setfsuid(nobody);
  }
  ~barred() {
    ::setfsuid(::geteuid());
    auto error = std::error_code{};
    std::filesystem::permissions(directory_, std::filesystem::perms{0755}, error);
  }
  barred(const barred&) = delete;
  barred& operator=(const barred&) = delete;

private:
  static constexpr auto nobody = 65534;
  std::filesystem::path directory_;
};

} // namespace novacron::workload
