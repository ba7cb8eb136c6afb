#include "actors/state/disk_room.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace novacron::ledger;
namespace fs = std::filesystem;

SCENARIO("what the ledger puts aside for a full disk is whole, whatever a kill has left of it") {
  auto pattern = (fs::temp_directory_path() / "novacron-spec-XXXXXX").string();
  const auto top = fs::path{::mkdtemp(pattern.data())};
  const auto room = disk_room{top, 0, 0};
  const auto whole = std::uintmax_t{1} << 20;
  SUBCASE("nothing") {}
  SUBCASE("an empty file") {
    std::ofstream{top / "reserve"};
  }
  SUBCASE("half a file") {
    std::ofstream{top / "reserve"} << "half";
  }
  room.put_aside();
  CHECK(fs::file_size(top / "reserve") == whole);
  room.put_aside();
  CHECK(fs::file_size(top / "reserve") == whole);
  room.use_up();
  CHECK_FALSE(fs::exists(top / "reserve"));
  fs::remove_all(top);
}
