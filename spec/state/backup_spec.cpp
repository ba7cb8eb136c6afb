#include "actors/state/backup.hpp"

#include "actors/host/files.hpp"
#include "spec/full_disk.hpp"
#include "spec/sync_witness.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <vector>

using namespace novacron;

SCENARIO("a backup that is acknowledged is on disk, and whole") {
  auto pattern = (std::filesystem::temp_directory_path() / "novacron-backup-XXXXXX").string();
  const auto home = std::filesystem::path{::mkdtemp(pattern.data())};
  const auto file = home / "backup";
  const auto snapshot = ledger::records{}.snapshot();
  auto settled = std::vector<std::filesystem::path>{};
  {
    const auto witness = spec::sync_witness{[&](const auto& path) { settled.push_back(path); }};
    CHECK(ledger::write_backup_now(file, snapshot).empty());
  }
  REQUIRE(settled.size() == 2);
  CHECK(settled[0].parent_path() == home);
  CHECK(settled[1] == home);
  CHECK(ledger::read_backup_now(file).problem.empty());
  THEN("a full disk leaves the one before") {
    CHECK(spec::on_full_disk([&] { return ledger::write_backup_now(file, snapshot + "more").empty() ? 1 : 0; }) == 0);
    CHECK(host::read_file(file) == snapshot);
    CHECK(std::distance(std::filesystem::directory_iterator{home}, {}) == 1);
  }
  std::filesystem::remove_all(home);
}
