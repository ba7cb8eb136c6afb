#include "actors/workload/image_user.hpp"

#include "actors/workload/image_tree.hpp"

#include <algorithm>
#include <charconv>

namespace novacron::workload {
namespace {

// Chosen: no honest image has longer ones.
constexpr std::size_t accounts_bytes_max = 4u << 20;

std::optional<std::uint32_t> number_in(std::string_view text) {
  auto value = std::uint32_t{0};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc{} && end == text.data() + text.size() && !text.empty() ? std::optional{value}
                                                                                     : std::nullopt;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  auto parts = std::vector<std::string_view>{};
  for (;;) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == text.npos)
      return parts;
    text.remove_prefix(end + 1);
  }
}

/// The first line with at least `count` fields that `fits`.
template <class Predicate>
std::optional<std::vector<std::string_view>> line_of(std::string_view file, std::size_t count, Predicate fits) {
  for (auto line : split(file, '\n'))
    if (auto fields = split(line, ':'); fields.size() >= count && fits(fields))
      return fields;
  return {};
}

std::optional<std::uint32_t> group_of(std::string_view text, std::string_view group) {
  if (const auto number = number_in(text))
    return number;
  const auto line = line_of(group, 3, [&](const auto& x) { return x[0] == text && number_in(x[2]); });
  return line ? number_in((*line)[2]) : std::nullopt;
}

std::vector<std::uint32_t> memberships_of(std::string_view name, std::string_view group) {
  auto groups = std::vector<std::uint32_t>{};
  for (auto line : split(group, '\n'))
    if (const auto fields = split(line, ':'); fields.size() >= 4)
      if (const auto members = split(fields[3], ','); std::find(members.begin(), members.end(), name) != members.end())
        if (const auto number = number_in(fields[2]))
          groups.push_back(*number);
  return groups;
}

} // namespace

std::optional<process_user> user_of(std::string_view text, std::string_view passwd, std::string_view group) {
  const auto parts = split(text, ':');
  const auto who = parts[0].empty() ? std::string_view{"0"} : parts[0];
  const auto number = number_in(who);
  const auto line = line_of(passwd, 6, [&](const auto& x) {
    return number_in(x[2]) && number_in(x[3]) && (number ? number_in(x[2]) == number : x[0] == who);
  });
  if (!line && !number)
    return {};
  auto user = process_user{};
  user.uid = number ? *number : *number_in((*line)[2]);
  if (line) {
    user.gid = *number_in((*line)[3]);
    user.home = (*line)[5].empty() ? "/" : std::string{(*line)[5]};
    user.groups = memberships_of((*line)[0], group);
  }
  if (parts.size() > 1 && !parts[1].empty()) {
    const auto gid = group_of(parts[1], group);
    if (!gid)
      return {};
    user.gid = *gid;
    // As Docker has it: whoever names a group gets that one alone.
    user.groups.clear();
  }
  return user;
}

std::optional<process_user> user_in(const std::filesystem::path& rootfs, std::string_view text) {
  const auto root = open_directory(rootfs);
  return user_of(text, read_inside(root, "etc/passwd", accounts_bytes_max),
                 read_inside(root, "etc/group", accounts_bytes_max));
}

} // namespace novacron::workload
