#pragma once

/// The JSON of images, read with suspicion and written the same way every time.

#include "actors/workload/image_config.hpp"
#include "actors/workload/image_error.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::workload {

/// Points to a blob.
struct descriptor {
  std::string media_type;
  std::string digest;
  std::uint64_t size = 0;
  /// Of an index entry; empty when it does not say.
  std::string os;
  std::string architecture;
  std::map<std::string, std::string> annotations;
  bool operator==(const descriptor&) const = default;
};

/// The annotation that names an entry of an index.
constexpr auto ref_name = "org.opencontainers.image.ref.name";

/// index.json, or an index blob.
struct image_index {
  std::vector<descriptor> manifests;
};

struct image_manifest {
  descriptor config;
  std::vector<descriptor> layers;
};

/// The configuration blob.
struct image_description {
  std::string os;
  std::string architecture;
  image_config config;
  /// The digests of the layers once decompressed.
  std::vector<std::string> diff_ids;
};

/// One entry of a docker-archive's manifest.json.
struct docker_image {
  std::string config;
  std::vector<std::string> names;
  std::vector<std::string> layers;
};

/// Each throws image_error{corrupt} that names `where` and what is wrong. They accept at most 32 levels and 200,000
/// values, and allocate in proportion to the text.
image_index read_index(std::string_view json, const std::string& where);
image_manifest read_manifest(std::string_view json, const std::string& where);
image_description read_description(std::string_view json, const std::string& where);
std::vector<docker_image> read_docker_manifest(std::string_view json, const std::string& where);

bool is_index(const descriptor& x);
/// The annotation `ref_name`, or empty.
std::string name_of(const descriptor& x);

/// Keys are sorted: equal content is equal text, and so has one digest.
std::string write_index(const image_index& x);
std::string write_manifest(const image_manifest& x);
std::string write_description(const image_description& x);

/// The chain identity of layers applied in this order, as OCI defines it.
std::string chain_of(const std::vector<std::string>& diff_ids);

/// Whether it can be the name of an image: 1 to 255 of [A-Za-z0-9._:/@+-], a letter or digit first.
bool is_image_name(std::string_view text);

/// How OCI calls the processors of this host.
std::string host_architecture();

namespace media {
constexpr auto index = "application/vnd.oci.image.index.v1+json";
constexpr auto manifest = "application/vnd.oci.image.manifest.v1+json";
constexpr auto config = "application/vnd.oci.image.config.v1+json";
constexpr auto layer = "application/vnd.oci.image.layer.v1.tar";
constexpr auto layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr auto layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
} // namespace media

} // namespace novacron::workload
