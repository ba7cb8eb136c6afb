#pragma once

/// A descriptor that is closed with its owner.

#include <filesystem>
#include <utility>

namespace novacron::workload {

class descriptor {
public:
  explicit descriptor(int fd = -1) : fd_{fd} {}
  ~descriptor();
  descriptor(descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  [[nodiscard]] int get() const { return fd_; }

private:
  int fd_;
};

/// The file, which is made where `flags` say so. Throws std::system_error.
descriptor open_file(const std::filesystem::path& name, int flags);

} // namespace novacron::workload
