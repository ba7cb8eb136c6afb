#pragma once

/// `novacron dev`: the whole fabric of a file on this machine with one command, gone again with Ctrl-C.

#include <filesystem>
#include <string>

namespace novacron::node {

struct dev_options {
  std::string program;
  /// Empty takes ./nodes.toml if there is one, else a single hybrid node.
  std::string config_file;
  /// Empty takes a directory of its own that is cleared at the end; one that is given is kept, with all that runs.
  std::filesystem::path data_dir;
};

int dev(const dev_options& options);

/// Lets the commands of this machine find `socket` without being told; undone by the destructor. Does nothing while
/// another living fabric is announced.
class announcement {
public:
  explicit announcement(const std::filesystem::path& socket);
  ~announcement();
  announcement(const announcement&) = delete;
  announcement& operator=(const announcement&) = delete;

  /// Whether commands find it.
  bool made() const { return made_; }

private:
  std::filesystem::path link_;
  bool made_ = false;
};

} // namespace novacron::node
