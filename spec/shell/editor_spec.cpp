#include "actors/shell/editor.hpp"

#include "actors/host/files.hpp"
#include "spec/full_disk.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdlib>
#include <fstream>

using namespace novacron;
namespace fs = std::filesystem;

namespace {

/// A shell that is left at once.
int come_and_go(const fs::path& history) {
  return spec::in_child([&] {
    const auto input = shell::editor{history, [] { return std::string{}; }, [](const auto&) { return shell::editor::offer{}; }};
    return 0;
  });
}

} // namespace

SCENARIO("the history of a shell outlives whatever happens at its end") {
  auto pattern = (fs::temp_directory_path() / "novacron-history-XXXXXX").string();
  const auto home = fs::path{::mkdtemp(pattern.data())};
  const auto file = home / "history";
  const auto typed = std::string{"_HiStOrY_V2_\nnode\\040list\n"};
  std::ofstream{file} << typed;
  fs::permissions(file, fs::perms{0644});
  THEN("it is kept, and for nobody else to read") {
    CHECK(come_and_go(file) == 0);
    CHECK(host::read_file(file) == typed);
    CHECK(fs::status(file).permissions() == fs::perms{0600});
    CHECK(std::distance(fs::directory_iterator{home}, {}) == 1);
  }
  THEN("a full disk leaves it as it was") {
    CHECK(spec::on_full_disk([&] { return come_and_go(file); }) == 0);
    CHECK(host::read_file(file) == typed);
    CHECK(std::distance(fs::directory_iterator{home}, {}) == 1);
  }
  THEN("it stays where its owner has put it") {
    fs::create_symlink(file, home / "link");
    CHECK(come_and_go(home / "link") == 0);
    CHECK(fs::is_symlink(home / "link"));
    CHECK(fs::status(file).permissions() == fs::perms{0600});
  }
  THEN("a device is left alone") {
    // One of our own: libedit would take the machine's away from all others.
    const auto device = home / "null";
    if (::mknod(device.c_str(), S_IFCHR, ::makedev(1, 3)) == 0) {
      fs::permissions(device, fs::perms{0666});
      fs::create_symlink(device, home / "none");
      CHECK(come_and_go(home / "none") == 0);
      CHECK(fs::is_symlink(home / "none"));
      CHECK(fs::is_character_file(device));
      CHECK(fs::status(device).permissions() == fs::perms{0666});
    }
  }
  fs::remove_all(home);
}
