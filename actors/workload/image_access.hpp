#pragma once

/// Where instances get their images: from the node's store, or from one directory.

#include "actors/workload/driver.hpp"
#include "actors/workload/image_store.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace novacron::workload {

/// Called on worker threads; may block.
struct image_access {
  /// The unpacked image of that name or digest, kept for `holder` (an instance).
  std::function<outcome<image_root>(const std::string& image, const std::string& holder)> acquire;
  /// The same for an image that `acquire` does not find: gets it from elsewhere, which may take as long as a network
  /// does. Null: from nowhere.
  std::function<outcome<image_root>(const std::string& image, const std::string& holder)> fetch = nullptr;
  std::function<void(const std::string& holder)> release;
  std::function<std::vector<std::string>()> holders;
};
image_access access_to(std::shared_ptr<image_store> store);
/// One directory for every name, for benches and specs.
image_access access_to(std::filesystem::path root);

} // namespace novacron::workload
