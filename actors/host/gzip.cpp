#include "actors/host/gzip.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <zlib.h>

namespace novacron::host {

std::string read_unpacked(const std::filesystem::path& path, std::size_t bytes_max) {
  // zlib hands through what is not packed.
  const auto file = std::unique_ptr<gzFile_s, int (*)(gzFile)>{::gzopen(path.c_str(), "rb"), ::gzclose};
  if (!file)
    throw std::runtime_error{"cannot read " + path.string()};
  auto text = std::string{};
  auto piece = std::array<char, 65536>{};
  for (;;) {
    const auto got = ::gzread(file.get(), piece.data(), static_cast<unsigned>(piece.size()));
    if (got < 0)
      throw std::runtime_error{path.string() + " is damaged"};
    if (got == 0)
      break;
    text.append(piece.data(), static_cast<std::size_t>(got));
    if (text.size() > bytes_max)
      throw std::runtime_error{path.string() + " is longer than " + std::to_string(bytes_max) + " bytes"};
  }
  // A file that ends in the middle of its packed stream reads like its end.
  auto error = Z_OK;
  ::gzerror(file.get(), &error);
  if (error != Z_OK && error != Z_STREAM_END)
    throw std::runtime_error{path.string() + " is cut off"};
  return text;
}

} // namespace novacron::host
