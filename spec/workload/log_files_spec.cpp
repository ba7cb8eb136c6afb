#include "actors/workload/log_files.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <fstream>

using namespace novacron::workload;

namespace {

struct kept {
  std::filesystem::path where;
  kept() {
    auto pattern = std::string{"/tmp/novacron-log-XXXXXX"};
    where = ::mkdtemp(pattern.data());
    write("10", "abcde");
    write("15", "fghij");
  }
  ~kept() { std::filesystem::remove_all(where); }
  void write(const char* name, const char* text) const { std::ofstream{where / name} << text; }
};

} // namespace

SCENARIO("output is read across its segments") {
  const auto log = kept{};
  CHECK(read_log(log.where, 10, 100).data == "abcdefghij");
  CHECK(read_log(log.where, 13, 4).data == "defg");
  CHECK(read_log(log.where, 13, 4).next() == 17);
}

SCENARIO("what is gone already is skipped, and the reader told") {
  const auto log = kept{};
  const auto part = read_log(log.where, 0, 3);
  CHECK(part.offset == 10);
  CHECK(part.data == "abc");
}

SCENARIO("a negative offset counts from the end") {
  const auto log = kept{};
  CHECK(read_log(log.where, -3, 100).data == "hij");
  CHECK(read_log(log.where, -100, 100).data == "abcdefghij");
}

SCENARIO("at the end there is nothing") {
  const auto log = kept{};
  CHECK(read_log(log.where, 20, 100).data.empty());
  CHECK(read_log(log.where, 20, 100).next() == 20);
  CHECK(read_log(log.where / "none", 0, 100).data.empty());
}
