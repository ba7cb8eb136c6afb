#include "actors/node/bench_migration.hpp"

#include "actors/migration/prediction.hpp"
#include "actors/node/bench_kernels.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <system_error>
#include <utility>

namespace novacron::node {
namespace {

using namespace migration;

/// What bench kernels found, by name.
class measured {
public:
  explicit measured(std::vector<host::figure> all) : all_{std::move(all)} {}
  double operator[](std::string_view name) const {
    const auto found = std::ranges::find(all_, name, &host::figure::name);
    return found == all_.end() ? 0 : found->value;
  }

private:
  std::vector<host::figure> all_;
};

/// Of the measured workload guest: 12.3 % of its pages are uniform, 28.3 % of the others are copies.
constexpr auto uniform_share = 0.123;
constexpr auto duplicate_share = 0.877 * 0.283;
/// PAGEMAP_SCAN took 0.6 ms for 512 MiB.
constexpr auto table_rate = 512.0 * 1024 * 1024 / 0.0006;
constexpr auto minute = 60.0;

prediction_order order_of(const measured& rates, const bench_migration_options& options) {
  return {.guest = {.memory = options.memory,
                    .uniform_share = uniform_share,
                    .duplicate_share = duplicate_share,
                    .sample_count = 1000},
          .rates = {.scan_rate = std::min(rates["page_hash"], rates["page_copy"]),
                    .copy_rate = rates["page_copy"],
                    .table_rate = table_rate},
          .budget = {.link_rate = options.link_rate, .source_cores = options.cores, .target_cores = options.cores}};
}

} // namespace

std::optional<double> parse_link_rate(std::string_view text) {
  auto value = 0.0;
  const auto* const end = text.data() + text.size();
  const auto [rest, wrong] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (wrong != std::errc{} || !(value > 0))
    return {};
  const auto unit = std::string_view{rest, static_cast<std::size_t>(end - rest)};
  for (const auto& [name, bits] : {std::pair{"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9}, {"Tbit", 1e12}})
    if (unit == name)
      return value * bits / 8;
  return {};
}

std::vector<host::figure> bench_migration(const bench_migration_options& options) {
  const auto rates = measured{bench_kernels({.rounds = options.rounds})};
  const auto costs = std::vector<coding_cost>{
      {.coding = block_coding::raw, .encode_rate = rates["page_copy"], .decode_rate = rates["page_copy"]},
      {.coding = block_coding::lz4,
       .encode_rate = rates["lz4_encode"],
       .decode_rate = rates["lz4_decode"],
       .ratio = rates["lz4_ratio"]},
      {.coding = block_coding::zstd,
       .encode_rate = rates["zstd1_encode"],
       .decode_rate = rates["zstd1_decode"],
       .ratio = rates["zstd1_ratio"]},
  };
  const auto order = order_of(rates, options);
  const auto x = predict(order, costs);
  auto found = std::vector<host::figure>{
      host::beside("duration", x.duration, "s", "a minute", minute),
      {"bottleneck_" + x.bottleneck, x.duration, "s"},
      {"coding_" + std::string{name(x.coding)}, x.ratio, "1"},
      {"wire_bytes", x.wire_bytes, "B"},
      {"downtime", x.downtime, "s"},
      {"streams", static_cast<double>(x.stream_count), "1"},
  };
  for (const auto& stage : x.stages) {
    auto figure_name = "stage_" + stage.name;
    std::ranges::replace(figure_name, ' ', '_');
    found.push_back({figure_name, stage.seconds, "s"});
    found.push_back({figure_name + "_rate", stage.rate, "B/s"});
  }
  for (const auto& cost : costs) {
    const auto needed = hardware_for(minute, order, cost);
    const auto prefix = "minute_" + std::string{name(cost.coding)} + "_";
    found.push_back({prefix + "source_cores", needed.source_cores, "1"});
    found.push_back({prefix + "target_cores", needed.target_cores, "1"});
    found.push_back({prefix + "link", needed.link_rate, "B/s"});
  }
  return found;
}

} // namespace novacron::node
