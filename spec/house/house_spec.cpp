#include "spec/house/checker.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

using namespace novacron::spec;
namespace fs = std::filesystem;

namespace {

std::vector<house_file> read_house() {
  constexpr auto known = std::array{".cpp", ".hpp", ".cu", ".cuh", ".proto", ".build", ".txt", ".md", ".toml", ".in", ".py",
                                    ".json", ".yml", ".service", ""};
  const auto root = fs::path{HOUSE_ROOT};
  auto files = std::vector<house_file>{};
  for (auto i = fs::recursive_directory_iterator{root}; i != fs::recursive_directory_iterator{}; ++i) {
    const auto path = fs::relative(i->path(), root).string();
    if (i->is_directory()
        && (path == ".git" || path.starts_with("build") || path == "spec/fuzz/corpus" || path == "shared" || path == ".cache"))
      i.disable_recursion_pending();
    if (!i->is_regular_file() || path == "LICENSE" || path == ".git"
        || std::ranges::find(known, i->path().extension().string()) == known.end())
      continue;
    auto in = std::ifstream{i->path(), std::ios::binary};
    files.push_back({path, std::string{std::istreambuf_iterator<char>{in}, {}}});
  }
  return files;
}

/// A house in which all is well, for planting what is not.
std::vector<house_file> small_house() {
  return {
    {"messages/meson.build", "sources = files(\n  'language.cpp',\n)\n"},
    {"messages/lamp.hpp", "#pragma once\n\n/// The door of the lamp.\n\n#include <caf/all.hpp>\n"},
    {"messages/language.cpp", "#include \"messages/lamp.hpp\"\n#include \"messages/wire/lamp.pb.h\"\n"},
    {"messages/wire/meson.build", "wire_names = [\n  'lamp',\n]\n"},
    {"messages/wire/lamp.proto", "syntax = \"proto3\";\n"},
    {"actors/host/meson.build", "actor_sources += files(\n  'clock.cpp',\n)\n"},
    {"actors/host/clock.hpp", "#pragma once\n\n/// Says what time it is.\n"},
    {"actors/host/clock.cpp", "#include \"actors/host/clock.hpp\"\n#include <caf/all.hpp>\n"},
    {"actors/state/meson.build", "actor_sources += files(\n  'book.cpp',\n  'book_actor.cpp',\n)\n"},
    {"actors/state/book.hpp", "#pragma once\n\n/// Remembers lamps.\n"},
    {"actors/state/book.cpp", "#include \"actors/state/book.hpp\"\n#include \"actors/host/clock.hpp\"\n#include <vector>\n"},
    {"actors/state/book_actor.cpp", "#include \"actors/state/book.hpp\"\n#include <caf/all.hpp>\n"},
    {"actors/node/meson.build", "actor_sources += files(\n  'main.cpp',\n)\n"},
    {"actors/node/main.cpp", "#include \"actors/state/book.hpp\"\n#include <caf/all.hpp>\n"},
    {"spec/state/meson.build", "spec_sources += files(\n  'book_spec.cpp',\n)\n"},
    {"spec/state/book_spec.cpp", "#include \"actors/state/book.hpp\"\n#include <caf/all.hpp>\n"},
    {"spec/fuzz/meson.build", "fuzz_names = [\n  'lamp',\n]\n"},
    {"spec/fuzz/fuzz_lamp.cpp", "#include \"messages/lamp.hpp\"\n"},
    {"README.md", "A lamp.\n"},
  };
}

/// What is found once `text` was added to the end of the file at `path` (a new one if there is none).
std::vector<std::string> planted(const std::string& path, const std::string& text) {
  auto files = small_house();
  const auto file = std::ranges::find(files, path, &house_file::path);
  if (file != files.end())
    file->text += text;
  else
    files.push_back({path, text});
  return house_faults(files);
}

void caught(const std::string& path, const std::string& text, const std::string& words) {
  const auto found = planted(path, text);
  CAPTURE(path);
  CAPTURE(text.substr(0, 80));
  REQUIRE(found.size() == 1);
  CHECK(found[0] == words);
}

/// A word that must not stand in this file as a whole.
std::string halves(const char* a, const char* b) { return std::string{a} + b; }

} // namespace

SCENARIO("our house is in order") {
  const auto files = read_house();
  REQUIRE(files.size() > 50);
  for (const auto& x : house_faults(files))
    FAIL_CHECK(x);
}

SCENARIO("a house in which all is well has nothing to report") {
  for (const auto& x : house_faults(small_house()))
    FAIL_CHECK(x);
}

SCENARIO("a room that reaches into another is caught") {
  caught("actors/state/book.cpp", "#include \"actors/node/main.cpp\"\n",
         "actors/state/book.cpp:4: actors/state may not include actors/node; talk to it through messages/");
  caught("actors/host/clock.cpp", "#include \"actors/state/book.hpp\"\n",
         "actors/host/clock.cpp:3: actors/host may not include actors/state; talk to it through messages/");
  caught("messages/language.cpp", "  #  include \"actors/host/clock.hpp\"\n",
         "messages/language.cpp:3: messages may not include actors/host; talk to it through messages/");
  caught("actors/state/book.cpp", "#include \"spec/fuzz/fuzz_lamp.cpp\"\n",
         "actors/state/book.cpp:4: actors/state may not include spec; talk to it through messages/");
  CHECK(planted("actors/node/main.cpp", "#include \"actors/host/clock.hpp\"\n").empty());
}

SCENARIO("kernels know no actors and no messages") {
  auto files = small_house();
  files.push_back({"kernels/meson.build", "kernel_sources = files(\n  'scan.cpp',\n)\n"});
  files.push_back({"kernels/scan.cpp", "#include \"messages/lamp.hpp\"\n"});
  CHECK(house_faults(files)
        == std::vector<std::string>{"kernels/scan.cpp:1: kernels may not include messages; talk to it through messages/"});
}

SCENARIO("a decision that knows CAF is caught") {
  caught("actors/state/book.hpp", "#include <caf/actor.hpp>\n",
         "actors/state/book.hpp:4: only *_actor files, host, node and simulation include CAF: <caf/actor.hpp>");
  CHECK(planted("actors/state/book_actor.cpp", "#include <caf/io/all.hpp>\n").empty());
}

SCENARIO("an include that is not from the root, or of no file, is caught") {
  caught("actors/state/book.cpp", "#include \"book.hpp\"\n",
         "actors/state/book.cpp:4: \"book.hpp\" is no file of the house; include it by its path from the root");
  caught("actors/state/book.cpp", "#include \"../host/clock.hpp\"\n",
         "actors/state/book.cpp:4: \"../host/clock.hpp\" is no file of the house; include it by its path from the root");
}

SCENARIO("a file that is too long is caught, on both sides of the limit") {
  auto lines = std::string{};
  for (auto i = 0; i < 597; ++i)
    lines += ";\n";
  CHECK(planted("actors/state/book.cpp", lines + "\n  // Why.\n").empty());
  caught("actors/state/book.cpp", lines + ";\n", "actors/state/book.cpp: 601 lines of code; more than 600 want a second file");
}

SCENARIO("what is not finished is caught, in every kind of file") {
  for (const auto& word : {halves("TO", "DO"), halves("FIX", "ME"), halves("XX", "X"), halves("HA", "CK")}) {
    caught("README.md", "here: " + word + " later\n", "README.md:2: " + word + ": finish it, or leave it out");
    CHECK(planted("README.md", "file." + word + "X\n").empty());
  }
}

SCENARIO("paths of somebody's machine are caught") {
  const auto home = halves("/ho", "me/");
  caught("README.md", "cd " + home + "anna/lamps\n", "README.md:2: " + home + "a: a path of somebody's machine");
  CHECK(planted("README.md", "cd /tmp/lamps\n").empty());
}

SCENARIO("a source that no meson.build lists is caught") {
  caught("actors/state/shelf.cpp", "\n", "actors/state/shelf.cpp: no meson.build lists it, so nobody builds it");
  caught("messages/wire/shelf.proto", "\n", "messages/wire/shelf.proto: no meson.build lists it, so nobody builds it");
  caught("spec/fuzz/fuzz_shelf.cpp", "\n", "spec/fuzz/fuzz_shelf.cpp: no meson.build lists it, so nobody builds it");
}

SCENARIO("a list out of order is caught") {
  auto files = small_house();
  auto& list = *std::ranges::find(files, "actors/state/meson.build", &house_file::path);
  list.text = "actor_sources += files(\n  'book_actor.cpp',\n  'book.cpp',\n)\n";
  CHECK(house_faults(files)
        == std::vector<std::string>{"actors/state/meson.build:3: book.cpp stands after book_actor.cpp; lists are sorted, and hold a name once"});
  list.text = "actor_sources += files(\n  'book.cpp',\n  'book.cpp',\n  'book_actor.cpp',\n)\n";
  CHECK(house_faults(files)
        == std::vector<std::string>{"actors/state/meson.build:3: book.cpp stands after book.cpp; lists are sorted, and hold a name once"});
}

SCENARIO("a header without its guard or its sentence is caught") {
  caught("actors/state/page.hpp", "/// A page.\n", "actors/state/page.hpp:1: a header begins with #pragma once");
  caught("actors/state/page.hpp", "#pragma once\n",
         "actors/state/page.hpp:1: a header begins with one sentence, ///, that says what it is for");
}
