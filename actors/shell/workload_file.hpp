#pragma once

/// The file in which people write workloads: TOML, or the JSON that `workload show -o json` prints.

#include "messages/wire/workload.pb.h"

#include <string>
#include <string_view>
#include <vector>

namespace novacron::shell {

struct workload_file {
  std::vector<v1::WorkloadSpec> workloads;
  /// All that is wrong, each with file, line, key, value and what is accepted. Workloads count only without errors.
  std::vector<std::string> errors;
};

/// Never throws and reads nothing but `text`; `file` is only for the errors.
workload_file parse_workloads(std::string_view text, std::string_view file);

/// Chosen: a file that people write is never this long.
constexpr std::size_t workload_file_bytes_max = 1u << 20;

} // namespace novacron::shell
