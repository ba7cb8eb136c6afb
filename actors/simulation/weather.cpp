#include "actors/simulation/weather.hpp"

#include <algorithm>
#include <random>

namespace novacron::simulation {
namespace {

using namespace std::chrono_literals;
using enum fault_kind;

/// As std distributions are not the same in every library, draws are made by hand.
class dice {
public:
  explicit dice(std::uint64_t seed) : chance_{seed} {}
  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : chance_() % limit; }
  moment between(moment least, moment most) {
    return least + moment{static_cast<std::int64_t>(
                       below(static_cast<std::uint64_t>(std::max<std::int64_t>(1, (most - least).count()))))};
  }

private:
  std::mt19937_64 chance_;
};

std::int64_t drawn_amount(fault_kind what, dice& chance) {
  switch (what) {
    case slow: return static_cast<std::int64_t>(10 + chance.below(91));
    // Up to a day, both ways.
    case skew: return static_cast<std::int64_t>(chance.below(2 * 86'400)) - 86'400;
    case loss:
    case doubling: return static_cast<std::int64_t>(10'000 + chance.below(90'000));
    case delay: return static_cast<std::int64_t>(20 + chance.below(400));
    default: return 0;
  }
}

} // namespace

std::string_view to_string(fault_kind x) {
  switch (x) {
    case cut: return "cut";
    case cut_one_way: return "cut one-way";
    case crash: return "crash";
    case kill: return "kill";
    case slow: return "slow";
    case stuck: return "stuck";
    case full_disk: return "full disk";
    case skew: return "skew";
    case loss: return "loss";
    case doubling: return "doubling";
    case delay: return "delay";
  }
  return "";
}

const std::vector<fault_kind>& all_fault_kinds() {
  static const auto all =
      std::vector<fault_kind>{cut, cut_one_way, crash, kill, slow, stuck, full_disk, skew, loss, doubling, delay};
  return all;
}

const std::vector<climate>& climates() {
  static const auto all = std::vector<climate>{
      {"drizzle", 30, 20s, {loss, doubling, delay, slow}},
      {"gusts", 60, 40s, {cut, cut_one_way, delay, loss, doubling}},
      {"storm", 120, 60s, all_fault_kinds()},
      {"quake", 60, 90s, {crash, kill, stuck, full_disk, skew, cut}},
  };
  return all;
}

const climate* find_climate(std::string_view name) {
  const auto found = std::ranges::find(climates(), name, &climate::name);
  return found == climates().end() ? nullptr : &*found;
}

std::vector<strike> draw_weather(const climate& what, std::uint64_t seed, moment length, host_number hosts,
                                 const std::vector<host_number>& voters, std::uint32_t first_number) {
  auto chance = dice{seed};
  auto kinds = std::vector<fault_kind>{};
  for (const auto kind : what.kinds)
    if (chance.below(2) == 0)
      kinds.push_back(kind);
  if (kinds.empty())
    kinds.push_back(what.kinds[chance.below(what.kinds.size())]);
  const auto hours = std::chrono::duration<double>(length).count() / 3600;
  const auto count = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(what.per_hour * hours));
  auto found = std::vector<strike>{};
  for (auto i = std::uint64_t{0}; i < count; ++i) {
    auto x = strike{};
    x.what = kinds[chance.below(kinds.size())];
    x.begin = chance.between(moment{0}, length * 9 / 10);
    x.length = chance.between(500ms, std::min(what.length_max, length - x.begin));
    // A third of the time it hits whoever votes: they are few, and matter most.
    x.whom = !voters.empty() && chance.below(3) == 0 ? voters[chance.below(voters.size())]
                                                     : static_cast<host_number>(chance.below(hosts));
    x.other = chance.below(2) == 0 ? x.whom : static_cast<host_number>(chance.below(hosts));
    x.torn = chance.below(2) == 0;
    x.amount = drawn_amount(x.what, chance);
    x.number = first_number + static_cast<std::uint32_t>(i);
    found.push_back(x);
  }
  std::ranges::sort(found, {}, [](const strike& x) { return std::pair{x.begin, x.number}; });
  return found;
}

} // namespace novacron::simulation
