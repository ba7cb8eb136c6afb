#pragma once

/// What a bench found: figures with units, each beside a peer measured in the same run where there is one.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::host {

struct figure {
  std::string name;
  double value = 0;
  /// A base unit: "s", "1/s", "B", or "1" for counts.
  std::string unit;
  /// What it is compared with; empty when nothing is.
  std::string peer = {};
  double peer_value = 0;
  /// value / peer_value.
  double ratio = 0;
  /// What the value was counted from, where a reader should see it: one row per instance.
  std::vector<std::vector<std::int64_t>> rows = {};
};

/// A figure beside that of its peer. The ratio is value / peer_value: for rates more is better, for times less is.
figure beside(std::string name, double value, std::string unit, std::string peer, double peer_value);

/// The one JSON object that `novacron bench AREA -o json` prints (design: commands).
std::string bench_json(std::string_view area, std::string_view version, const std::vector<figure>& figures);

/// The same for people.
std::string bench_table(std::string_view area, const std::vector<figure>& figures);

/// The value below which the share `q` (0 to 1) of `values` lies, by the nearest rank; 0 for none.
double quantile(std::vector<double> values, double q);

} // namespace novacron::host
