#pragma once

/// Layers become a root: tar streams applied one over the other, whatever is in them.

#include "actors/workload/image_store.hpp"
#include "actors/workload/image_tree.hpp"

#include <ctime>
#include <map>
#include <set>
#include <string>

struct archive;
struct archive_entry;

namespace novacron::workload {

/// The name of a tar entry without "./" and doubled slashes; "" is the root itself. Throws image_error{hostile} for an
/// absolute one, one with "..", and one deeper than 128 or longer than 4095.
std::string clean_path(std::string_view text);

/// Applies layers to an empty directory. Refuses (image_error) what would reach anything outside of it, entries that
/// lie behind a symbolic link, and more than the limits allow; the caller then deletes the directory. Device nodes are
/// left out: the runtime gives a container its /dev, and a node in an image would be a way to the host's disks.
class layer_unpacker {
public:
  layer_unpacker(const std::filesystem::path& root, const image_limits& limits);

  /// Applies the layer in `file` (plain, gzip or zstd). Returns its diff_id: the digest of the plain tar.
  std::string apply(int file, const std::string& where);

  /// Gives directories their modes and times, which filling them would have spoiled. Call it after the last layer.
  void finish();

private:
  struct late {
    unsigned mode = 0755;
    timespec modified{};
  };

  void apply_entries(archive* entries);
  void place(archive* entries, archive_entry* entry);
  void place_file(archive* entries, archive_entry* entry, int parent, const std::string& name);
  void place_directory(archive_entry* entry, int parent, const std::string& name);
  void place_symlink(archive_entry* entry, int parent, const std::string& name);
  void place_hardlink(const std::string& target, int parent, const std::string& name);
  void place_fifo(archive_entry* entry, int parent, const std::string& name);
  void whiteout(const std::string& directory, const std::string& name);

  int open_parent(const std::string& directory);
  void make_directory(const std::string& directory);
  void make_room(int parent, const std::string& name, bool for_directory);
  void forget_parent(const std::string& removed);
  void remove_lower(int parent, const std::string& name, const std::string& path);
  void claim(const std::string& path);
  void spend(std::uint64_t bytes);
  [[noreturn]] void fail(int code, const std::string& what) const;
  [[noreturn]] void refuse(image_problem kind, const std::string& why) const;

  image_limits limits_;
  owned_fd root_;
  /// The layer and the entry at hand, for messages.
  std::string where_;
  std::string path_;
  /// What this layer put there (ancestors included): its own whiteouts leave it alone.
  std::set<std::string> made_;
  std::map<std::string, late> directories_;
  std::string parent_path_;
  owned_fd parent_;
  std::uint64_t bytes_ = 0;
  std::uint64_t stream_bytes_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t name_bytes_ = 0;
};

/// The names of archives are bytes in UTF-8, whatever locale the process has.
class utf8_names {
public:
  utf8_names();
  ~utf8_names();
  utf8_names(const utf8_names&) = delete;
  utf8_names& operator=(const utf8_names&) = delete;

private:
  void* fresh_ = nullptr;
  void* former_ = nullptr;
};

} // namespace novacron::workload
