#include "actors/workload/log_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <vector>

namespace novacron::workload {
namespace {

std::vector<std::int64_t> segments(const std::filesystem::path& directory) {
  auto all = std::vector<std::int64_t>{};
  auto error = std::error_code{};
  for (const auto& entry : std::filesystem::directory_iterator{directory, error}) {
    const auto name = entry.path().filename().string();
    auto start = std::int64_t{};
    const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), start);
    if (problem == std::errc{} && end == name.data() + name.size())
      all.push_back(start);
  }
  std::ranges::sort(all);
  return all;
}

std::int64_t size_of(const std::filesystem::path& file) {
  auto error = std::error_code{};
  const auto size = std::filesystem::file_size(file, error);
  return error ? 0 : static_cast<std::int64_t>(size);
}

} // namespace

log_part read_log(const std::filesystem::path& directory, std::int64_t offset, std::size_t limit) {
  const auto starts = segments(directory);
  if (starts.empty())
    return {{}, std::max<std::int64_t>(offset, 0)};
  const auto end = starts.back() + size_of(directory / std::to_string(starts.back()));
  auto at = std::clamp(offset < 0 ? end + offset : offset, starts.front(), std::max(end, starts.front()));
  auto part = log_part{{}, at};
  while (part.data.size() < limit && at < end) {
    const auto after = std::ranges::upper_bound(starts, at);
    const auto start = *std::prev(after);
    const auto fd = ::open((directory / std::to_string(start)).c_str(), O_RDONLY | O_CLOEXEC);
    const auto begin = part.data.size();
    part.data.resize(limit);
    const auto count = fd < 0 ? 0 : ::pread(fd, part.data.data() + begin, limit - begin, at - start);
    if (fd >= 0)
      ::close(fd);
    part.data.resize(begin + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    at += std::max<ssize_t>(count, 0);
    if (count <= 0)
      break;
  }
  return part;
}

} // namespace novacron::workload
