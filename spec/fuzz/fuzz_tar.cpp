/// Hostile layers: nothing may appear or change outside of the root they are unpacked into.
///
/// Needs: actors/workload/image_layer.cpp image_tree.cpp image_oci.cpp image_digest.cpp; -larchive -lcrypto
///
/// An input that starts with an even byte is a layer as it is (plain or compressed). One that starts with an odd byte
/// is a little program that makes layers of entries with right checksums, which chance alone would never find.

#include "actors/workload/image_layer.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

using namespace novacron::workload;
namespace fs = std::filesystem;

namespace {

constexpr auto secret = "untouched";

struct cage {
  fs::path path;
  fs::path root;

  cage() {
    auto pattern = (fs::temp_directory_path() / "novacron-fuzz-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
    root = path / "root";
    std::ofstream{path / "outside"} << secret;
  }
  ~cage() { fs::remove_all(path); }

  /// What is next to the root is what was there before.
  void check() const {
    auto count = 0;
    for (const auto& x : fs::directory_iterator{path})
      count += x.path() == root || x.path() == path / "outside" ? 1 : 100;
    auto text = std::string{};
    std::ifstream{path / "outside"} >> text;
    struct stat status {};
    if (count != 2 || text != secret || ::stat((path / "outside").c_str(), &status) != 0 || status.st_nlink != 1)
      std::abort();
  }
};

/// Takes the input apart.
struct tape {
  std::string_view rest;
  unsigned next() {
    if (rest.empty())
      return 0;
    const auto byte = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    return byte;
  }
};

std::string path_from(tape& input) {
  constexpr auto parts =
      std::array{"a",      "b",    "c",   "..", ".",         "", "outside", "root", ".wh.a", ".wh.b", ".wh..wh..opq",
                 ".wh...", ".wh.", "a/b", "/",  "../outside"};
  auto path = std::string{};
  for (auto count = 1 + input.next() % 3; count > 0; --count)
    path += std::string{path.empty() ? "" : "/"} + parts[input.next() % parts.size()];
  return path.substr(0, 99);
}

void put_octal(std::string& header, std::size_t at, std::size_t width, unsigned long long value) {
  auto text = std::array<char, 32>{};
  std::snprintf(text.data(), text.size(), "%0*llo", static_cast<int>(width - 1), value);
  header.replace(at, width - 1, text.data(), width - 1);
}

std::string entry_from(tape& input) {
  constexpr auto types = std::string_view{"0055512217346xgLK"};
  auto header = std::string(512, '\0');
  const auto type = types[input.next() % types.size()];
  const auto name = path_from(input);
  const auto link = path_from(input);
  const auto content = std::string(type == '0' ? input.next() % 40 : 0, 'x');
  header.replace(0, name.size(), name);
  put_octal(header, 100, 8, input.next() * 16);
  put_octal(header, 108, 8, input.next());
  put_octal(header, 116, 8, 0);
  put_octal(header, 124, 12, content.size());
  put_octal(header, 136, 12, 1);
  header[156] = type;
  header.replace(157, link.size(), link);
  header.replace(257, 8, std::string{"ustar\00000", 8});
  header.replace(148, 8, "        ");
  auto sum = 0u;
  for (const auto c : header)
    sum += static_cast<unsigned char>(c);
  put_octal(header, 148, 7, sum);
  header[154] = '\0';
  return header + content + std::string(content.empty() ? 0 : 512 - content.size(), '\0');
}

std::vector<std::string> layers_from(tape input) {
  auto layers = std::vector<std::string>(1);
  while (!input.rest.empty() && layers.size() < 4) {
    if (input.next() % 8 == 0)
      layers.emplace_back();
    else
      layers.back() += entry_from(input);
  }
  return layers;
}

void apply(layer_unpacker& unpacker, const std::string& layer) {
  const auto file = owned_fd{::memfd_create("layer", MFD_CLOEXEC)};
  write_all(file.get(), layer, "a layer");
  ::lseek(file.get(), 0, SEEK_SET);
  unpacker.apply(file.get(), "fuzz");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const auto place = cage{};
  if (size == 0)
    return 0;
  const auto text = std::string_view{reinterpret_cast<const char*>(bytes) + 1, size - 1};
  const auto layers = bytes[0] % 2 == 0 ? std::vector{std::string{text}} : layers_from({text});
  auto limits = image_limits{};
  limits.unpacked_bytes_max = 1u << 20;
  limits.entries_max = 200;
  fs::create_directory(place.root);
  try {
    auto unpacker = layer_unpacker{place.root, limits};
    for (const auto& layer : layers)
      apply(unpacker, layer);
    unpacker.finish();
  } catch (const image_error& problem) {
    // A refusal must be one of the image, not of our disk: that would be a name that slipped through.
    if (problem.problem == image_problem::storage) {
      std::fprintf(stderr, "%s\n", problem.what());
      std::abort();
    }
  }
  place.check();
  const auto parent = open_directory(place.path);
  remove_tree(parent.get(), "root");
  return 0;
}
