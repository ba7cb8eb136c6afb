#pragma once

/// What specs of images are made of: tars of any shape, layouts around them, and directories to compare.

#include "actors/workload/image_digest.hpp"
#include "actors/workload/image_oci.hpp"
#include "actors/workload/image_store.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace image_kit {

namespace fs = std::filesystem;
using namespace novacron::workload;

/// A directory that goes with the spec.
struct scratch {
  fs::path path;
  scratch() {
    auto pattern = (fs::temp_directory_path() / "novacron-image-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~scratch() { fs::remove_all(path); }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
};

inline std::string read(const fs::path& path) {
  auto file = std::ifstream{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

inline void write(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream{path, std::ios::binary} << content;
}

/// One entry of a tar; `size` is what its header says when it differs from the content.
struct item {
  std::string path;
  char type = 'f'; // f d l(ink) h(ard) c(har) p(ipe)
  std::string content;
  unsigned mode = 0644;
  long uid = 0;
  long mtime = 1'600'000'000;
};

enum class packing { plain, gzip, zstd };

inline std::string tar_of(const std::vector<item>& items, packing how = packing::plain) {
  auto out = std::string{};
  const auto target = std::unique_ptr<archive, int (*)(archive*)>{archive_write_new(), archive_write_free};
  archive_write_set_format_pax_restricted(target.get());
  archive_write_set_bytes_in_last_block(target.get(), 1);
  if (how == packing::gzip)
    archive_write_add_filter_gzip(target.get());
  if (how == packing::zstd)
    archive_write_add_filter_zstd(target.get());
  archive_write_open(
      target.get(), &out, nullptr,
      [](archive*, void* self, const void* bytes, std::size_t count) {
        static_cast<std::string*>(self)->append(static_cast<const char*>(bytes), count);
        return static_cast<la_ssize_t>(count);
      },
      nullptr);
  for (const auto& x : items) {
    const auto entry =
        std::unique_ptr<archive_entry, void (*)(archive_entry*)>{archive_entry_new(), archive_entry_free};
    archive_entry_set_pathname(entry.get(), x.path.c_str());
    archive_entry_set_mtime(entry.get(), x.mtime, 0);
    archive_entry_set_uid(entry.get(), x.uid);
    archive_entry_set_gid(entry.get(), x.uid);
    const auto kinds = std::map<char, unsigned>{{'f', AE_IFREG}, {'d', AE_IFDIR}, {'l', AE_IFLNK},
                                                {'h', AE_IFREG}, {'c', AE_IFCHR}, {'p', AE_IFIFO}};
    archive_entry_set_filetype(entry.get(), kinds.at(x.type));
    archive_entry_set_perm(entry.get(), x.mode);
    archive_entry_set_size(entry.get(), x.type == 'f' ? static_cast<la_int64_t>(x.content.size()) : 0);
    if (x.type == 'l')
      archive_entry_set_symlink(entry.get(), x.content.c_str());
    if (x.type == 'h')
      archive_entry_set_hardlink(entry.get(), x.content.c_str());
    if (x.type == 'c')
      archive_entry_set_rdev(entry.get(), makedev(1, 3));
    archive_write_header(target.get(), entry.get());
    if (x.type == 'f')
      archive_write_data(target.get(), x.content.data(), x.content.size());
  }
  archive_write_close(target.get());
  return out;
}

/// An image out of layers that are given as bytes.
struct layout {
  fs::path path;
  std::string manifest;

  static descriptor put(const fs::path& path, const std::string& content, const std::string& media_type) {
    const auto digest = digest_of(content);
    write(path / "blobs" / "sha256" / digits_of(digest), content);
    return {.media_type = media_type, .digest = digest, .size = content.size()};
  }

  /// `plain` are the layers without compression, of which the diff_ids are; empty means they are the same.
  layout(const fs::path& where, const std::vector<std::string>& layers, const std::string& name = "web:v1",
         const image_config& config = {.cmd = {"/bin/true"}}, std::vector<std::string> plain = {},
         const std::string& architecture = host_architecture())
      : path{where} {
    auto image = image_manifest{};
    auto description = image_description{.os = "linux", .architecture = architecture, .config = config};
    for (auto i = std::size_t{0}; i < layers.size(); ++i) {
      image.layers.push_back(put(path, layers[i], plain.empty() ? media::layer : media::layer_gzip));
      description.diff_ids.push_back(digest_of(plain.empty() ? layers[i] : plain[i]));
    }
    image.config = put(path, write_description(description), media::config);
    auto entry = put(path, write_manifest(image), media::manifest);
    manifest = entry.digest;
    entry.os = "linux";
    entry.architecture = architecture;
    if (!name.empty())
      entry.annotations[ref_name] = name;
    write(path / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
    write(path / "index.json", write_index({{entry}}));
  }
};

/// Every file of a directory as the items of a tar.
inline std::vector<item> items_of(const fs::path& directory) {
  auto items = std::vector<item>{};
  for (const auto& x : fs::recursive_directory_iterator{directory})
    if (x.is_regular_file())
      items.push_back({fs::relative(x.path(), directory).string(), 'f', read(x.path())});
  return items;
}

/// What a tree looks like: one line per name with kind, mode, owner, time, links and content.
inline std::map<std::string, std::string> look(const fs::path& directory) {
  auto all = std::map<std::string, std::string>{};
  for (const auto& x : fs::recursive_directory_iterator{directory}) {
    struct stat status {};
    ::lstat(x.path().c_str(), &status);
    const auto name = fs::relative(x.path(), directory).string();
    auto text = std::to_string(status.st_mode) + " " + std::to_string(status.st_uid) + " " +
                std::to_string(status.st_gid) + " " + std::to_string(status.st_mtim.tv_sec) + "." +
                std::to_string(status.st_mtim.tv_nsec);
    if (x.is_symlink())
      text += " -> " + fs::read_symlink(x.path()).string();
    else if (x.is_regular_file())
      text += " x" + std::to_string(status.st_nlink) + " " + digest_of(read(x.path()));
    all[name] = text;
  }
  return all;
}

/// The names in a directory, sorted.
inline std::vector<std::string> names_in(const fs::path& directory) {
  auto names = std::vector<std::string>{};
  for (const auto& x : fs::directory_iterator{directory})
    names.push_back(x.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// A store without fsync, which specs need not wait for.
inline image_store_config quick() {
  auto settings = image_store_config{};
  settings.durable = false;
  settings.now_ms = [] { return std::int64_t{1'700'000'000'000}; };
  return settings;
}

/// What `action` was refused with; a failed check when it was not.
template <class Action>
image_error refusal_of(Action action) {
  try {
    action();
  } catch (const image_error& problem) {
    return problem;
  }
  FAIL_CHECK("it was not refused");
  return {image_problem::not_found, ""};
}

} // namespace image_kit
