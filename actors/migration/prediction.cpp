#include "actors/migration/prediction.hpp"

#include "actors/migration/frame.hpp"
#include "kernels/page.hpp"

#include <algorithm>
#include <cmath>

namespace novacron::migration {
namespace {

/// What a page's entry takes: one in a row with others hardly anything, one alone eight bytes, and eight more of a
/// reference.
constexpr auto entry_bytes = 9.0;

/// One core's share of a fast link: eight streams of 4.8 Gbit/s carry a terabyte in a minute at 3.5 : 1.
constexpr auto stream_rate = 600e6;
constexpr auto streams_max = 8.0;

double seconds_of(double bytes, double rate) {
  return rate > 0 ? bytes / rate : 0;
}

/// The first pass looks at everything.
class first_pass {
public:
  first_pass(const prediction_order& order, const coding_cost& cost) : order_{order}, cost_{cost} {
    const auto& guest = order.guest;
    content_ = guest.memory * std::max(0.0, 1 - guest.uniform_share - guest.duplicate_share);
    wire_ = content_ / cost.ratio + guest.memory / static_cast<double>(kernels::page_size) * entry_bytes;
  }

  double wire() const { return wire_; }

  // Stages of one end share its cores, so each end is one stage of the pipeline; the table is read by every core.
  std::vector<stage> stages() const {
    const auto& rates = order_.rates;
    const auto source = order_.budget.source_cores;
    const auto target = order_.budget.target_cores;
    const auto memory = order_.guest.memory;
    const auto encode = cost_.coding == block_coding::raw ? 0 : seconds_of(content_, cost_.encode_rate);
    const auto decode = cost_.coding == block_coding::raw ? 0 : seconds_of(content_, cost_.decode_rate);
    auto all = std::vector<stage>{};
    const auto add = [&](const char* name, double seconds) {
      all.push_back({.name = name, .rate = seconds > 0 ? memory / seconds : 0, .seconds = seconds});
    };
    add("page table", seconds_of(memory, rates.table_rate) / source);
    add("scan", seconds_of(memory, rates.scan_rate) / source);
    add("encode", encode / source);
    add("link", seconds_of(wire_, order_.budget.link_rate));
    add("decode", decode / target);
    add("place", seconds_of(memory * (1 - order_.guest.uniform_share), rates.copy_rate) / target);
    return all;
  }

private:
  const prediction_order& order_;
  const coding_cost& cost_;
  double content_ = 0;
  double wire_ = 0;
};

struct slowest {
  double seconds = 0;
  std::string name;
};

slowest slowest_of(const std::vector<stage>& all) {
  const auto of = [&](std::size_t i) { return all[i].seconds; };
  const auto source = of(0) + of(1) + of(2);
  const auto target = of(4) + of(5);
  const auto longest = std::max({source, of(3), target});
  if (longest == of(3))
    return {longest, "link"};
  const auto first = longest == source ? std::size_t{0} : std::size_t{4};
  const auto last = longest == source ? std::size_t{3} : std::size_t{6};
  const auto worst = std::max_element(all.begin() + static_cast<std::ptrdiff_t>(first),
                                      all.begin() + static_cast<std::ptrdiff_t>(last),
                                      [](const auto& a, const auto& b) { return a.seconds < b.seconds; });
  return {longest, worst->name};
}

/// The guest writes while its pages travel: each pass carries what the one before left. The last is carried while the
/// guest stands still.
void play_passes(const prediction_order& order, migration_prediction& x) {
  const auto& guest = order.guest;
  const auto shrink = std::min(1.0, guest.delta_bytes / static_cast<double>(kernels::page_size));
  const auto carry = [&](double dirty) {
    return seconds_of(guest.memory, order.rates.table_rate) / order.budget.source_cores +
           std::max(seconds_of(dirty * shrink, order.budget.link_rate),
                    seconds_of(dirty, order.rates.copy_rate) / order.budget.source_cores);
  };
  auto last = x.duration;
  x.pass_count = 1;
  while (true) {
    const auto dirty = std::min(guest.dirty_size, guest.dirty_rate * last);
    const auto next = carry(dirty);
    x.wire_bytes += dirty * shrink;
    x.duration += next;
    ++x.pass_count;
    if (next + order.rates.handover <= order.downtime_max || next >= last * 0.9 || x.pass_count >= order.pass_max) {
      x.downtime = next + order.rates.handover;
      x.converges = x.downtime <= order.downtime_max;
      x.duration += order.rates.handover;
      return;
    }
    last = next;
  }
}

} // namespace

hardware hardware_for(double seconds, const prediction_order& order, const coding_cost& cost) {
  const auto pass = first_pass{order, cost};
  const auto all = pass.stages();
  return {.source_cores = (all[0].seconds + all[1].seconds + all[2].seconds) * order.budget.source_cores / seconds,
          .target_cores = (all[4].seconds + all[5].seconds) * order.budget.target_cores / seconds,
          .link_rate = pass.wire() / seconds};
}

migration_prediction predict(const prediction_order& order, std::span<const coding_cost> costs) {
  const auto& cost = choose(costs, order.budget);
  const auto pass = first_pass{order, cost};
  auto x = migration_prediction{.coding = cost.coding, .wire_bytes = pass.wire(), .stages = pass.stages()};
  x.ratio = pass.wire() > 0 ? order.guest.memory / pass.wire() : 1;
  const auto longest = slowest_of(x.stages);
  x.duration = longest.seconds;
  x.bottleneck = longest.name;
  x.stream_count =
      static_cast<std::uint16_t>(std::clamp(std::ceil(order.budget.link_rate / stream_rate), 1.0, streams_max));
  x.chunk_size = static_cast<std::uint64_t>(std::clamp(order.budget.link_rate / x.stream_count * order.downtime_max / 4,
                                                       65536.0, static_cast<double>(frame_payload_max)));
  play_passes(order, x);
  // What a share of the sample says of all pages is wrong by so much, nine times of ten; the rest is of the link.
  const auto share = std::clamp(order.guest.uniform_share + order.guest.duplicate_share, 0.0, 1.0);
  const auto count = static_cast<double>(std::max<std::uint64_t>(order.guest.sample_count, 1));
  x.spread = std::min(1.0, 0.05 + 1.645 * std::sqrt(std::max(share * (1 - share), 0.01) / count));
  return x;
}

} // namespace novacron::migration
