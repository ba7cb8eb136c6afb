#pragma once

/// Who a container's process is, by the image's own passwd and group files.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::workload {

struct process_user {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  /// Further groups that the name is a member of.
  std::vector<std::uint32_t> groups;
  /// "/" when the image does not know the user.
  std::string home = "/";
  bool operator==(const process_user&) const = default;
};

/// The user that `text` ("", "name", "uid", "name:group", "uid:gid") is by the content of the two files.
/// Nothing when a name in it is unknown. Numbers need not be known.
std::optional<process_user> user_of(std::string_view text, std::string_view passwd, std::string_view group);

/// The same with the files of an unpacked root; links in it are followed inside of it only.
std::optional<process_user> user_in(const std::filesystem::path& rootfs, std::string_view text);

} // namespace novacron::workload
