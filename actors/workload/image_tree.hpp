#pragma once

/// Files below a directory that nobody leaves: no "..", no link leads out, whatever the names say.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace novacron::workload {

/// A descriptor that closes itself.
class owned_fd {
public:
  owned_fd() = default;
  explicit owned_fd(int fd) : fd_{fd} {}
  owned_fd(owned_fd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  owned_fd& operator=(owned_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~owned_fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_ = -1;
};

/// Throws image_error when it cannot be opened.
owned_fd open_directory(const std::filesystem::path& path);

/// Opens what `path` leads to below `root`; empty, with errno, when it does not exist or leads through any link.
owned_fd open_beneath(int root, const std::string& path, int flags, unsigned mode = 0);

/// The content of a regular file below `root`, links followed as if `root` were "/". Empty when there is no such
/// file or it is longer than `limit`.
std::string read_inside(const owned_fd& root, const std::string& path, std::size_t limit);

/// All of a regular file; throws image_error when it cannot be read or is longer than `limit`.
std::string read_file(int directory, const std::string& name, std::size_t limit);

/// Calls `each` for every name in the directory except "." and ".."; what it deletes meanwhile is no harm.
void for_each_name(int directory, const std::function<void(const std::string&)>& each);

/// Deletes `name` in `parent` with all below it; links are deleted, not followed. Harmless when it is not there.
/// Throws image_error.
void remove_tree(int parent, const std::string& name);

/// Writes all of it; throws image_error.
void write_all(int fd, std::string_view bytes, const std::string& where);
void write_all_at(int fd, std::string_view bytes, off_t offset, const std::string& where);

/// Puts `name` with this content into `directory`: afterwards there is the old or the new one, whatever happens.
void write_atomically(int directory, const std::string& name, std::string_view content, bool durable);

} // namespace novacron::workload
