#pragma once

/// How an image is pulled: which peer is asked for what next, and when it is given up.

#include "actors/workload/image_oci.hpp"

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

namespace novacron::workload {

/// One pull of one name. The caller does what a step says and tells how it went; nothing here blocks or asks.
class image_pull {
public:
  /// Ask this peer for the manifest.
  struct look_up {
    std::size_t peer = 0;
  };
  /// Get these blobs from this peer (those that are here already cost nothing), all of them.
  struct fetch {
    std::size_t peer = 0;
    std::vector<descriptor> blobs;
  };
  /// Everything is here: give the name to the image.
  struct admit {
    std::string manifest;
    std::string name;
  };
  /// No peer is left. `missing` when all of them answered that they do not have it.
  struct give_up {
    bool missing = false;
    std::string why;
  };
  using step = std::variant<look_up, fetch, admit, give_up>;

  image_pull(std::string name, std::size_t peers);

  step begin();
  /// The peer's manifest, and the name it has there.
  step found(std::string manifest, const std::string& name_there);
  step fetched();
  /// The peer does not have it, or could not give it: the next one is asked from the start, and blobs that came stay.
  step failed(bool missing, const std::string& why);

private:
  step ask();

  std::string name_;
  std::size_t peers_;
  std::size_t peer_ = 0;
  bool all_missing_ = true;
  std::string why_;
  std::string manifest_;
  std::string target_;
};

} // namespace novacron::workload
