#include "actors/simulation/network.hpp"

#include <algorithm>
#include <utility>

namespace novacron::simulation {

std::vector<host_number> host_set::all() const {
  auto found = std::vector<host_number>{};
  for (auto i = host_number{0}; i < has_.size(); ++i)
    if (has_[i])
      found.push_back(i);
  return found;
}

void network::shape(std::string name, host_set a, host_set b, way_quality quality) {
  shapes_.push_back({std::move(name), std::move(a), std::move(b), false, quality});
}

void network::cut(std::string name, host_set a, host_set b, bool one_way) {
  cuts_.push_back({std::move(name), std::move(a), std::move(b), one_way, {}});
}

std::size_t network::heal(const std::string& name) {
  return std::erase_if(cuts_, [&](const rule& x) { return name.empty() || x.name == name; });
}

std::size_t network::smooth(const std::string& name) {
  return std::erase_if(shapes_, [&](const rule& x) { return name.empty() || x.name == name; });
}

bool network::is_cut(host_number from, host_number to) const {
  return std::ranges::any_of(cuts_, [&](const rule& x) {
    return (x.a.contains(from) && x.b.contains(to)) || (!x.one_way && x.a.contains(to) && x.b.contains(from));
  });
}

const way_quality& network::quality(host_number from, host_number to) const {
  for (auto x = shapes_.rbegin(); x != shapes_.rend(); ++x)
    if ((x->a.contains(from) && x->b.contains(to)) || (x->a.contains(to) && x->b.contains(from)))
      return x->quality;
  return usual;
}

passage network::pass(host_number from, host_number to, std::uint32_t size) {
  const auto& how = quality(from, to);
  auto delay = how.latency;
  if (how.jitter.count() > 0)
    delay += moment{static_cast<std::int64_t>(drawn(static_cast<std::uint64_t>(how.jitter.count())))};
  if (how.bandwidth > 0)
    delay += moment{static_cast<std::int64_t>(size * 1'000'000'000ull / how.bandwidth)};
  auto found = passage{delay, {}};
  if (how.lost > 0 && drawn(1'000'000) < how.lost)
    found.delay.reset();
  if (how.doubled > 0 && drawn(1'000'000) < how.doubled)
    found.again = delay + how.latency + moment{1};
  return found;
}

} // namespace novacron::simulation
