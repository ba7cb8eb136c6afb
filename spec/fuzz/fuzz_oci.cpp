/// Hostile JSON of images: index, manifest, configuration, docker-archive's manifest.
///
/// Needs: actors/workload/image_oci.cpp image_digest.cpp image_config.cpp; -lcrypto

#include "actors/workload/image_oci.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

using namespace novacron::workload;

namespace {

/// What was accepted is written, read and written again: the same text.
template <class Read, class Write>
void check(std::string_view text, Read read, Write write) {
  auto once = std::string{};
  try {
    once = write(read(text, "fuzz"));
  } catch (const image_error&) {
    return;
  }
  if (write(read(once, "fuzz")) != once)
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = std::string_view{reinterpret_cast<const char*>(bytes), size};
  check(text, read_index, write_index);
  check(text, read_manifest, write_manifest);
  check(text, read_description, write_description);
  try {
    read_docker_manifest(text, "fuzz");
  } catch (const image_error&) {
    return 0;
  }
  try {
    const auto config = read_description(text, "fuzz").config;
    if (arguments_of(config).env.empty() || stop_signal_of(config) <= 0)
      std::abort();
  } catch (const image_error&) {
    return 0;
  }
  return 0;
}
