#include "actors/workload/image_access.hpp"

#include "actors/host/log.hpp"
#include "actors/workload/image_error.hpp"

#include <exception>

namespace novacron::workload {
namespace {

fault fault_of(image_problem x) {
  switch (x) {
    case image_problem::not_found: return fault::not_found;
    case image_problem::storage: return fault::storage;
    case image_problem::unsupported: return fault::unsupported;
    default: return fault::bad_request;
  }
}

} // namespace

image_access access_to(std::shared_ptr<image_store> store) {
  return {.acquire = [store](const std::string& image, const std::string& holder) -> outcome<image_root> {
            try {
              auto use = store->acquire(image, holder);
              return image_root{use.rootfs, use.config};
            } catch (const image_error& problem) {
              return trouble{fault_of(problem.problem), problem.what()};
            }
          },
          .release =
              [store](const std::string& holder) {
                try {
                  store->release(holder);
                } catch (const std::exception& problem) {
                  // On a disk that fails, its image stays; the next start of the node gives it back.
                  host::log_warn("images", "cannot give back what {} held: {}", holder, problem.what());
                }
              },
          .holders = [store] { return store->holders(); }};
}

image_access access_to(std::filesystem::path root) {
  return {.acquire = [root](const std::string&, const std::string&) -> outcome<image_root> {
            return image_root{.root = root};
          },
          .release = [](const std::string&) {},
          .holders = [] { return std::vector<std::string>{}; }};
}

} // namespace novacron::workload
