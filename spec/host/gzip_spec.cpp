#include "actors/host/gzip.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <zlib.h>

using namespace novacron;

SCENARIO("a packed file reads like the plain one, and a damaged one is an error") {
  const auto place = std::filesystem::temp_directory_path() / ("gzip-spec-" + std::to_string(::getpid()));
  std::filesystem::create_directories(place);
  auto text = std::string(200000, 'x');
  text += "end\n";
  std::ofstream{place / "plain"} << text;
  const auto file = ::gzopen((place / "packed").c_str(), "wb");
  ::gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  ::gzclose(file);
  CHECK(host::read_unpacked(place / "plain") == text);
  CHECK(host::read_unpacked(place / "packed") == text);
  CHECK_THROWS(host::read_unpacked(place / "missing"));
  CHECK_THROWS(host::read_unpacked(place / "packed", 1000));
  std::filesystem::resize_file(place / "packed", std::filesystem::file_size(place / "packed") - 12);
  CHECK_THROWS(host::read_unpacked(place / "packed"));
  std::filesystem::remove_all(place);
}
