#include "actors/host/files.hpp"
#include "actors/workload/checkpoint_files.hpp"
#include "actors/workload/machine_checkpoints.hpp"
#include "spec/workload/temporary.hpp"

#include <doctest/doctest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace novacron;
using namespace novacron::workload;
namespace fs = std::filesystem;

namespace {

/// A whole checkpoint called "one" below `top`.
checkpoint_facts make_one(const fs::path& top, const std::string& name = "one") {
  const auto place = top / name;
  fs::create_directories(place);
  std::ofstream{place / "state"} << std::string(3'000'000, 'm');
  std::ofstream{place / "root.disk"} << "written";
  std::ofstream{place / "base.disk"} << "image";
  auto x = checkpoint_facts{.ground = {.tenant = "", .monitor = "q", .processor = "p", .guest = "g"}, .shape = "s"};
  x.shown.set_name(name);
  x.shown.set_instance("web.0");
  x.shown.mutable_spec()->set_name("web");
  x.shown.mutable_spec()->set_kind(wire::WORKLOAD_KIND_SANDBOX);
  write_checkpoint(place, x);
  return x;
}

std::string content(const fs::path& file) {
  return host::read_file(file).value_or("(none)");
}

checkpoint_host host_of(const checkpoint_facts& x) {
  return {x.ground, x.stamp_khz};
}

} // namespace

SCENARIO("what is written down can be read again, and damage is found") {
  const auto here = spec::temporary{};
  const auto made = make_one(here.path());
  const auto place = here.path() / "one";
  const auto seen = read_checkpoint(place);
  REQUIRE(seen);
  CHECK(seen->shown.SerializeAsString() == made.shown.SerializeAsString());
  CHECK(seen->ground.monitor == "q");
  CHECK(seen->shape == "s");
  CHECK(made.shown.size_bytes() >= 3'000'000);
  CHECK(find_damage(place, *seen).empty());
  SUBCASE("of the last byte of its memory") {
    const auto file = fs::path{place / "state"};
    std::fstream{file, std::ios::in | std::ios::out}.seekp(2'999'999).put('n');
    CHECK(find_damage(place, *seen).find("its memory is not") != std::string::npos);
  }
  SUBCASE("of its disk") {
    std::ofstream{place / "root.disk"} << "writtem";
    CHECK(find_damage(place, *seen).find("its disk is not") != std::string::npos);
  }
  SUBCASE("of a file that is gone") {
    fs::remove(place / "state");
    CHECK(find_damage(place, *seen).find("cannot open") != std::string::npos);
  }
  SUBCASE("of what it says about itself") {
    for (const auto* garbage : {"", "{", "[]", "{\"shown\":\"zz\"}", "\xff\x00\x01"}) {
      std::ofstream{place / "checkpoint"} << garbage;
      CHECK_FALSE(read_checkpoint(place));
    }
  }
}

SCENARIO("a copy of a disk has its content and its holes") {
  const auto here = spec::temporary{};
  const auto from = here.path() / "from";
  std::ofstream{from} << "begin";
  fs::resize_file(from, 8 << 20);
  std::fstream{from, std::ios::in | std::ios::out}.seekp(5 << 20) << "middle";
  copy_disk(from, here.path() / "to");
  CHECK(content(here.path() / "to") == content(from));
  CHECK(allocated_bytes(here.path() / "to") <= 1 << 20);
  std::ofstream{here.path() / "empty"};
  copy_disk(here.path() / "empty", here.path() / "to");
  CHECK(fs::file_size(here.path() / "to") == 0);
}

SCENARIO("a machine begins from a checkpoint until it has begun from it, whatever becomes of that") {
  const auto here = spec::temporary{};
  const auto facts = make_one(here.path());
  const auto place = here.path() / "machine";
  fs::create_directories(place);
  std::ofstream{place / "root.disk"} << "later";
  std::ofstream{place / "base.disk"} << "image";
  CHECK_FALSE(planted_in(place));
  plant_checkpoint(here.path() / "one", facts, place);
  // What runs there is left alone.
  CHECK(content(place / "root.disk") == "later");
  fs::remove_all(here.path() / "one");
  for (auto attempt = 0; attempt < 2; ++attempt) {
    const auto planted = planted_in(place);
    REQUIRE(planted);
    CHECK(planted->name == "one");
    CHECK(planted->instance == "web.0");
    const auto state = begin_from_planted(place);
    CHECK(::lseek(state.get(), 0, SEEK_END) == 3'000'000);
    CHECK(content(place / "root.disk") == "written");
    // It has run for a while, and did not come up.
    std::ofstream{place / "root.disk"} << "half";
  }
  forget_planted(place);
  forget_planted(place);
  CHECK_FALSE(planted_in(place));
  CHECK(content(place / "root.disk") == "half");
  CHECK_FALSE(fs::exists(place / "restore.state"));
}

SCENARIO("a node knows its whole checkpoints, and forgets halves of them") {
  const auto here = spec::temporary{};
  const auto facts = make_one(here.path());
  make_one(here.path(), "two");
  fs::create_directories(here.path() / "three.part");
  fs::create_directories(here.path() / "four");
  std::ofstream{here.path() / "four/checkpoint"} << "garbage";
  auto all = machine_checkpoints{{.directory = here.path(), .node = "n"}};
  CHECK_FALSE(fs::exists(here.path() / "three.part"));
  const auto listed = all.list(host_of(facts));
  REQUIRE(listed.size() == 3);
  CHECK(listed[0].name() == "four");
  CHECK(listed[0].unusable().find("damaged") != std::string::npos);
  CHECK(listed[1].name() == "one");
  CHECK(listed[1].node() == "n");
  CHECK(listed[1].unusable().empty());
  auto other = host_of(facts);
  other.ground.monitor = "another";
  CHECK(all.list(other)[1].unusable().find("made with q") != std::string::npos);
  auto what = wire::Instance{};
  what.set_name("web.0");
  *what.mutable_spec() = facts.shown.spec();
  const auto place = here.path() / "machine.part";
  fs::create_directories(place);
  CHECK(all.plant("one", what, "s", host_of(facts), place));
  CHECK(planted_in(place));
  for (const auto* name : {"none", "../one", "", "four"})
    CHECK(all.plant(name, what, "s", host_of(facts), place).why().text.find("there is no checkpoint") !=
          std::string::npos);
  CHECK(all.plant("one", what, "t", host_of(facts), place).why().kind == fault::bad_request);
  CHECK(all.plant("one", what, "s", other, place).why().kind == fault::unsupported);
  CHECK(all.remove("four"));
  CHECK(all.remove("one"));
  CHECK_FALSE(all.remove("one"));
  CHECK(all.remove("../two").why().kind == fault::not_found);
  REQUIRE(all.list(host_of(facts)).size() == 1);
  CHECK(all.list(host_of(facts))[0].name() == "two");
}
