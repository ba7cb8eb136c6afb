#pragma once

/// The images of a node: blobs by digest, names, and each image unpacked once into a root that all instances share.

#include "actors/workload/image_config.hpp"
#include "actors/workload/image_error.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::workload {

struct image_limits {
  /// Chosen: the largest manifests of real images are below 100 KB.
  std::uint64_t json_bytes_max = 4u << 20;
  std::uint64_t blob_bytes_max = 16ull << 30;
  /// Sum of the files of an unpacked image, and of the layers before they are unpacked.
  std::uint64_t unpacked_bytes_max = 32ull << 30;
  /// Files, directories and links of all layers; and the bytes of their names, which unpacking keeps in memory.
  std::uint64_t entries_max = 1'000'000;
  std::uint64_t name_bytes_max = 64u << 20;
  std::uint32_t layers_max = 128;
};

struct image_store_config {
  image_limits limits;
  /// False leaves fsync out: a power cut may lose what was imported last, kill -9 still may not.
  bool durable = true;
  /// OCI's name of the processors to choose images for; empty is this host's ("amd64", "arm64", ...).
  std::string architecture;
  /// Unix time for the records; empty is the system's clock.
  std::function<std::int64_t()> now_ms;
};

struct image_record {
  std::string name;
  /// Of the manifest: "sha256:...".
  std::string digest;
  /// Of all blobs as stored.
  std::uint64_t size_bytes = 0;
  std::int64_t imported_ms = 0;
  bool operator==(const image_record&) const = default;
};

/// What an instance runs from. The root is shared: mount it read-only (or as the lower layer of an overlay).
struct image_use {
  std::filesystem::path rootfs;
  image_config config;
  /// Of the manifest.
  std::string digest;
};

/// A stored image for another node: its manifest as stored, and the digests of the blobs it needs besides.
struct image_content {
  image_record record;
  std::string manifest;
  std::vector<std::string> blobs;
};

/// Bytes of a blob, and how many it has in all.
struct blob_piece {
  std::string data;
  std::uint64_t size = 0;
};

/// All functions may be called from any thread, throw image_error, and are atomic: killed at any moment, the store
/// is as before or as after. A directory belongs to one store object at a time.
class image_store {
public:
  /// Opens or makes the store in `directory` (mode 0700) and clears away what a killed import left.
  explicit image_store(std::filesystem::path directory, image_store_config settings = {});
  ~image_store();
  image_store(const image_store&) = delete;
  image_store& operator=(const image_store&) = delete;

  /// Brings in an OCI layout directory, an archive of one, or a docker-archive (archives plain, gzip or zstd), and
  /// unpacks it. An empty `name` takes the one inside; when there are several images, `name` chooses among them.
  /// Blocks for as long as hashing and unpacking take.
  image_record import(const std::filesystem::path& source, const std::string& name = {});

  /// By name.
  std::vector<image_record> list() const;

  /// By name ("web:v1"; "web" is also "web:latest"), digest ("sha256:...") or both ("web@sha256:...").
  std::optional<image_record> find(const std::string& name_or_digest) const;
  image_content content(const std::string& name_or_digest) const;

  /// Takes the name away, and collects what nothing needs any more. False when there is no such name.
  bool remove(const std::string& name);

  /// The root of an image for `holder` (an instance name, [A-Za-z0-9._-], say "web.0"), kept until `release(holder)`
  /// even when the image is removed, and across restarts of the node. Doing it twice is harmless; a holder holds one
  /// image. Quick, unless the root has to be unpacked again.
  image_use acquire(const std::string& name_or_digest, const std::string& holder);

  /// Harmless when `holder` holds nothing.
  void release(const std::string& holder);

  /// Everyone who holds an image: after a restart release those whose instance is gone.
  std::vector<std::string> holders() const;

  /// Deletes blobs and roots that no name, holder or running import needs. Returns how many.
  std::size_t collect();

  /// At most `limit` bytes of a blob from `offset` on.
  blob_piece read_blob(const std::string& digest, std::uint64_t offset, std::uint32_t limit) const;
  /// Whether it need not be downloaded.
  bool has_blob(const std::string& digest) const;

  /// A blob that comes in pieces from another node; what has come survives a restart.
  class download {
  public:
    /// Where to go on.
    std::uint64_t offset() const;
    /// Refuses more than `size` bytes.
    void append(std::string_view bytes);
    /// Verifies digest and size and moves the blob into the store. A wrong one is deleted.
    void finish();
    ~download();

  private:
    friend class image_store;
    struct state;
    explicit download(std::unique_ptr<state> inside);
    std::unique_ptr<state> state_;
  };

  /// One at a time per digest: a second one is refused with `bad_request` while the first lives. What is complete
  /// waits outside of the blobs for `admit`, for a week at most.
  std::unique_ptr<download> begin_download(const std::string& digest, std::uint64_t size);

  /// Gives `name` to the image with this manifest, whose blobs were all downloaded, and unpacks it.
  image_record admit(const std::string& manifest, const std::string& name);

  /// The inside, for the files that implement the store.
  struct state;

private:
  std::unique_ptr<state> state_;
};

} // namespace novacron::workload
