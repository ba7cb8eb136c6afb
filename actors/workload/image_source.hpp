#pragma once

/// Where an import reads from: the files of a layout directory or of an archive, hashed as they are read.

#include "actors/workload/image_store.hpp"
#include "actors/workload/image_tree.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>

struct archive;
struct archive_entry;

namespace novacron::workload {

/// A file of the source as a copy that is ours.
struct image_piece {
  /// In the staging directory.
  std::string file;
  std::string digest;
  std::uint64_t size = 0;
};

/// Files go to `staging`, a directory of ours that the caller deletes. An archive is read once, to its end; of a
/// directory only what is asked for. Throws image_error for what is neither, leads outside, or is too large.
class image_source {
public:
  image_source(const std::filesystem::path& path, int staging, const image_limits& limits);

  /// The file called `member` ("blobs/sha256/..."), links between members followed; null when there is none.
  const image_piece* find(const std::string& member);

  /// The content of a small member; nothing when there is none. Refuses one over the limit for JSON.
  std::optional<std::string> text(const std::string& member);

private:
  void read_archive(int file);
  const image_piece* copy_from_directory(const std::string& member);
  void take_member(archive* source, archive_entry* entry);
  const image_piece* copy(const std::string& member, const std::function<std::ptrdiff_t(char*, std::size_t)>& read);

  int staging_;
  image_limits limits_;
  std::string where_;
  /// Set when the source is a directory.
  owned_fd directory_;
  std::map<std::string, image_piece> pieces_;
  std::map<std::string, std::string> links_;
  std::uint64_t bytes_ = 0;
};

} // namespace novacron::workload
