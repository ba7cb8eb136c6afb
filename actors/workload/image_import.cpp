/// Imports: from the files of a layout or a docker-archive to blobs of the store.

#include "actors/workload/image_digest.hpp"
#include "actors/workload/image_source.hpp"
#include "actors/workload/image_store_state.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace novacron::workload {
namespace {

// Chosen: an index of indexes of indexes is already strange.
constexpr auto index_depth_max = 4;

[[noreturn]] void refuse(image_problem kind, const std::string& why) {
  throw image_error{kind, why};
}

std::string tag_of(const std::string& name) {
  const auto colon = name.rfind(':');
  return colon == name.npos || name.find('/', colon) != name.npos ? "" : name.substr(colon + 1);
}

/// One import on its way.
struct importer {
  image_store::state& store;
  pinning& pins;
  staging work;
  image_source source;
  std::string wanted;

  importer(image_store::state& target, pinning& held, const std::filesystem::path& path, const std::string& name)
      : store{target}, pins{held}, work{target}, source{path, work.get(), target.settings.limits}, wanted{name} {}

  imported run(const std::string& path) {
    const auto layout = source.text("oci-layout");
    const auto index = source.text("index.json");
    const auto docker = source.text("manifest.json");
    if (layout && index)
      return from_layout(*index, docker);
    if (docker)
      return from_docker(*docker);
    refuse(image_problem::bad_request, path + " is neither an OCI layout nor a docker-archive");
  }

  /// The blob out of the source into the store, verified.
  void take(const descriptor& blob) {
    pins.add(blob.digest);
    const auto* piece = source.find("blobs/sha256/" + std::string{digits_of(blob.digest)});
    if (piece == nullptr)
      refuse(image_problem::corrupt, "blob " + blob.digest + " is missing");
    if (piece->size != blob.size)
      refuse(image_problem::corrupt, "blob " + blob.digest + " has " + std::to_string(piece->size) + " bytes, not " +
                                         std::to_string(blob.size));
    take_as(*piece, blob.digest);
  }

  void take_as(const image_piece& piece, const std::string& digest) {
    if (piece.digest != digest)
      refuse(image_problem::corrupt, "blob " + digest + " is not what its digest says: it is " + piece.digest);
    pins.add(digest);
    store.publish(work.get(), piece.file, digest);
  }

  std::string take_text(const descriptor& blob) {
    if (blob.size > store.settings.limits.json_bytes_max)
      refuse(image_problem::hostile, "blob " + blob.digest + " is larger than the limit for JSON");
    take(blob);
    return store.blob_text(blob.digest);
  }

  bool suits(const descriptor& x) const {
    return (x.os.empty() || x.os == "linux") &&
           (x.architecture.empty() || x.architecture == store.settings.architecture);
  }

  /// The one entry meant: by name where there is one, for this host where it says.
  descriptor choose(const image_index& index, bool by_name) const {
    auto all = index.manifests;
    if (by_name && !wanted.empty()) {
      const auto is_named = [&](const descriptor& x) {
        const auto name = name_of(x);
        return !name.empty() && (name == wanted || name == tag_of(wanted));
      };
      if (std::any_of(all.begin(), all.end(), is_named))
        std::erase_if(all, [&](const descriptor& x) { return !is_named(x); });
    }
    if (all.empty())
      refuse(image_problem::corrupt, "the index names no image");
    std::erase_if(all, [&](const descriptor& x) { return !suits(x); });
    if (all.empty())
      refuse(image_problem::unsupported, "there is no image for linux/" + store.settings.architecture + " in it");
    auto names = std::string{};
    for (const auto& x : all)
      names += (names.empty() ? "" : ", ") + (name_of(x).empty() ? x.digest : name_of(x));
    if (std::any_of(all.begin(), all.end(), [&](const auto& x) { return x.digest != all.front().digest; }))
      refuse(image_problem::bad_request, "there are several images in it, name one of them: " + names);
    return all.front();
  }

  imported from_layout(const std::string& text, const std::optional<std::string>& docker) {
    auto chosen = choose(read_index(text, "index.json"), true);
    auto name = wanted.empty() ? name_of(chosen) : wanted;
    // What `docker save` writes names only the tag in the index, and everything here.
    if (wanted.empty() && docker)
      if (const auto images = read_docker_manifest(*docker, "manifest.json");
          images.size() == 1 && !images.front().names.empty())
        name = images.front().names.front();
    for (auto depth = 0; is_index(chosen); ++depth) {
      if (depth == index_depth_max)
        refuse(image_problem::hostile, "indexes point to indexes too often");
      chosen = choose(read_index(take_text(chosen), "blob " + chosen.digest), false);
    }
    const auto manifest = read_manifest(take_text(chosen), "blob " + chosen.digest);
    check_layers(manifest);
    const auto description = read_description(take_text(manifest.config), "blob " + manifest.config.digest);
    check_runnable(manifest, description, store.settings.architecture);
    for (const auto& layer : manifest.layers)
      take(layer);
    return {chosen.digest, name};
  }

  imported from_docker(const std::string& text) {
    const auto images = read_docker_manifest(text, "manifest.json");
    auto chosen = std::find_if(images.begin(), images.end(), [&](const docker_image& x) {
      return !wanted.empty() && std::find(x.names.begin(), x.names.end(), wanted) != x.names.end();
    });
    if (chosen == images.end() && images.size() != 1)
      refuse(image_problem::bad_request, "there are " + std::to_string(images.size()) + " images in it, name one");
    if (chosen == images.end())
      chosen = images.begin();
    auto manifest = image_manifest{.config = docker_config(chosen->config), .layers = {}};
    const auto description =
        read_description(store.blob_text(manifest.config.digest), "the configuration " + chosen->config);
    // Known before anything else is taken: how many there are is bounded.
    if (chosen->layers.size() != description.diff_ids.size() ||
        chosen->layers.size() > store.settings.limits.layers_max)
      refuse(image_problem::corrupt,
             "the configuration and manifest.json disagree on the layers, or there are too many");
    for (const auto& member : chosen->layers)
      manifest.layers.push_back(docker_layer(member));
    check_runnable(manifest, description, store.settings.architecture);
    const auto written = write_manifest(manifest);
    const auto digest = digest_of(written);
    pins.add(digest);
    store.publish_text(written, digest);
    return {digest, wanted.empty() && !chosen->names.empty() ? chosen->names.front() : wanted};
  }

  descriptor docker_config(const std::string& member) {
    const auto* piece = source.find(member);
    if (piece == nullptr)
      refuse(image_problem::corrupt, "the configuration " + member + " is missing");
    if (piece->size > store.settings.limits.json_bytes_max)
      refuse(image_problem::hostile, "the configuration " + member + " is larger than the limit for JSON");
    // "HEX.json" and "blobs/sha256/HEX" say what they hold.
    const auto said = "sha256:" + std::filesystem::path{member}.stem().string();
    const auto result = descriptor{.media_type = media::config, .digest = piece->digest, .size = piece->size};
    take_as(*piece, is_digest(said) ? said : piece->digest);
    return result;
  }

  /// What the digest of the layer should be stands in the configuration; unpacking compares it.
  descriptor docker_layer(const std::string& member) {
    const auto* piece = source.find(member);
    if (piece == nullptr)
      refuse(image_problem::corrupt, "the layer " + member + " is missing");
    const auto result = descriptor{.media_type = media_type_of(*piece), .digest = piece->digest, .size = piece->size};
    take_as(*piece, piece->digest);
    return result;
  }

  const char* media_type_of(const image_piece& piece) const {
    auto magic = std::array<unsigned char, 4>{};
    auto file = owned_fd{::openat(work.get(), piece.file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    // The same layer twice in one image: the first took it.
    if (!file)
      file = owned_fd{
          ::openat(store.blobs.get(), std::string{digits_of(piece.digest)}.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    if (::read(file.get(), magic.data(), magic.size()) != static_cast<ssize_t>(magic.size()))
      return media::layer;
    if (magic[0] == 0x1f && magic[1] == 0x8b)
      return media::layer_gzip;
    return magic == std::array<unsigned char, 4>{0x28, 0xb5, 0x2f, 0xfd} ? media::layer_zstd : media::layer;
  }
};

} // namespace

imported bring_in(image_store::state& store, pinning& pins, const std::filesystem::path& source,
                  const std::string& name) {
  return importer{store, pins, source, name}.run(source.string());
}

void check_layers(const image_manifest& manifest) {
  for (const auto& layer : manifest.layers)
    if (const auto& type = layer.media_type; !type.starts_with("application/vnd.oci.image.layer.") &&
                                             !type.starts_with("application/vnd.docker.image.rootfs."))
      refuse(image_problem::unsupported, "layer " + layer.digest + " is of a kind we do not read: " + type);
}

void check_runnable(const image_manifest& manifest, const image_description& description,
                    const std::string& architecture) {
  if (!description.os.empty() && description.os != "linux")
    refuse(image_problem::unsupported, "the image is for " + description.os + ", not for linux");
  if (!description.architecture.empty() && description.architecture != architecture)
    refuse(image_problem::unsupported,
           "the image is for " + description.architecture + ", this host is " + architecture);
  if (manifest.layers.size() != description.diff_ids.size())
    refuse(image_problem::corrupt,
           "configuration " + manifest.config.digest + " and the manifest disagree on the layers");
}

} // namespace novacron::workload
