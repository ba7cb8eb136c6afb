/// Blobs on their way from and to other nodes.

#include "actors/workload/image_digest.hpp"
#include "actors/workload/image_store_state.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace novacron::workload {
namespace {

std::string file_of(const std::string& digest) {
  return std::string{digits_of(digest)};
}

std::uint64_t size_of(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

} // namespace

struct image_store::download::state {
  image_store::state& store;
  std::string digest;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
  owned_fd file;
  digester hash;

  ~state() {
    const auto lock = std::lock_guard{store.guard};
    store.downloading.erase(digest);
  }

  /// What came before counts again; a file that is too long is none of ours.
  void resume() {
    auto block = std::array<char, 65536>{};
    for (;;) {
      const auto count = ::read(file.get(), block.data(), block.size());
      if (count <= 0)
        break;
      hash.add(block.data(), static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
    if (offset <= size)
      return;
    hash = digester{};
    offset = 0;
    if (::ftruncate(file.get(), 0) != 0)
      throw storage_error("cannot restart the download of " + digest, errno);
  }
};

image_store::download::download(std::unique_ptr<state> inside) : state_{std::move(inside)} {}
image_store::download::~download() = default;

std::uint64_t image_store::download::offset() const {
  return state_->offset;
}

void image_store::download::append(std::string_view bytes) {
  auto& s = *state_;
  if (bytes.size() > s.size - s.offset)
    throw image_error{image_problem::corrupt, "blob " + s.digest + " is longer than its size says"};
  write_all_at(s.file.get(), bytes, static_cast<off_t>(s.offset), "blob " + s.digest);
  s.hash.add(bytes.data(), bytes.size());
  s.offset += bytes.size();
}

void image_store::download::finish() {
  auto& s = *state_;
  const auto name = file_of(s.digest);
  const auto found = s.hash.finish();
  if (s.offset != s.size || found != s.digest) {
    remove_tree(s.store.partial.get(), name);
    throw image_error{image_problem::corrupt, "blob " + s.digest + " is not what its digest says: it is " + found +
                                                  " with " + std::to_string(s.offset) + " bytes"};
  }
  if (::renameat(s.store.partial.get(), name.c_str(), s.store.ready.get(), name.c_str()) != 0)
    throw storage_error("cannot store blob " + s.digest, errno);
}

std::unique_ptr<image_store::download> image_store::begin_download(const std::string& digest, std::uint64_t size) {
  if (!is_digest(digest))
    throw image_error{image_problem::bad_request, "'" + digest + "' is no digest"};
  if (size > state_->settings.limits.blob_bytes_max)
    throw image_error{image_problem::hostile, "blob " + digest + " is larger than the limit"};
  {
    const auto lock = std::lock_guard{state_->guard};
    if (!state_->downloading.insert(digest).second)
      throw image_error{image_problem::bad_request, "blob " + digest + " is on its way already"};
  }
  auto inside = std::make_unique<download::state>(*state_, digest, size, std::uint64_t{0}, owned_fd{}, digester{});
  inside->file = owned_fd{
      ::openat(state_->partial.get(), file_of(digest).c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (!inside->file)
    throw storage_error("cannot write blob " + digest, errno);
  inside->resume();
  return std::unique_ptr<download>{new download{std::move(inside)}};
}

bool image_store::has_blob(const std::string& digest) const {
  return state_->has(state_->blobs, digest) || state_->has(state_->ready, digest);
}

blob_piece image_store::read_blob(const std::string& digest, std::uint64_t offset, std::uint32_t limit) const {
  if (!state_->has(state_->blobs, digest))
    throw image_error{image_problem::not_found, "there is no blob " + digest.substr(0, 100)};
  const auto file = owned_fd{::openat(state_->blobs.get(), file_of(digest).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
  if (!file)
    throw storage_error("cannot read blob " + digest, errno);
  auto piece = blob_piece{{}, size_of(file.get())};
  const auto left = piece.size - std::min(piece.size, offset);
  piece.data.resize(static_cast<std::size_t>(std::min<std::uint64_t>(left, limit)));
  auto got = std::size_t{0};
  while (got < piece.data.size()) {
    const auto count =
        ::pread(file.get(), piece.data.data() + got, piece.data.size() - got, static_cast<off_t>(offset + got));
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      throw storage_error("cannot read blob " + digest, count < 0 ? errno : EIO);
    got += static_cast<std::size_t>(count);
  }
  return piece;
}

namespace {

/// A downloaded blob of the image into the store.
void take(image_store::state& store, const descriptor& blob) {
  const auto name = file_of(blob.digest);
  if (!store.has(store.blobs, blob.digest) && !store.has(store.ready, blob.digest))
    throw image_error{image_problem::not_found, "blob " + blob.digest + " is missing"};
  store.publish(store.ready.get(), name, blob.digest);
  remove_tree(store.ready.get(), name);
  struct stat status {};
  if (::fstatat(store.blobs.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
      static_cast<std::uint64_t>(status.st_size) != blob.size)
    throw image_error{image_problem::corrupt, "blob " + blob.digest + " has another size than the manifest says"};
}

} // namespace

image_record image_store::admit(const std::string& text, const std::string& name) {
  if (!is_image_name(name) || is_digest(name))
    throw image_error{image_problem::bad_request, "'" + name + "' cannot be the name of an image"};
  const auto digest = digest_of(text);
  const auto manifest = read_manifest(text, "manifest " + digest);
  check_layers(manifest);
  auto record = image_record{};
  try {
    auto pins = pinning{*state_};
    pins.add(digest);
    for (const auto& layer : manifest.layers)
      pins.add(layer.digest);
    pins.add(manifest.config.digest);
    take(*state_, manifest.config);
    for (const auto& layer : manifest.layers)
      take(*state_, layer);
    state_->publish_text(text, digest);
    state_->ensure_root(digest, pins);
    record = state_->tag(name, digest);
  } catch (...) {
    state_->collect_quietly();
    throw;
  }
  state_->collect_quietly();
  return record;
}

} // namespace novacron::workload
