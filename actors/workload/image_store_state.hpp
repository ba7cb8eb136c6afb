#pragma once

/// The inside of the image store, shared by the files that implement it.

#include "actors/workload/image_oci.hpp"
#include "actors/workload/image_store.hpp"
#include "actors/workload/image_tree.hpp"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

namespace novacron::workload {

class pinning;

/// On disk, below the store's directory (which is itself an OCI layout):
///   oci-layout, index.json      names, replaced as a whole
///   blobs/sha256/HEX            verified blobs
///   rootfs/HEX                  unpacked images by chain identity; "new-..." and "old-..." are on their way
///   holds/HOLDER                the digest of the image that HOLDER holds
///   partial/HEX, ready/HEX      downloads that go on, and such that are complete and verified
///   tmp/                        imports that run
struct image_store::state {
  std::filesystem::path directory;
  image_store_config settings;
  owned_fd top, blobs, roots, holds, partial, ready, temporary;

  mutable std::mutex guard;
  std::map<std::string, image_record> images;
  std::map<std::string, std::string> held;
  /// What running imports need, counted.
  std::map<std::string, unsigned> pinned;
  std::set<std::string> downloading;
  /// Chains that somebody unpacks right now, and where the others wait for them.
  std::set<std::string> unpacking;
  std::condition_variable unpacked;
  /// Configurations by manifest digest: an acquire reads nothing twice.
  mutable std::map<std::string, image_description> known;
  std::atomic<std::uint64_t> ticket{0};

  void open();
  void load();
  void save_index();

  std::int64_t now_ms() const;
  std::string fresh_name(const std::string& prefix);

  bool has(const owned_fd& where, const std::string& digest) const;
  std::string blob_text(const std::string& digest) const;
  /// Moves `file` of the directory `from` into the blobs.
  void publish(int from, const std::string& file, const std::string& digest);
  void publish_text(const std::string& text, const std::string& digest);

  /// The digest that `name_or_digest` means; the guard is held.
  std::optional<std::string> resolve(const std::string& name_or_digest) const;
  /// By name, also when only one of the two says ":latest".
  const image_record* record_of(const std::string& name) const;
  void hold(const std::string& holder, const std::string& digest);
  image_description description_of(const std::string& manifest_digest) const;

  /// The root of the image, unpacked if it is not there, and pinned. The guard is not held.
  std::filesystem::path ensure_root(const std::string& manifest_digest, pinning& pins);
  void unpack(const image_manifest& manifest, const image_description& description, const std::string& chain);
  bool root_exists(const std::string& chain) const;

  image_record tag(const std::string& name, const std::string& manifest_digest);
  std::size_t collect();
  /// The same where its failure is of no concern: a damaged image keeps everything, and shows when it is used.
  void collect_quietly();
};

/// Keeps digests from collection while it lives.
class pinning {
public:
  explicit pinning(image_store::state& store) : store_{store} {}
  ~pinning();
  pinning(const pinning&) = delete;
  pinning& operator=(const pinning&) = delete;
  void add(const std::string& digest);

private:
  image_store::state& store_;
  std::vector<std::string> digests_;
};

/// A directory in `tmp/` that goes with its owner.
class staging {
public:
  explicit staging(image_store::state& store);
  ~staging();
  staging(const staging&) = delete;
  staging& operator=(const staging&) = delete;
  int get() const { return inside_.get(); }

private:
  image_store::state& store_;
  std::string name_;
  owned_fd inside_;
};

/// Makes sense of a source and brings its blobs into the store. Returns the manifest's digest, and the name to give it.
struct imported {
  std::string digest;
  std::string name;
};
imported bring_in(image_store::state& store, pinning& pins, const std::filesystem::path& source,
                  const std::string& name);

/// Whether we can unpack such a layer; throws image_error{unsupported} when not.
void check_layers(const image_manifest& manifest);

/// Whether this host can run it; throws image_error when not.
void check_runnable(const image_manifest& manifest, const image_description& description,
                    const std::string& architecture);

} // namespace novacron::workload
