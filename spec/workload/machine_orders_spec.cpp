#include "actors/host/files.hpp"
#include "actors/workload/machine_orders.hpp"
#include "actors/workload/qemu_command.hpp"
#include "spec/workload/temporary.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

using namespace novacron;
using namespace novacron::workload;
namespace fs = std::filesystem;

namespace {

machine_plan small(machine_beginning how) {
  auto x = machine_plan{.name = "a.0", .small = true};
  x.memory_bytes = 64 << 20;
  x.beginning = how;
  x.shares_memory = how == machine_beginning::clone;
  return x;
}

bool mentions(const std::string& text, const std::string& word) {
  return text.find(word) != text.npos;
}

} // namespace

SCENARIO("a process is told what it loads before all else, and finds nothing that an earlier one left") {
  const auto here = spec::temporary{};
  host::replace_file(here.path() / machine_departing_file, "a.0-7 3\n");
  host::replace_file(here.path() / qemu_move_socket, "");
  write_command(here.path(), qemu_command("q", small(machine_beginning::boot)), "/lib/watch.so");
  CHECK_FALSE(fs::exists(here.path() / machine_departing_file));
  CHECK_FALSE(fs::exists(here.path() / qemu_move_socket));
  const auto words = host::read_file(here.path() / "machine").value_or("");
  CHECK(words.starts_with(std::string{"env\0LD_PRELOAD=/lib/watch.so\0q\0", 31}));
  write_command(here.path(), qemu_command("q", small(machine_beginning::boot)), {});
  CHECK(host::read_file(here.path() / "machine").value_or("").starts_with(std::string{"q\0", 2}));
}

SCENARIO("a machine that cannot be moved while it runs says why, and what to do instead") {
  const auto here = spec::temporary{};
  const auto why = [&](machine_beginning how, const fs::path& preload, const std::string& lack) {
    write_command(here.path(), qemu_command("q", small(how)), preload);
    return why_machine_stays(here.path(), lack);
  };
  CHECK(mentions(why(machine_beginning::boot, "/lib/watch.so", {}), "whole disk"));
  host::replace_file(here.path() / machine_base_file, "");
  CHECK(why(machine_beginning::boot, "/lib/watch.so", {}).empty());
  CHECK(why(machine_beginning::arrival, "/lib/watch.so", {}).empty());
  CHECK(mentions(why(machine_beginning::clone, "/lib/watch.so", {}), "templates = \"0\""));
  CHECK(mentions(why(machine_beginning::boot, {}, "the kernel is too old"), "the kernel is too old"));
  CHECK(mentions(why(machine_beginning::boot, {}, {}), "`instance restart`"));
}
