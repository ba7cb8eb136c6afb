#include "actors/workload/image_pack.hpp"

#include "actors/workload/image_digest.hpp"
#include "actors/workload/image_layer.hpp"
#include "actors/workload/image_oci.hpp"
#include "actors/workload/image_tree.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <new>
#include <vector>

namespace novacron::workload {
namespace {

using writer = std::unique_ptr<archive, int (*)(archive*)>;
using entry_owner = std::unique_ptr<archive_entry, void (*)(archive_entry*)>;

writer new_writer() {
  auto result = writer{archive_write_new(), archive_write_free};
  if (!result)
    throw std::bad_alloc{};
  return result;
}

void check(archive* x, int status, const std::string& what) {
  if (status >= ARCHIVE_WARN)
    return;
  const auto* text = archive_error_string(x);
  throw image_error{image_problem::storage, "cannot pack " + what + ": " + (text == nullptr ? "?" : text)};
}

/// A file that hashes what is written to it.
struct blob_file {
  owned_fd file;
  digester hash;
  std::uint64_t size = 0;

  void write(const void* bytes, std::size_t count) {
    write_all(file.get(), {static_cast<const char*>(bytes), count}, "a layer");
    hash.add(bytes, count);
    size += count;
  }
};

/// The plain tar on its way: hashed for the diff_id, then compressed or not, then written.
struct layer_file {
  blob_file blob;
  digester plain;
  writer compressor{nullptr, archive_write_free};
};

la_ssize_t write_blob(archive* target, void* self, const void* bytes, std::size_t count) {
  auto& blob = *static_cast<blob_file*>(self);
  try {
    blob.write(bytes, count);
  } catch (const image_error& problem) {
    archive_set_error(target, EIO, "%s", problem.what());
    return -1;
  }
  return static_cast<la_ssize_t>(count);
}

la_ssize_t write_layer(archive* target, void* self, const void* bytes, std::size_t count) {
  auto& layer = *static_cast<layer_file*>(self);
  layer.plain.add(bytes, count);
  if (!layer.compressor)
    return write_blob(target, &layer.blob, bytes, count);
  if (archive_write_data(layer.compressor.get(), bytes, count) == static_cast<la_ssize_t>(count))
    return static_cast<la_ssize_t>(count);
  archive_set_error(target, EIO, "%s", archive_error_string(layer.compressor.get()));
  return -1;
}

void open_compressor(layer_file& layer) {
  layer.compressor = new_writer();
  auto* target = layer.compressor.get();
  archive_write_add_filter_gzip(target);
  // Without the time of day equal content stays equal.
  archive_write_set_filter_option(target, "gzip", "timestamp", nullptr);
  archive_write_set_format_raw(target);
  archive_write_set_bytes_in_last_block(target, 1);
  check(target, archive_write_open(target, &layer.blob, nullptr, write_blob, nullptr), "a layer");
  const auto whole = entry_owner{archive_entry_new(), archive_entry_free};
  archive_entry_set_pathname(whole.get(), "layer");
  archive_entry_set_filetype(whole.get(), AE_IFREG);
  check(target, archive_write_header(target, whole.get()), "a layer");
}

/// Walks a directory in the order of names and writes what it finds.
struct packer {
  const pack_options& options;
  archive* target;
  std::map<std::pair<dev_t, ino_t>, std::string> linked;

  void add_tree(int directory, const std::string& path) {
    auto names = std::vector<std::string>{};
    for_each_name(directory, [&](const std::string& name) { names.push_back(name); });
    std::sort(names.begin(), names.end());
    for (const auto& name : names)
      add(directory, name, path.empty() ? name : path + "/" + name);
  }

  void add(int directory, const std::string& name, const std::string& path) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      throw storage_error("cannot read " + path, errno);
    if (S_ISDIR(status.st_mode))
      add_directory(directory, name, path, status);
    else if (S_ISREG(status.st_mode))
      add_file(directory, name, path, status);
    else if (S_ISLNK(status.st_mode) || S_ISFIFO(status.st_mode))
      add_special(directory, name, path, status);
  }

  entry_owner entry_of(const std::string& path, const struct stat& status) const {
    auto entry = entry_owner{archive_entry_new(), archive_entry_free};
    if (!entry)
      throw std::bad_alloc{};
    archive_entry_set_pathname(entry.get(), path.c_str());
    archive_entry_set_mode(entry.get(), status.st_mode);
    archive_entry_set_uid(entry.get(), options.keep_owners ? status.st_uid : 0);
    archive_entry_set_gid(entry.get(), options.keep_owners ? status.st_gid : 0);
    if (options.modified)
      archive_entry_set_mtime(entry.get(), *options.modified, 0);
    else
      archive_entry_set_mtime(entry.get(), status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    archive_entry_set_size(entry.get(), S_ISREG(status.st_mode) ? status.st_size : 0);
    return entry;
  }

  void write_header(archive_entry* entry, const std::string& path) {
    check(target, archive_write_header(target, entry), path);
  }

  void add_directory(int directory, const std::string& name, const std::string& path, const struct stat& status) {
    const auto inside = owned_fd{::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!inside)
      throw storage_error("cannot read " + path, errno);
    write_header(entry_of(path + "/", status).get(), path);
    add_tree(inside.get(), path);
  }

  void add_special(int directory, const std::string& name, const std::string& path, const struct stat& status) {
    const auto entry = entry_of(path, status);
    if (S_ISLNK(status.st_mode)) {
      auto text = std::array<char, 4096>{};
      const auto count = ::readlinkat(directory, name.c_str(), text.data(), text.size());
      if (count < 0)
        throw storage_error("cannot read " + path, errno);
      archive_entry_set_symlink(entry.get(), std::string{text.data(), static_cast<std::size_t>(count)}.c_str());
    }
    write_header(entry.get(), path);
  }

  void add_file(int directory, const std::string& name, const std::string& path, const struct stat& status) {
    const auto entry = entry_of(path, status);
    if (status.st_nlink > 1) {
      const auto [first, fresh] = linked.emplace(std::pair{status.st_dev, status.st_ino}, path);
      if (!fresh) {
        archive_entry_set_hardlink(entry.get(), first->second.c_str());
        archive_entry_set_size(entry.get(), 0);
        return write_header(entry.get(), path);
      }
    }
    const auto file = owned_fd{::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (!file)
      throw storage_error("cannot read " + path, errno);
    add_attribute(entry.get(), file.get());
    write_header(entry.get(), path);
    auto block = std::vector<char>(65536);
    for (auto left = status.st_size; left > 0;) {
      const auto count = ::read(file.get(), block.data(), std::min<std::size_t>(block.size(), left));
      if (count <= 0)
        throw storage_error("cannot read all of " + path, count < 0 ? errno : EIO);
      if (archive_write_data(target, block.data(), static_cast<std::size_t>(count)) != count)
        check(target, ARCHIVE_FATAL, path);
      left -= count;
    }
  }

  /// What lets `ping` work without being root.
  static void add_attribute(archive_entry* entry, int file) {
    auto value = std::array<char, 64>{};
    const auto count = ::fgetxattr(file, "security.capability", value.data(), value.size());
    if (count > 0)
      archive_entry_xattr_add_entry(entry, "security.capability", value.data(), static_cast<std::size_t>(count));
  }
};

void write_tar(const std::filesystem::path& rootfs, layer_file& layer, const pack_options& options) {
  const auto names = utf8_names{};
  const auto root = open_directory(rootfs);
  const auto tar = new_writer();
  // The restricted kind is smaller, and cuts times to seconds.
  if (options.modified)
    archive_write_set_format_pax_restricted(tar.get());
  else
    archive_write_set_format_pax(tar.get());
  archive_write_set_bytes_per_block(tar.get(), 65536);
  archive_write_set_bytes_in_last_block(tar.get(), 1);
  check(tar.get(), archive_write_open(tar.get(), &layer, nullptr, write_layer, nullptr), "a layer");
  auto walk = packer{options, tar.get(), {}};
  struct stat status {};
  ::fstat(root.get(), &status);
  walk.write_header(walk.entry_of("./", status).get(), "./");
  walk.add_tree(root.get(), "");
  check(tar.get(), archive_write_close(tar.get()), "a layer");
  if (layer.compressor)
    check(layer.compressor.get(), archive_write_close(layer.compressor.get()), "a layer");
}

owned_fd make_blob_directory(const std::filesystem::path& layout) {
  auto failure = std::error_code{};
  std::filesystem::create_directories(layout / "blobs" / "sha256", failure);
  if (failure)
    throw storage_error("cannot make " + layout.string(), failure.value());
  return open_directory(layout / "blobs" / "sha256");
}

descriptor write_layer_blob(const owned_fd& blobs, const std::filesystem::path& rootfs, const pack_options& options,
                            std::string& diff_id) {
  constexpr auto fresh = "layer.new";
  auto layer = layer_file{};
  layer.blob.file = owned_fd{::openat(blobs.get(), fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644)};
  if (!layer.blob.file)
    throw storage_error("cannot write a layer", errno);
  if (options.compress)
    open_compressor(layer);
  write_tar(rootfs, layer, options);
  diff_id = layer.plain.finish();
  const auto digest = layer.blob.hash.finish();
  if (::renameat(blobs.get(), fresh, blobs.get(), std::string{digits_of(digest)}.c_str()) != 0)
    throw storage_error("cannot store a layer", errno);
  return {.media_type = options.compress ? media::layer_gzip : media::layer, .digest = digest, .size = layer.blob.size};
}

descriptor write_text_blob(const owned_fd& blobs, const std::string& text, const char* media_type) {
  const auto digest = digest_of(text);
  write_atomically(blobs.get(), std::string{digits_of(digest)}, text, false);
  return {.media_type = media_type, .digest = digest, .size = text.size()};
}

/// The index that was there before, without `name`.
image_index former_index(const owned_fd& top, const std::string& name) {
  if (::faccessat(top.get(), "index.json", F_OK, 0) != 0)
    return {};
  auto index = read_index(read_file(top.get(), "index.json", image_limits{}.json_bytes_max), "index.json");
  std::erase_if(index.manifests, [&](const descriptor& x) { return name_of(x) == name; });
  return index;
}

} // namespace

packed_image pack_image(const std::filesystem::path& rootfs, const image_config& config,
                        const std::filesystem::path& layout, const pack_options& options) {
  if (!is_image_name(options.name))
    throw image_error{image_problem::bad_request, "'" + options.name + "' cannot be the name of an image"};
  const auto architecture = options.architecture.empty() ? host_architecture() : options.architecture;
  const auto blobs = make_blob_directory(layout);
  const auto top = open_directory(layout);
  // One after the other: drafts have one name, and each adds to the index that the one before left. Where directories
  // cannot be locked it goes on without.
  while (::flock(top.get(), LOCK_EX) != 0 && errno == EINTR) {
  }
  auto index = former_index(top, options.name);
  auto diff_id = std::string{};
  const auto layer = write_layer_blob(blobs, rootfs, options, diff_id);
  const auto description =
      image_description{.os = "linux", .architecture = architecture, .config = config, .diff_ids = {diff_id}};
  const auto configuration = write_text_blob(blobs, write_description(description), media::config);
  auto manifest = write_text_blob(blobs, write_manifest({configuration, {layer}}), media::manifest);
  const auto result = packed_image{manifest.digest, manifest.size + configuration.size + layer.size};
  manifest.os = "linux";
  manifest.architecture = architecture;
  manifest.annotations = {{ref_name, options.name}};
  index.manifests.push_back(std::move(manifest));
  write_atomically(top.get(), "oci-layout", R"({"imageLayoutVersion":"1.0.0"})", false);
  write_atomically(top.get(), "index.json", write_index(index), false);
  return result;
}

} // namespace novacron::workload
