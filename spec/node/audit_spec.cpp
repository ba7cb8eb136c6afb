#include "actors/node/audit.hpp"

#include "actors/host/files.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <system_error>
#include <thread>
#include <vector>

using namespace novacron;
namespace fs = std::filesystem;

namespace {

struct scratch {
  fs::path path;
  scratch() {
    auto pattern = (fs::temp_directory_path() / "novacron-audit-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~scratch() { fs::remove_all(path); }
};

void fill(const fs::path& at, int count, node::audit_limits limits = {}) {
  auto log = node::audit_log{at, limits};
  for (auto i = 0; i < count; ++i)
    CHECK(log.note("person/alice", "PUT /v1/workloads/web-" + std::to_string(i), "200"));
}

std::vector<std::string> lines_of(const fs::path& file) {
  auto in = std::ifstream{file};
  auto all = std::vector<std::string>{};
  for (auto line = std::string{}; std::getline(in, line);)
    all.push_back(line);
  return all;
}

void write(const fs::path& file, const std::vector<std::string>& lines) {
  auto out = std::ofstream{file};
  for (const auto& x : lines)
    out << x << '\n';
}

fs::path first_file(const fs::path& at) {
  return at / "audit-00000000000000000001.jsonl";
}

} // namespace

SCENARIO("an audit log that nobody touched is whole") {
  const auto home = scratch{};
  fill(home.path, 3);
  fill(home.path, 2); // a second life of the node
  const auto found = node::verify_audit(home.path);
  CHECK(found.faults.empty());
  CHECK(found.entries == 5);
  CHECK(found.first == 1);
  CHECK(found.last == 5);
  const auto lines = node::read_audit(home.path, 0, 100);
  REQUIRE(lines.size() == 5);
  CHECK(node::audit_hash(lines.back()) == found.hash);
  CHECK(node::read_audit(home.path, 3, 100).size() == 2);
  CHECK(node::read_audit(home.path, 0, 1).front() == lines.back());
  THEN("it can be shown as JSON") {
    const auto shown = nlohmann::json::parse(node::show_audit(home.path, 2, 2));
    REQUIRE(shown.at("entries").size() == 2);
    CHECK(shown.at("entries").at(0).at("what") == "PUT /v1/workloads/web-0");
    CHECK(nlohmann::json::parse(node::show_verdict(home.path)).at("whole") == true);
  }
  THEN("texts from outside cannot break out of their line") {
    auto log = node::audit_log{home.path};
    CHECK(log.note("a\"b\n{\"number\":9", std::string(5000, 'x'), "\xff\xfe"));
    CHECK(node::verify_audit(home.path).faults.empty());
    CHECK(node::read_audit(home.path, 5, 9).front().size() < 1000);
  }
}

SCENARIO("whatever is changed in an audit log is found") {
  const auto home = scratch{};
  fill(home.path, 6);
  const auto whole = lines_of(first_file(home.path));
  REQUIRE(whole.size() == 7);
  auto is_found = [&](std::vector<std::string> lines) {
    write(first_file(home.path), lines);
    const auto faults = node::verify_audit(home.path).faults;
    write(first_file(home.path), whole);
    return !faults.empty();
  };
  CHECK_FALSE(is_found(whole));
  for (auto i = std::size_t{0}; i < whole.size(); ++i) {
    auto lines = whole;
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK_MESSAGE(is_found(lines), "line " << i << " was deleted");
    lines = whole;
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(i), whole[i]);
    CHECK_MESSAGE(is_found(lines), "line " << i << " was doubled");
    for (auto at = std::size_t{0}; at < whole[i].size(); at += 7) {
      lines = whole;
      lines[i][at] = static_cast<char>(lines[i][at] ^ 1);
      CHECK_MESSAGE(is_found(lines), "byte " << at << " of line " << i << " was changed");
    }
  }
  THEN("also lines that were made anew, with good hashes, when the end is not what it was") {
    auto lines = whole;
    lines.pop_back();
    lines.push_back(node::audit_line({6, "2026-01-01T00:00:00Z", "person/mallory", "nothing", "200"},
                                     node::audit_hash(lines.back())));
    CHECK(is_found(lines));
  }
  THEN("the loss of all files is found, too") {
    fs::remove(first_file(home.path));
    CHECK_FALSE(node::verify_audit(home.path).faults.empty());
    fill(home.path, 1);
    CHECK(node::read_audit(home.path, 0, 9).front().find("are gone") != std::string::npos);
  }
}

SCENARIO("an audit log stays small and keeps its chain") {
  const auto home = scratch{};
  const auto limits = node::audit_limits{.file_bytes = 1000, .files_max = 3, .text_bytes_max = 100};
  fill(home.path, 60, limits);
  const auto found = node::verify_audit(home.path);
  CHECK(found.faults.empty());
  CHECK(found.last == 60);
  CHECK(found.first > 30);
  auto bytes = std::uintmax_t{0};
  auto files = 0;
  for (const auto& x : fs::directory_iterator{home.path})
    bytes += x.file_size(), ++files;
  CHECK(files == 4);
  CHECK(bytes < 5000);
  THEN("the loss of its oldest file is found") {
    auto oldest = fs::path{};
    for (const auto& x : fs::directory_iterator{home.path})
      if (x.path().extension() == ".jsonl" && (oldest.empty() || x.path() < oldest))
        oldest = x.path();
    fs::remove(oldest);
    CHECK_FALSE(node::verify_audit(home.path).faults.empty());
  }
}

SCENARIO("an audit log whose first head finds no room has lost nothing") {
  const auto home = scratch{};
  const auto child = ::fork();
  if (child == 0) {
    // Its first file fits, its head does not.
    const auto little = rlimit{100, 100};
    ::setrlimit(RLIMIT_FSIZE, &little);
    try {
      auto log = node::audit_log{home.path};
      log.note("person/alice", "POST /v1/tokens", "200");
    } catch (const std::system_error&) {
      ::_exit(3);
    }
    ::_exit(0);
  }
  auto status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 3);
  CHECK(node::verify_audit(home.path).faults.empty());
  auto log = node::audit_log{home.path};
  CHECK(node::verify_audit(home.path).faults.empty());
  CHECK(log.note("person/alice", "POST /v1/tokens", "200"));
  CHECK(node::verify_audit(home.path).faults.empty());
  CHECK(node::verify_audit(home.path).last == 1);
}

SCENARIO("an audit log survives the end of its process at any point") {
  const auto home = scratch{};
  for (auto round = 0; round < 20; ++round) {
    const auto child = ::fork();
    if (child == 0) {
      auto log = node::audit_log{home.path, {.file_bytes = 2000, .files_max = 100}};
      for (;;)
        log.note("person/alice", "POST /v1/tokens", "200");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{3 + round});
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    auto log = node::audit_log{home.path, {.file_bytes = 2000, .files_max = 100}};
    const auto found = node::verify_audit(home.path);
    CHECK_MESSAGE(found.faults.empty(), (found.faults.empty() ? "" : found.faults.front()));
  }
  THEN("a torn last line is dropped, and said") {
    const auto before = node::verify_audit(home.path).last;
    auto newest = fs::path{};
    for (const auto& x : fs::directory_iterator{home.path})
      if (x.path().extension() == ".jsonl")
        newest = std::max(newest, x.path());
    std::ofstream{newest, std::ios::app} << "{\"number\":99,\"ti";
    CHECK(node::verify_audit(home.path).faults.empty());
    auto log = node::audit_log{home.path};
    CHECK(node::verify_audit(home.path).faults.empty());
    CHECK(node::read_audit(home.path, before, 9).front().find("torn") != std::string::npos);
  }
}
