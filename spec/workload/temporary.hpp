#pragma once

/// A directory that is there as long as a scenario.

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace novacron::spec {

class temporary {
public:
  temporary() {
    auto pattern = (std::filesystem::temp_directory_path() / "novacron-spec-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~temporary() { std::filesystem::remove_all(path_); }
  temporary(const temporary&) = delete;
  temporary& operator=(const temporary&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

} // namespace novacron::spec
