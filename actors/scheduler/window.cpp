#include "actors/scheduler/window.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace novacron::scheduler {
namespace {

constexpr auto windows_max = std::size_t{1'000'000};

class line_reader {
public:
  explicit line_reader(std::string_view text) : rest_{text} {}

  /// The next line that is not empty, as words; empty at the end.
  std::vector<std::string_view> next() {
    while (!rest_.empty()) {
      ++number_;
      const auto end = std::min(rest_.find('\n'), rest_.size());
      auto words = split(rest_.substr(0, end));
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      if (!words.empty())
        return words;
    }
    return {};
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error{fmt::format("windows: line {}: {}", number_, what)};
  }

  double number(std::string_view word) const {
    auto value = 0.0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size() || !std::isfinite(value) || std::abs(value) > 1e15)
      fail(fmt::format("\"{}\" is not a number", word));
    return value;
  }

  std::size_t count(std::string_view word) const {
    const auto value = number(word);
    if (value < 0 || value > 100'000 || value != std::floor(value))
      fail(fmt::format("\"{}\" is not a count between 0 and 100000", word));
    return static_cast<std::size_t>(value);
  }

private:
  static std::vector<std::string_view> split(std::string_view line) {
    auto words = std::vector<std::string_view>{};
    for (;;) {
      line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
      if (line.empty())
        return words;
      const auto end = std::min(line.find_first_of(" \t\r"), line.size());
      words.push_back(line.substr(0, end));
      line.remove_prefix(end);
    }
  }

  std::string_view rest_;
  std::size_t number_ = 0;
};

/// The words of a line of that kind and length.
std::vector<std::string_view> expect(line_reader& from, std::string_view kind, std::size_t length) {
  const auto words = from.next();
  if (words.size() != length || words[0] != kind)
    from.fail(fmt::format("\"{}\" and {} numbers belong here", kind, length - 1));
  return words;
}

} // namespace

std::vector<window> read_windows(std::string_view text) {
  auto from = line_reader{text};
  auto all = std::vector<window>{};
  auto apps = std::map<std::string_view, std::uint32_t>{};
  for (auto words = from.next(); !words.empty(); words = from.next()) {
    if (words.size() != 4 || words[0] != "I")
      from.fail("\"I\" and 3 numbers belong here");
    if (all.size() == windows_max)
      from.fail("too many instances");
    auto& x = all.emplace_back();
    const auto nodes = from.count(words[1]);
    const auto requests = from.count(words[2]);
    x.optimum = from.number(words[3]);
    for (auto i = std::size_t{0}; i < nodes; ++i) {
      const auto n = expect(from, "N", 4);
      x.nodes.push_back({from.number(n[1]), from.number(n[2]), from.number(n[3])});
    }
    for (auto i = std::size_t{0}; i < requests; ++i) {
      const auto r = expect(from, "R", 7);
      const auto app = apps.try_emplace(r[4], static_cast<std::uint32_t>(apps.size())).first->second;
      const auto cap = std::clamp(from.number(r[5]), -1.0, 1e9);
      x.requests.push_back({{from.number(r[1]), from.number(r[2]), from.number(r[3])},
                            app,
                            static_cast<std::int32_t>(cap),
                            from.number(r[6])});
    }
  }
  return all;
}

std::string write_windows(std::span<const window> all) {
  auto text = std::string{};
  for (const auto& x : all) {
    text += fmt::format("I {} {} {}\n", x.nodes.size(), x.requests.size(), x.optimum);
    for (const auto& n : x.nodes)
      text += fmt::format("N {}\n", fmt::join(n, " "));
    for (const auto& r : x.requests)
      text += fmt::format("R {} {} {} {}\n", fmt::join(r.need, " "), r.app, r.cap, r.value);
  }
  return text;
}

bool fits(const window_amount& need, const window_amount& free) {
  // Sums of decimals miss by some 1e-16 of themselves.
  const auto within = [](double x, double limit) { return x <= limit + 1e-9 * (1 + std::abs(limit)); };
  return within(need[0], free[0]) && within(need[1], free[1]) && within(need[2], free[2]);
}

window_verdict judge(const window& x, const window_choices& where) {
  auto free = x.nodes;
  struct crowd {
    std::int32_t count = 0;
    /// The least cap of those that are there.
    std::int32_t cap = std::numeric_limits<std::int32_t>::max();
  };
  auto held = std::map<std::pair<std::int32_t, std::uint32_t>, crowd>{};
  auto found = window_verdict{};
  for (auto i = std::size_t{0}; i < x.requests.size() && i < where.size(); ++i) {
    const auto node = where[i];
    if (node < 0)
      continue;
    const auto& r = x.requests[i];
    if (static_cast<std::size_t>(node) >= x.nodes.size()) {
      ++found.violations;
      continue;
    }
    auto& app = held[{node, r.app}];
    auto& left = free[static_cast<std::size_t>(node)];
    if (r.cap >= 0)
      app.cap = std::min(app.cap, r.cap);
    ++app.count;
    found.violations += !fits(r.need, left) || app.count > app.cap;
    for (auto d = std::size_t{0}; d < left.size(); ++d)
      left[d] -= r.need[d];
    found.value += r.value;
  }
  return found;
}

window_maker::window_maker(std::mt19937_64& chance) {
  const auto below = [&](std::uint64_t n) { return static_cast<double>(chance() % n); };
  auto caps = std::array<std::int32_t, 8>{};
  for (auto& x : caps)
    x = chance() % 2 == 0 ? static_cast<std::int32_t>(1 + chance() % 2) : -1;
  for (auto i = std::uint32_t{0}; i < 16; ++i) {
    const auto gpus = chance() % 3 == 0 ? 1 + below(2) : 0;
    const auto cpu = 500 * (1 + below(12));
    const auto memory = 1024 * (1 + below(18));
    mix_.push_back({{cpu, memory, gpus}, i % 8, caps[i % 8], 1 + below(10)});
    weights_.push_back(1 + chance() % 8);
  }
}

window window_maker::make(std::mt19937_64& chance) const {
  const auto below = [&](std::uint64_t n) { return static_cast<double>(chance() % n); };
  auto x = window{};
  const auto nodes = 4 + chance() % 4;
  const auto requests = 8 + chance() % 5;
  for (auto i = std::uint64_t{0}; i < nodes; ++i) {
    const auto gpus = chance() % 2 == 0 ? below(5) : 0;
    x.nodes.push_back({2000 + 1000 * below(15), 4096 + 1024 * below(60), gpus});
  }
  const auto total = std::accumulate(weights_.begin(), weights_.end(), std::uint64_t{0});
  for (auto i = std::uint64_t{0}; i < requests; ++i) {
    auto at = chance() % total;
    auto kind = std::size_t{0};
    while (at >= weights_[kind])
      at -= weights_[kind++];
    x.requests.push_back(mix_[kind]);
  }
  return x;
}

} // namespace novacron::scheduler
