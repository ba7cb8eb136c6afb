#pragma once

/// A window of requests for a few nodes: what is to be placed where, so that the value placed is greatest.

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::scheduler {

/// Cpu, memory and GPUs, in whatever unit the window is written.
using window_amount = std::array<double, 3>;

struct window_request {
  window_amount need{};
  std::uint32_t app = 0;
  /// At most so many of the app on one node; -1 for any number.
  std::int32_t cap = -1;
  double value = 0;
};

struct window {
  /// What is free on each node.
  std::vector<window_amount> nodes;
  std::vector<window_request> requests;
  /// The greatest value that can be placed, as the file says.
  double optimum = 0;
};

/// The node of every request, -1 for none.
using window_choices = std::vector<std::int32_t>;

/// Reads "I nodes requests optimum", then "N cpu memory gpu" and "R cpu memory gpu app cap value" lines. Apps are any
/// words; equal words are one app throughout the file. Throws, naming the line.
std::vector<window> read_windows(std::string_view text);

std::string write_windows(std::span<const window> all);

/// Whether `need` fits into `free`; decimals that add up to the same count as the same.
bool fits(const window_amount& need, const window_amount& free);

/// The value placed; the number of requests that do not fit where they are, counted anew from the window.
struct window_verdict {
  double value = 0;
  std::size_t violations = 0;
};
window_verdict judge(const window& x, const window_choices& where);

/// Makes windows of one mix of requests, drawn from `chance`: 4 to 7 partly loaded nodes, 8 to 12 requests.
class window_maker {
public:
  explicit window_maker(std::mt19937_64& chance);
  window make(std::mt19937_64& chance) const;

private:
  std::vector<window_request> mix_;
  std::vector<std::uint64_t> weights_;
};

} // namespace novacron::scheduler
