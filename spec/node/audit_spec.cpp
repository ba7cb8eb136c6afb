#include "actors/node/audit.hpp"

#include "actors/host/files.hpp"
#include "spec/sync_witness.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <future>
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

SCENARIO("the head of an audit log counts only what is on disk") {
  const auto home = scratch{};
  const auto counted = [&] {
    const auto head = host::read_file(home.path / "head").value_or("");
    return head.empty() ? std::size_t{0} : std::stoul(head.substr(0, 20));
  };
  auto settled = std::vector<std::string>{};
  WHEN("lines are added") {
    auto lines = std::size_t{0};
    auto early = false;
    {
      const auto witness = spec::sync_witness{[&](const fs::path& file) {
        settled.push_back(file.filename());
        early |= counted() > lines;
        if (file == first_file(home.path))
          lines = lines_of(file).size() - 1;
      }};
      fill(home.path, 5);
    }
    CHECK_FALSE(early);
    CHECK(counted() == 5);
    THEN("the file is there before its lines are") {
      REQUIRE(settled.size() >= 4);
      CHECK(settled[0] == "head");
      CHECK(settled[1] == "next");
      CHECK(settled[2] == home.path.filename());
    }
  }
  WHEN("the oldest file goes") {
    auto files = std::vector<std::ptrdiff_t>{};
    const auto witness = spec::sync_witness{[&](const fs::path& file) {
      if (file.filename() == "head")
        files.push_back(std::distance(fs::directory_iterator{home.path}, {}) - 1);
    }};
    fill(home.path, 3, {.file_bytes = 100, .files_max = 1});
    THEN("the head said so on disk before") {
      REQUIRE_FALSE(files.empty());
      CHECK(files.back() == 2);
      CHECK(std::distance(fs::directory_iterator{home.path}, {}) == 2);
    }
  }
}

SCENARIO("an audit log is whole although its oldest files go while it is read") {
  const auto home = scratch{};
  auto log = node::audit_log{home.path, {.file_bytes = 100, .files_max = 2}};
  for (auto i = 0; i < 4; ++i)
    CHECK(log.note("person/alice", "POST /v1/tokens", "200"));
  // Whoever reads the oldest waits until somebody writes it.
  const auto oldest = home.path / "audit-00000000000000000000.jsonl";
  REQUIRE(::mkfifo(oldest.c_str(), 0600) == 0);
  auto found = std::async(std::launch::async, [&] { return node::verify_audit(home.path); });
  const auto end = ::open(oldest.c_str(), O_WRONLY | O_CLOEXEC);
  CHECK(log.note("person/alice", "POST /v1/tokens", "200"));
  CHECK_FALSE(fs::exists(oldest));
  ::close(end);
  const auto verdict = found.get();
  CHECK_MESSAGE(verdict.faults.empty(), (verdict.faults.empty() ? "" : verdict.faults.front()));
  CHECK(verdict.last == 5);
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
