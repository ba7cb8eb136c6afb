#include "actors/node/capacity.hpp"

#include "actors/host/secure_file.hpp"

#include <sched.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <system_error>

namespace novacron::node {
namespace {

std::string content(const std::filesystem::path& path) {
  try {
    return host::read_small_file(path).value_or("");
  } catch (const std::system_error&) {
    return {};
  }
}

std::optional<std::uint64_t> number_in(const std::string& text) {
  auto number = std::uint64_t{0};
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{})
    return {};
  return number;
}

/// The cpus that the scheduler of the kernel may give us, in thousandths.
std::uint64_t cpus_allowed() {
  auto mask = cpu_set_t{};
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0)
    return 1000;
  return 1000 * static_cast<std::uint64_t>(std::max(CPU_COUNT(&mask), 1));
}

/// What the cgroup we are in allows, in thousandths of a cpu: "max 100000" or "50000 100000" in v2, -1 for none in v1.
std::uint64_t cpus_in_quota() {
  auto in = std::istringstream{content("/sys/fs/cgroup/cpu.max")};
  auto quota = std::string{}, period = std::string{};
  if (!(in >> quota >> period)) {
    quota = content("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    period = content("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  }
  const auto share = number_in(quota);
  const auto whole = number_in(period);
  return share && whole && *whole > 0 ? std::max<std::uint64_t>(*share * 1000 / *whole, 1) : ~0ull;
}

std::uint64_t memory_allowed() {
  struct sysinfo facts {};
  ::sysinfo(&facts);
  auto bytes = static_cast<std::uint64_t>(facts.totalram) * facts.mem_unit;
  for (const auto* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"})
    bytes = std::min(bytes, number_in(content(path)).value_or(~0ull));
  return bytes;
}

std::uint64_t disk_free(std::filesystem::path path) {
  auto none = std::error_code{};
  while (!std::filesystem::exists(path, none) && path.has_relative_path())
    path = path.parent_path();
  struct statvfs facts {};
  return ::statvfs(path.c_str(), &facts) == 0 ? static_cast<std::uint64_t>(facts.f_bavail) * facts.f_frsize : 0;
}

void find_gpus(v1::Resources& into) {
  constexpr auto model_name = std::string_view{"Model:"};
  auto none = std::error_code{};
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/driver/nvidia/gpus", none}) {
    into.set_gpu_milli(into.gpu_milli() + 1000);
    auto lines = std::istringstream{content(entry.path() / "information")};
    for (auto line = std::string{}; std::getline(lines, line);)
      if (line.starts_with(model_name))
        if (const auto at = line.find_first_not_of(" \t", model_name.size()); at != line.npos)
          into.set_gpu_model(line.substr(at));
  }
}

} // namespace

v1::Resources find_capacity(const std::filesystem::path& data_dir) {
  auto found = v1::Resources{};
  found.set_cpu_milli(std::min(cpus_allowed(), cpus_in_quota()));
  found.set_memory_bytes(memory_allowed());
  found.set_disk_bytes(disk_free(data_dir));
  find_gpus(found);
  return found;
}

v1::Resources capacity(const resource_settings& said, v1::Resources found) {
  if (said.cpu_milli)
    found.set_cpu_milli(*said.cpu_milli);
  if (said.memory_bytes)
    found.set_memory_bytes(*said.memory_bytes);
  if (said.disk_bytes)
    found.set_disk_bytes(*said.disk_bytes);
  if (said.gpu_milli)
    found.set_gpu_milli(*said.gpu_milli);
  if (!said.gpu_model.empty())
    found.set_gpu_model(said.gpu_model);
  for (const auto& [name, count] : said.extra)
    (*found.mutable_extra())[name] = count;
  return found;
}

} // namespace novacron::node
