#include "actors/workload/machine_files.hpp"
#include "actors/workload/machine_images.hpp"

#include "actors/host/files.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

using namespace novacron;
using namespace novacron::workload;
namespace fs = std::filesystem;

namespace {

struct scratch {
  fs::path top;
  scratch() {
    auto pattern = (fs::temp_directory_path() / "novacron-spec-XXXXXX").string();
    top = ::mkdtemp(pattern.data());
  }
  ~scratch() { fs::remove_all(top); }
};

/// What an archive of any format holds, by an independent reader.
std::map<std::string, std::string> content(const std::string& bytes) {
  auto found = std::map<std::string, std::string>{};
  auto* in = archive_read_new();
  archive_read_support_format_all(in);
  REQUIRE(archive_read_open_memory(in, bytes.data(), bytes.size()) == ARCHIVE_OK);
  for (archive_entry* entry = nullptr; archive_read_next_header(in, &entry) == ARCHIVE_OK;) {
    auto text = std::string(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
    if (archive_entry_filetype(entry) == AE_IFREG)
      REQUIRE(archive_read_data(in, text.data(), text.size()) == static_cast<la_ssize_t>(text.size()));
    found[archive_entry_pathname(entry)] = text;
  }
  archive_read_free(in);
  return found;
}

} // namespace

SCENARIO("the first files of a guest can be unpacked by anybody") {
  const auto seen = content(initial_archive({{"dev/", ""}, {"init", "program"}, {"modules/a.ko", std::string(1001, 'x')}}));
  CHECK(seen.size() == 3);
  CHECK(seen.at("init") == "program");
  CHECK(seen.at("modules/a.ko") == std::string(1001, 'x'));
  CHECK(seen.contains("dev"));
}

SCENARIO("an image is a whole disk if there is one file in its directory disk") {
  const auto place = scratch{};
  CHECK_FALSE(whole_disk_in(place.top));
  fs::create_directories(place.top / "disk");
  CHECK_FALSE(whole_disk_in(place.top));
  std::ofstream{place.top / "disk/system.img"} << "boots";
  CHECK(whole_disk_in(place.top)->format == machine_disk::layout::raw);
  std::ofstream{place.top / "disk/system.img"} << "QFI\xfb rest";
  CHECK(whole_disk_in(place.top)->format == machine_disk::layout::layered);
  std::ofstream{place.top / "disk/other"} << "x";
  CHECK_FALSE(whole_disk_in(place.top));
  fs::remove(place.top / "disk/other");
  fs::remove(place.top / "disk/system.img");
  fs::create_symlink("/etc/passwd", place.top / "disk/system.img");
  CHECK_FALSE(whole_disk_in(place.top));
}

SCENARIO("cloud-init finds its files on a disk called cidata") {
  const auto place = scratch{};
  make_seed({{"meta-data", "instance-id: x\n"}, {"user-data", "#cloud-config\n"}}, place.top / "seed.iso");
  const auto bytes = host::read_file(place.top / "seed.iso").value();
  const auto seen = content(bytes);
  CHECK(seen.at("meta-data") == "instance-id: x\n");
  CHECK(seen.at("user-data") == "#cloud-config\n");
  // The primary volume descriptor is in sector 16, its label at byte 40.
  // ISO 9660 knows capitals only, and cloud-init takes both.
  CHECK(bytes.substr(16 * 2048 + 40, 6) == "CIDATA");
}

SCENARIO("a disk that was being made when the node was killed is gone with its next start") {
  const auto place = scratch{};
  const auto images = place.top / "machine-images";
  fs::create_directories(images);
  std::ofstream{images / "aa-1.ext4"} << "whole";
  std::ofstream{images / "bb-1.ext4.part"} << "half";
  static_cast<void>(machine_images{place.top, place.top});
  CHECK(fs::exists(images / "aa-1.ext4"));
  CHECK_FALSE(fs::exists(images / "bb-1.ext4.part"));
}
