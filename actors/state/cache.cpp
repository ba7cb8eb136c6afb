#include "actors/state/cache.hpp"

namespace novacron::cache {
namespace {

/// A list node, a map node and two strings; measured with malloc_usable_size on 64 bit.
constexpr std::size_t overhead_bytes = 224;

std::size_t cost(const std::string& key, const std::string& value) { return 2 * key.size() + value.size() + overhead_bytes; }

} // namespace

found judge(std::optional<item> kept, std::uint64_t index_min) {
  if (kept && kept->index < index_min)
    return {.what = {}, .stale = true};
  return {.what = std::move(kept)};
}

found embedded::get(const std::string& key, std::uint64_t index_min, instant now) {
  const auto known = kept_.find(key);
  if (known == kept_.end())
    return {};
  if (known->second->end && *known->second->end <= now) {
    drop(known->second);
    return {};
  }
  order_.splice(order_.begin(), order_, known->second);
  return judge(known->second->what, index_min);
}

void embedded::put(const std::string& key, item what, duration life, instant now) {
  if (const auto known = kept_.find(key); known != kept_.end()) {
    if (known->second->what.index > what.index)
      return;
    drop(known->second);
  }
  const auto size = cost(key, what.value);
  if (size > settings_.bytes_max)
    return;
  while (bytes_ + size > settings_.bytes_max)
    drop(std::prev(order_.end()));
  const auto end = life > duration::zero() ? std::optional{now + life} : std::nullopt;
  order_.push_front({key, std::move(what), end});
  kept_.emplace(key, order_.begin());
  bytes_ += size;
}

void embedded::erase(const std::string& key) {
  if (const auto known = kept_.find(key); known != kept_.end())
    drop(known->second);
}

void embedded::drop(place which) {
  bytes_ -= cost(which->key, which->what.value);
  kept_.erase(which->key);
  order_.erase(which);
}

} // namespace novacron::cache
