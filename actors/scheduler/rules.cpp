#include "actors/scheduler/rules.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace novacron::scheduler {
namespace {

std::optional<double> number_in(const std::string& text) {
  auto x = 0.0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), x);
  if (text.empty() || wrong != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return x;
}

} // namespace

bool holds(const label_rule& x, const labels& of) {
  using enum label_rule::relation;
  const auto found = of.find(x.key);
  const auto there = found != of.end();
  const auto listed = there && std::ranges::find(x.values, found->second) != x.values.end();
  switch (x.is) {
    case in: return listed;
    case not_in: return !listed;
    case exists: return there;
    case absent: return !there;
    case above:
    case below: {
      if (!there || x.values.empty())
        return false;
      const auto has = number_in(found->second);
      const auto bound = number_in(x.values.front());
      if (!has || !bound)
        return false;
      return x.is == above ? *has > *bound : *has < *bound;
    }
  }
  return false;
}

std::string_view to_string(label_rule::relation x) {
  constexpr auto names = std::array<std::string_view, 6>{"in", "not_in", "exists", "absent", "above", "below"};
  return names[static_cast<std::size_t>(x)];
}

std::string_view to_string(taint_effect x) {
  constexpr auto names = std::array<std::string_view, 3>{"refuse", "avoid", "evict"};
  return names[static_cast<std::size_t>(x)];
}

std::string in_words(const label_rule& x) {
  auto text = x.key + " " + std::string{to_string(x.is)};
  for (const auto& value : x.values)
    text += (&value == &x.values.front() ? " " : ", ") + value;
  return text;
}

bool tolerates(const std::vector<toleration>& all, const taint& x) {
  return std::ranges::any_of(all, [&](const toleration& each) {
    return (each.key.empty() || each.key == x.key) && (each.value.empty() || each.value == x.value) &&
           (each.effect.empty() || each.effect == to_string(x.effect));
  });
}

std::string in_words(const taint& x) {
  return x.value.empty() ? x.key : x.key + "=" + x.value;
}

} // namespace novacron::scheduler
