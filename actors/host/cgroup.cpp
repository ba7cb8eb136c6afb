#include "actors/host/cgroup.hpp"

#include "actors/host/files.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>
#include <thread>

namespace novacron::host {
namespace {

namespace fs = std::filesystem;

void put(const fs::path& file, const std::string& value) {
  const auto fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  const auto written = fd >= 0 ? ::write(fd, value.data(), value.size()) : -1;
  const auto problem = errno;
  if (fd >= 0)
    ::close(fd);
  if (written != static_cast<ssize_t>(value.size()))
    throw std::system_error{problem, std::system_category(), "cannot write \"" + value + "\" to " + file.string()};
}

std::uint64_t number(const fs::path& file, const std::string& key = {}) {
  auto lines = std::istringstream{read_file(file).value_or("")};
  auto word = std::string{};
  auto value = std::uint64_t{0};
  if (key.empty())
    return lines >> value ? value : 0;
  while (lines >> word >> value)
    if (word == key)
      return value;
  return 0;
}

/// All directories at and below `top`, the deepest first.
std::vector<fs::path> tree(const fs::path& top) {
  auto all = std::vector<fs::path>{};
  auto error = std::error_code{};
  for (auto at = fs::recursive_directory_iterator{top, error}; !error && at != fs::recursive_directory_iterator{};
       at.increment(error))
    if (at->is_directory(error))
      all.push_back(at->path());
  if (fs::exists(top, error))
    all.push_back(top);
  std::ranges::sort(all, std::ranges::greater{}, [](const fs::path& x) { return x.native().size(); });
  return all;
}

/// The file that only a hierarchy with that controller has in a group.
const char* file_of(const std::string& controller, bool unified) {
  if (controller == "cpu")
    return unified ? "cpu.max" : "cpu.cfs_quota_us";
  if (controller == "memory")
    return unified ? "memory.max" : "memory.limit_in_bytes";
  if (controller == "freezer")
    return unified ? "cgroup.freeze" : "freezer.state";
  return "pids.max";
}

} // namespace

cgroup_layout cgroup_layout_of(const std::string& mountinfo) {
  auto found = cgroup_layout{};
  auto unified = std::vector<fs::path>{};
  auto lines = std::istringstream{mountinfo};
  for (auto line = std::string{}; std::getline(lines, line);) {
    // "ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS ... - TYPE SOURCE OPTIONS", see proc(5).
    const auto dash = line.find(" - ");
    auto front = std::istringstream{line};
    auto field = std::string{};
    auto where = std::string{};
    for (auto i = 0; i < 4; ++i)
      front >> field;
    front >> where;
    if (dash == line.npos)
      continue;
    const auto kind = line.substr(dash + 3, line.find(' ', dash + 3) - dash - 3);
    if (kind == "cgroup")
      found.hierarchies.emplace_back(where);
    if (kind == "cgroup2")
      unified.emplace_back(where);
  }
  if (!found.hierarchies.empty())
    found.mode = unified.empty() ? cgroup_mode::legacy : cgroup_mode::hybrid;
  else if (!unified.empty())
    found.mode = cgroup_mode::unified;
  if (found.mode == cgroup_mode::hybrid)
    found.beside = unified.front();
  if (found.mode == cgroup_mode::unified)
    found.hierarchies = {unified.front()};
  return found;
}

cgroup_layout find_cgroups() { return cgroup_layout_of(read_file("/proc/self/mountinfo").value_or("")); }

std::vector<fs::path> cgroup_layout::groups(const std::string& path) const {
  auto all = std::vector<fs::path>{};
  for (const auto& each : hierarchies)
    all.push_back(each / fs::path{path}.relative_path());
  return all;
}

std::string cgroup_layout::text() const {
  switch (mode) {
    case cgroup_mode::none: return "none";
    case cgroup_mode::legacy: return "version 1";
    case cgroup_mode::hybrid: return "version 1 with an unused version 2 beside it (hybrid)";
    case cgroup_mode::unified: return "version 2";
  }
  return "none";
}

bool cgroup_layout::controls(const std::string& controller) const {
  if (mode == cgroup_mode::unified) {
    auto words = std::istringstream{read_file(hierarchies.front() / "cgroup.controllers").value_or("")};
    for (auto word = std::string{}; words >> word;)
      if (word == controller)
        return true;
    return controller == "freezer";
  }
  return std::ranges::any_of(hierarchies, [&](const fs::path& x) { return x.filename() == controller ||
                                                                          x.filename().string().starts_with(controller + ",") ||
                                                                          x.filename().string().ends_with("," + controller); });
}

cgroup::cgroup(cgroup_layout layout, std::string path) : layout_{std::move(layout)}, path_{std::move(path)} {}

fs::path cgroup::find(const char* file) const {
  auto error = std::error_code{};
  for (const auto& group : layout_.groups(path_))
    if (fs::exists(group / file, error))
      return group / file;
  return {};
}

bool cgroup::exists() const {
  auto error = std::error_code{};
  return std::ranges::any_of(layout_.groups(path_), [&](const fs::path& x) { return fs::exists(x, error); });
}

void cgroup::create() const {
  auto error = std::error_code{};
  for (const auto& top : layout_.hierarchies) {
    auto here = top;
    for (const auto& part : fs::path{path_}.relative_path()) {
      // Version 2 gives a group the controllers that the one above it hands on; one at a time, as some may be missing.
      if (layout_.mode == cgroup_mode::unified)
        for (const auto* controller : {"+cpu", "+memory", "+pids"})
          std::ofstream{here / "cgroup.subtree_control"} << controller << std::flush;
      here /= part;
      fs::create_directory(here, error);
    }
  }
}

cgroup_usage cgroup::usage() const {
  if (layout_.mode == cgroup_mode::unified)
    return {number(find("cpu.stat"), "usage_usec"), number(find("memory.current"))};
  return {number(find("cpuacct.usage")) / 1000, number(find("memory.usage_in_bytes"))};
}

std::vector<pid_t> cgroup::members() const {
  auto all = std::set<pid_t>{};
  for (const auto& group : layout_.groups(path_))
    for (const auto& each : tree(group)) {
      auto lines = std::istringstream{read_file(each / "cgroup.procs").value_or("")};
      for (auto pid = pid_t{}; lines >> pid;)
        all.insert(pid);
    }
  return {all.begin(), all.end()};
}

void cgroup::freeze(bool frozen) const {
  const auto unified = layout_.mode == cgroup_mode::unified;
  const auto file = find(file_of("freezer", unified));
  if (file.empty())
    throw std::system_error{ENOTSUP, std::system_category(), "this host has no freezer for " + path_};
  put(file, unified ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED"));
}

bool cgroup::frozen() const {
  if (layout_.mode == cgroup_mode::unified)
    return number(find("cgroup.events"), "frozen") == 1;
  return read_file(find("freezer.state")).value_or("").starts_with("FROZEN");
}

void cgroup::kill() const {
  for (const auto pid : members())
    ::kill(pid, SIGKILL);
  thaw();
}

void cgroup::thaw() const {
  const auto unified = layout_.mode == cgroup_mode::unified;
  if (const auto file = find(file_of("freezer", unified)); !file.empty())
    std::ofstream{file} << (unified ? "0" : "THAWED");
}

void cgroup::limit(std::uint64_t cpu_milli, std::uint64_t memory_bytes) const {
  const auto unified = layout_.mode == cgroup_mode::unified;
  const auto need = [&](const char* controller) {
    const auto file = find(file_of(controller, unified));
    if (file.empty())
      throw std::system_error{ENOTSUP, std::system_category(), std::string{"this host cannot limit "} + controller};
    return file;
  };
  const auto quota = std::to_string(cpu_milli * cpu_period_usec / 1000);
  if (cpu_milli > 0)
    put(need("cpu"), unified ? quota + " " + std::to_string(cpu_period_usec) : quota);
  if (memory_bytes == 0)
    return;
  const auto file = need("memory");
  const auto swap = file.parent_path() / "memory.memsw.limit_in_bytes";
  const auto with_swap = !unified && fs::exists(swap);
  // Version 1 wants memory <= memory + swap at every moment, so the order depends on the direction.
  if (with_swap && memory_bytes > number(file))
    put(swap, std::to_string(memory_bytes));
  put(file, std::to_string(memory_bytes));
  if (with_swap)
    put(swap, std::to_string(memory_bytes));
}

bool cgroup::destroy() const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{2};
  while (exists()) {
    // A frozen process cannot die.
    kill();
    for (const auto& group : layout_.groups(path_))
      for (const auto& each : tree(group))
        ::rmdir(each.c_str());
    if (std::chrono::steady_clock::now() > deadline)
      return !exists();
    if (exists())
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  return true;
}

std::vector<std::string> cgroup::children() const {
  auto names = std::set<std::string>{};
  auto error = std::error_code{};
  for (const auto& group : layout_.groups(path_))
    for (const auto& entry : fs::directory_iterator{group, error})
      if (entry.is_directory(error))
        names.insert(entry.path().filename());
  return {names.begin(), names.end()};
}

} // namespace novacron::host
