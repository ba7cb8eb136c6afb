#include "actors/workload/image_store_state.hpp"

#include "actors/workload/image_digest.hpp"
#include "actors/workload/image_layer.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>

namespace novacron::workload {
namespace {

/// A root and a layer may have the same digest: pins tell them apart.
const auto root_prefix = std::string{"root "};
constexpr auto size_annotation = "io.novacron.size-bytes";
constexpr auto time_annotation = "io.novacron.imported-ms";
// Chosen: a node that was away for a week starts its downloads anew.
constexpr std::int64_t download_age_max_s = 7 * 24 * 3600;

owned_fd make_directory(const owned_fd& parent, const std::string& name) {
  if (::mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST)
    throw storage_error("cannot make directory " + name, errno);
  auto inside = owned_fd{::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!inside)
    throw storage_error("cannot open directory " + name, errno);
  return inside;
}

bool is_hex_name(const std::string& name) {
  return is_digest("sha256:" + name);
}

bool is_holder(const std::string& text) {
  return !text.empty() && text.size() <= 200 && text.front() != '.' && !text.ends_with(".new") &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-'; });
}

void clear(const owned_fd& directory) {
  for_each_name(directory.get(), [&](const std::string& name) { remove_tree(directory.get(), name); });
}

void clear_stale(const owned_fd& directory, std::int64_t now_s) {
  for_each_name(directory.get(), [&](const std::string& name) {
    struct stat status {};
    if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        now_s - status.st_mtim.tv_sec > download_age_max_s)
      remove_tree(directory.get(), name);
  });
}

template <class Integer>
Integer number_in(const std::map<std::string, std::string>& texts, const char* key) {
  auto value = Integer{0};
  if (const auto found = texts.find(key); found != texts.end())
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), value);
  return value;
}

std::uint64_t size_of(const image_manifest& manifest, std::size_t own_size) {
  auto size = own_size + manifest.config.size;
  for (const auto& layer : manifest.layers)
    size += layer.size;
  return size;
}

} // namespace

// --- pins and staging

pinning::~pinning() {
  const auto lock = std::lock_guard{store_.guard};
  for (const auto& digest : digests_)
    if (const auto pin = store_.pinned.find(digest); pin != store_.pinned.end() && --pin->second == 0)
      store_.pinned.erase(pin);
}

void pinning::add(const std::string& digest) {
  const auto lock = std::lock_guard{store_.guard};
  digests_.push_back(digest);
  ++store_.pinned[digest];
}

staging::staging(image_store::state& store) : store_{store}, name_{store.fresh_name("import-")} {
  inside_ = make_directory(store.temporary, name_);
}

staging::~staging() {
  try {
    remove_tree(store_.temporary.get(), name_);
  } catch (const image_error&) {
    // What is left is cleared when the store is opened next.
    return;
  }
}

// --- opening and keeping

void image_store::state::open() {
  auto failure = std::error_code{};
  std::filesystem::create_directories(directory, failure);
  if (failure || ::chmod(directory.c_str(), 0700) != 0)
    throw storage_error("cannot close " + directory.string() + " to others", errno);
  top = open_directory(directory);
  blobs = make_directory(make_directory(top, "blobs"), "sha256");
  roots = make_directory(top, "rootfs");
  holds = make_directory(top, "holds");
  partial = make_directory(top, "partial");
  ready = make_directory(top, "ready");
  temporary = make_directory(top, "tmp");
  clear(temporary);
  clear_stale(partial, now_ms() / 1000);
  clear_stale(ready, now_ms() / 1000);
  for_each_name(roots.get(), [&](const std::string& name) {
    if (!is_hex_name(name))
      remove_tree(roots.get(), name);
  });
  if (::faccessat(top.get(), "oci-layout", F_OK, 0) != 0)
    write_atomically(top.get(), "oci-layout", R"({"imageLayoutVersion":"1.0.0"})", settings.durable);
  if (::faccessat(top.get(), "index.json", F_OK, 0) != 0)
    save_index();
  load();
}

void image_store::state::load() {
  const auto index = read_index(read_file(top.get(), "index.json", settings.limits.json_bytes_max),
                                (directory / "index.json").string());
  for (const auto& entry : index.manifests)
    if (const auto name = name_of(entry); is_image_name(name))
      images[name] = {name, entry.digest, number_in<std::uint64_t>(entry.annotations, size_annotation),
                      number_in<std::int64_t>(entry.annotations, time_annotation)};
  for_each_name(holds.get(), [&](const std::string& holder) {
    const auto digest = is_holder(holder) ? read_file(holds.get(), holder, 128) : std::string{};
    if (is_digest(digest))
      held[holder] = digest;
    else
      remove_tree(holds.get(), holder);
  });
}

void image_store::state::save_index() {
  auto index = image_index{};
  for (const auto& [name, image] : images) {
    struct stat status {};
    ::fstatat(blobs.get(), std::string{digits_of(image.digest)}.c_str(), &status, AT_SYMLINK_NOFOLLOW);
    index.manifests.push_back({.media_type = media::manifest,
                               .digest = image.digest,
                               .size = static_cast<std::uint64_t>(status.st_size),
                               .annotations = {{ref_name, name},
                                               {size_annotation, std::to_string(image.size_bytes)},
                                               {time_annotation, std::to_string(image.imported_ms)}}});
  }
  write_atomically(top.get(), "index.json", write_index(index), settings.durable);
}

std::int64_t image_store::state::now_ms() const {
  if (settings.now_ms)
    return settings.now_ms();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string image_store::state::fresh_name(const std::string& prefix) {
  return prefix + std::to_string(::getpid()) + "-" + std::to_string(++ticket);
}

// --- blobs

bool image_store::state::has(const owned_fd& where, const std::string& digest) const {
  return is_digest(digest) && ::faccessat(where.get(), std::string{digits_of(digest)}.c_str(), F_OK, 0) == 0;
}

std::string image_store::state::blob_text(const std::string& digest) const {
  if (!has(blobs, digest))
    throw image_error{image_problem::not_found, "there is no blob " + digest};
  return read_file(blobs.get(), std::string{digits_of(digest)}, settings.limits.json_bytes_max);
}

void image_store::state::publish(int from, const std::string& file, const std::string& digest) {
  // Two imports of one blob race for nothing: both bring the same bytes.
  if (has(blobs, digest))
    return;
  if (settings.durable) {
    const auto content = owned_fd{::openat(from, file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (content && ::fsync(content.get()) != 0)
      throw storage_error("cannot write blob " + digest, errno);
  }
  const auto name = std::string{digits_of(digest)};
  if (::renameat(from, file.c_str(), blobs.get(), name.c_str()) != 0 && !has(blobs, digest))
    throw storage_error("cannot store blob " + digest, errno);
  if (settings.durable)
    ::fsync(blobs.get());
}

void image_store::state::publish_text(const std::string& text, const std::string& digest) {
  const auto work = staging{*this};
  write_atomically(work.get(), "text", text, false);
  publish(work.get(), "text", digest);
}

// --- names

std::optional<std::string> image_store::state::resolve(const std::string& name_or_digest) const {
  if (is_digest(name_or_digest)) {
    const auto is_it = [&](const auto& x) { return x.second == name_or_digest; };
    const auto is_image = [&](const auto& x) { return x.second.digest == name_or_digest; };
    return std::any_of(images.begin(), images.end(), is_image) || std::any_of(held.begin(), held.end(), is_it)
               ? std::optional{name_or_digest}
               : std::nullopt;
  }
  if (const auto at = name_or_digest.rfind("@sha256:"); at != name_or_digest.npos)
    return resolve(name_or_digest.substr(at + 1));
  const auto* record = record_of(name_or_digest);
  return record == nullptr ? std::nullopt : std::optional{record->digest};
}

const image_record* image_store::state::record_of(const std::string& name) const {
  constexpr auto latest = std::string_view{":latest"};
  for (const auto& candidate : {name, name + std::string{latest}})
    if (const auto found = images.find(candidate); found != images.end())
      return &found->second;
  if (!name.ends_with(latest))
    return nullptr;
  const auto found = images.find(name.substr(0, name.size() - latest.size()));
  return found == images.end() ? nullptr : &found->second;
}

image_description image_store::state::description_of(const std::string& manifest_digest) const {
  {
    const auto lock = std::lock_guard{guard};
    if (const auto found = known.find(manifest_digest); found != known.end())
      return found->second;
  }
  const auto manifest = read_manifest(blob_text(manifest_digest), "blob " + manifest_digest);
  auto description = read_description(blob_text(manifest.config.digest), "blob " + manifest.config.digest);
  check_runnable(manifest, description, settings.architecture);
  const auto lock = std::lock_guard{guard};
  return known[manifest_digest] = std::move(description);
}

image_record image_store::state::tag(const std::string& name, const std::string& manifest_digest) {
  const auto text = blob_text(manifest_digest);
  const auto manifest = read_manifest(text, "blob " + manifest_digest);
  const auto lock = std::lock_guard{guard};
  const auto former = images;
  auto& record = images[name];
  if (record.digest == manifest_digest)
    return record;
  record = {name, manifest_digest, size_of(manifest, text.size()), now_ms()};
  const auto result = record;
  try {
    save_index();
  } catch (const image_error&) {
    images = former;
    throw;
  }
  return result;
}

void image_store::state::hold(const std::string& holder, const std::string& digest) {
  const auto lock = std::lock_guard{guard};
  if (const auto known = held.find(holder); known != held.end() && known->second == digest)
    return;
  // Not synced: after a power cut no instance runs, and none holds anything.
  write_atomically(holds.get(), holder, digest, false);
  held[holder] = digest;
}

// --- roots

bool image_store::state::root_exists(const std::string& chain) const {
  return ::faccessat(roots.get(), std::string{digits_of(chain)}.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

std::filesystem::path image_store::state::ensure_root(const std::string& manifest_digest, pinning& pins) {
  const auto description = description_of(manifest_digest);
  const auto chain = chain_of(description.diff_ids);
  const auto path = directory / "rootfs" / digits_of(chain);
  pins.add(root_prefix + chain);
  {
    auto lock = std::unique_lock{guard};
    unpacked.wait(lock, [&] { return !unpacking.contains(chain); });
    if (root_exists(chain))
      return path;
    unpacking.insert(chain);
  }
  const auto done = std::unique_ptr<state, std::function<void(state*)>>{this, [&](state*) {
                                                                          const auto lock = std::lock_guard{guard};
                                                                          unpacking.erase(chain);
                                                                          unpacked.notify_all();
                                                                        }};
  unpack(read_manifest(blob_text(manifest_digest), "blob " + manifest_digest), description, chain);
  return path;
}

void image_store::state::unpack(const image_manifest& manifest, const image_description& description,
                                const std::string& chain) {
  const auto fresh = fresh_name("new-");
  if (manifest.layers.size() > settings.limits.layers_max)
    throw image_error{image_problem::hostile,
                      "the image has more than " + std::to_string(settings.limits.layers_max) + " layers"};
  const auto inside = make_directory(roots, fresh);
  try {
    auto unpacker = layer_unpacker{directory / "rootfs" / fresh, settings.limits};
    for (auto i = std::size_t{0}; i < manifest.layers.size(); ++i) {
      const auto& digest = manifest.layers[i].digest;
      const auto file =
          owned_fd{::openat(blobs.get(), std::string{digits_of(digest)}.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
      if (!file)
        throw storage_error("cannot read blob " + digest, errno);
      if (unpacker.apply(file.get(), "layer " + digest) != description.diff_ids[i])
        throw image_error{image_problem::corrupt,
                          "layer " + digest +
                              " does not unpack to what the configuration says: " + description.diff_ids[i]};
    }
    unpacker.finish();
    // A root that is there is whole, even after a power cut.
    if (settings.durable && ::syncfs(inside.get()) != 0)
      throw storage_error("cannot write the root of the image", errno);
    if (::renameat(roots.get(), fresh.c_str(), roots.get(), std::string{digits_of(chain)}.c_str()) != 0)
      throw storage_error("cannot store the root of the image", errno);
  } catch (...) {
    remove_tree(roots.get(), fresh);
    throw;
  }
}

// --- collection

std::size_t image_store::state::collect() {
  auto doomed = std::vector<std::string>{};
  auto count = std::size_t{0};
  {
    const auto lock = std::lock_guard{guard};
    auto needed = std::set<std::string>{};
    auto manifests = std::set<std::string>{};
    for (const auto& [name, image] : images)
      manifests.insert(image.digest);
    for (const auto& [holder, digest] : held)
      manifests.insert(digest);
    for (const auto& [digest, pins] : pinned)
      needed.insert(digest);
    for (const auto& digest : manifests) {
      needed.insert(digest);
      const auto manifest = read_manifest(blob_text(digest), "blob " + digest);
      const auto config = read_description(blob_text(manifest.config.digest), "blob " + manifest.config.digest);
      needed.insert(manifest.config.digest);
      needed.insert(root_prefix + chain_of(config.diff_ids));
      for (const auto& layer : manifest.layers)
        needed.insert(layer.digest);
    }
    for_each_name(blobs.get(), [&](const std::string& name) {
      if (!needed.contains("sha256:" + name)) {
        remove_tree(blobs.get(), name);
        known.erase("sha256:" + name);
        ++count;
      }
    });
    for_each_name(roots.get(), [&](const std::string& name) {
      if (!is_hex_name(name) || needed.contains(root_prefix + "sha256:" + name))
        return;
      const auto old = fresh_name("old-");
      if (::renameat(roots.get(), name.c_str(), roots.get(), old.c_str()) == 0)
        doomed.push_back(old);
    });
  }
  // Deleting a large root takes long; nobody waits for it.
  for (const auto& name : doomed)
    remove_tree(roots.get(), name);
  return count + doomed.size();
}

void image_store::state::collect_quietly() {
  try {
    collect();
  } catch (const image_error&) {
    return;
  }
}

// --- the interface

image_store::image_store(std::filesystem::path directory, image_store_config settings)
    : state_{std::make_unique<state>()} {
  state_->directory = std::filesystem::absolute(directory);
  state_->settings = std::move(settings);
  if (state_->settings.architecture.empty())
    state_->settings.architecture = host_architecture();
  state_->open();
  state_->collect_quietly();
}

image_store::~image_store() = default;

image_record image_store::import(const std::filesystem::path& source, const std::string& name) {
  if (!name.empty() && (!is_image_name(name) || is_digest(name)))
    throw image_error{image_problem::bad_request, "'" + name + "' cannot be the name of an image"};
  auto record = image_record{};
  try {
    auto pins = pinning{*state_};
    const auto found = bring_in(*state_, pins, source, name);
    if (!is_image_name(found.name))
      throw image_error{image_problem::bad_request, "the image in " + source.string() + " has no name; give it one"};
    state_->ensure_root(found.digest, pins);
    record = state_->tag(found.name, found.digest);
  } catch (...) {
    state_->collect_quietly();
    throw;
  }
  // The name may have been another image's before.
  state_->collect_quietly();
  return record;
}

std::vector<image_record> image_store::list() const {
  const auto lock = std::lock_guard{state_->guard};
  auto all = std::vector<image_record>{};
  for (const auto& [name, image] : state_->images)
    all.push_back(image);
  return all;
}

std::optional<image_record> image_store::find(const std::string& name_or_digest) const {
  const auto lock = std::lock_guard{state_->guard};
  if (const auto* record = state_->record_of(name_or_digest))
    return *record;
  const auto digest = state_->resolve(name_or_digest);
  for (const auto& [name, image] : state_->images)
    if (digest == image.digest)
      return image;
  return {};
}

image_content image_store::content(const std::string& name_or_digest) const {
  const auto record = find(name_or_digest);
  if (!record)
    throw image_error{image_problem::not_found, "there is no image '" + name_or_digest + "'"};
  auto result = image_content{*record, state_->blob_text(record->digest), {}};
  const auto manifest = read_manifest(result.manifest, "blob " + record->digest);
  result.blobs.push_back(manifest.config.digest);
  for (const auto& layer : manifest.layers)
    if (std::find(result.blobs.begin(), result.blobs.end(), layer.digest) == result.blobs.end())
      result.blobs.push_back(layer.digest);
  return result;
}

bool image_store::remove(const std::string& name) {
  {
    const auto lock = std::lock_guard{state_->guard};
    const auto former = state_->images;
    const auto* record = state_->record_of(name);
    if (record == nullptr)
      return false;
    state_->images.erase(std::string{record->name});
    try {
      state_->save_index();
    } catch (const image_error&) {
      state_->images = former;
      throw;
    }
  }
  state_->collect_quietly();
  return true;
}

image_use image_store::acquire(const std::string& name_or_digest, const std::string& holder) {
  if (!is_holder(holder))
    throw image_error{image_problem::bad_request, "'" + holder + "' cannot be the name of a holder"};
  auto digest = std::string{};
  auto former = std::optional<std::string>{};
  {
    const auto lock = std::lock_guard{state_->guard};
    const auto found = state_->resolve(name_or_digest);
    if (!found)
      throw image_error{image_problem::not_found, "there is no image '" + name_or_digest + "'"};
    digest = *found;
    if (const auto known = state_->held.find(holder); known != state_->held.end())
      former = known->second;
  }
  state_->hold(holder, digest);
  try {
    auto pins = pinning{*state_};
    auto root = state_->ensure_root(digest, pins);
    return {std::move(root), state_->description_of(digest).config, digest};
  } catch (...) {
    if (!former)
      release(holder);
    else
      state_->hold(holder, *former);
    throw;
  }
}

void image_store::release(const std::string& holder) {
  const auto lock = std::lock_guard{state_->guard};
  if (state_->held.erase(holder) > 0)
    remove_tree(state_->holds.get(), holder);
}

std::vector<std::string> image_store::holders() const {
  const auto lock = std::lock_guard{state_->guard};
  auto all = std::vector<std::string>{};
  for (const auto& [holder, digest] : state_->held)
    all.push_back(holder);
  return all;
}

std::size_t image_store::collect() {
  return state_->collect();
}

} // namespace novacron::workload
