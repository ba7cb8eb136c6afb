#include "actors/host/process.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

host::finished bootstrap(const std::vector<std::string>& words) {
  auto argv = std::vector<std::string>{HOUSE_ROOT "/bootstrap"};
  argv.insert(argv.end(), words.begin(), words.end());
  return host::run({.argv = argv}, 10s);
}

/// What the summary prints last, and its exit code, for this log of meson.
std::pair<std::string, int> summary(const std::string& log) {
  auto path = (std::filesystem::temp_directory_path() / "summary.XXXXXX").string();
  ::close(::mkstemp(path.data()));
  std::ofstream{path} << log;
  const auto done = host::run({.argv = {"python3", HOUSE_ROOT "/spec/summary.py", path}}, 30s);
  std::filesystem::remove(path);
  const auto text = done.out.substr(0, done.out.find_last_not_of('\n') + 1);
  return {text.substr(text.rfind('\n') + 1), done.how.code};
}

} // namespace

SCENARIO("bootstrap explains itself and takes no unknown word") {
  CHECK(bootstrap({"help"}).how.code == 0);
  CHECK(bootstrap({"help"}).out.find("./bootstrap demo") != std::string::npos);
  for (const auto& words : std::vector<std::vector<std::string>>{{}, {"tset"}, {"test", "--sanitise"}, {"test", "--sanitize=memory"},
                                                                 {"build", "test"}, {"build", "--fuzz"},
                                                                 {"test", "--fuzz", "--sanitize=thread"}})
    CHECK(bootstrap(words).how.code == 2);
}

SCENARIO("the summary of a test run counts scenarios, and hides nothing") {
  const auto good = std::string{R"({"name": "spec", "result": "OK", "returncode": 0, "duration": 1.5, )"
                                R"("stdout": "skipped: gpu: none here\n[doctest] test cases:  7 |  7 passed | 0 failed | 0 skipped\n"})"};
  CHECK(summary(good) == std::pair{std::string{"6 passed, 0 failed, 1 skipped"}, 0});
  const auto whole = std::string{R"({"name": "tour", "result": "SKIP", "returncode": 77, "duration": 0, "stdout": ""})"};
  CHECK(summary(good + "\n" + whole) == std::pair{std::string{"6 passed, 0 failed, 2 skipped"}, 0});
  const auto crash = std::string{R"({"name": "reality", "result": "FAIL", "returncode": -11, "duration": 0, "stdout": "half"})"};
  CHECK(summary(good + "\n" + crash) == std::pair{std::string{"6 passed, 1 failed, 1 skipped"}, 1});
  const auto late = std::string{R"({"name": "late", "result": "TIMEOUT", "returncode": 0, "duration": 300, "stdout": "[doctest] )"
                                R"(test cases: 2 | 2 passed | 0 failed | 0 skipped\n"})"};
  CHECK(summary(late) == std::pair{std::string{"2 passed, 1 failed, 0 skipped"}, 1});
  CHECK(summary("").second == 1);
  CHECK(summary("").first == "0 passed, 0 failed, 0 skipped");
}

SCENARIO("the units ask for no more than they need") {
  const auto unit = std::string{HOUSE_ROOT "/share/systemd/novacron-edge.service"};
  try {
    // 20 is an exposure of 2.0, of 10.
    const auto done = host::run({.argv = {"systemd-analyze", "security", "--offline=true", "--threshold=20", unit}}, 30s);
    CHECK_MESSAGE(done.how.code == 0, done.out);
  } catch (const std::system_error&) {
    MESSAGE("skipped: there is no systemd-analyze here");
  }
}
