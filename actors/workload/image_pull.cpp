#include "actors/workload/image_pull.hpp"

#include "actors/workload/image_digest.hpp"

#include <algorithm>

namespace novacron::workload {
namespace {

/// The digest that a name demands, empty when it demands none.
std::string demanded(const std::string& name) {
  if (is_digest(name))
    return name;
  const auto at = name.rfind('@');
  return at != name.npos && is_digest(name.substr(at + 1)) ? name.substr(at + 1) : "";
}

std::vector<descriptor> blobs_of(const image_manifest& manifest) {
  auto all = std::vector{manifest.config};
  for (const auto& layer : manifest.layers)
    if (std::none_of(all.begin(), all.end(), [&](const auto& x) { return x.digest == layer.digest; }))
      all.push_back(layer);
  return all;
}

} // namespace

image_pull::image_pull(std::string name, std::size_t peers) : name_{std::move(name)}, peers_{peers} {}

image_pull::step image_pull::begin() {
  return ask();
}

image_pull::step image_pull::ask() {
  if (peer_ < peers_)
    return look_up{peer_};
  if (peers_ == 0)
    return give_up{true, "there is no image '" + name_ + "' here, and no node upstream to pull it from"};
  return give_up{all_missing_, "cannot pull image '" + name_ + "': " + why_};
}

image_pull::step image_pull::found(std::string manifest, const std::string& name_there) {
  const auto digest = digest_of(manifest);
  if (const auto wanted = demanded(name_); !wanted.empty() && wanted != digest)
    return failed(false, "the manifest that came is " + digest + ", not " + wanted);
  manifest_ = std::move(manifest);
  // An image that is asked for by digest alone must not take a name that means another one here.
  target_ =
      is_digest(name_) ? (is_image_name(name_there) ? name_there.substr(0, 180) : "pulled") + "@" + digest : name_;
  try {
    return fetch{peer_, blobs_of(read_manifest(manifest_, "manifest " + digest))};
  } catch (const image_error& problem) {
    return failed(false, problem.what());
  }
}

image_pull::step image_pull::fetched() {
  return admit{manifest_, target_};
}

image_pull::step image_pull::failed(bool missing, const std::string& why) {
  all_missing_ = all_missing_ && missing;
  why_ = why;
  ++peer_;
  return ask();
}

} // namespace novacron::workload
