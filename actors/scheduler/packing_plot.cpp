#include "actors/scheduler/packing_plot.hpp"

#include "actors/host/xml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <string_view>

namespace novacron::scheduler {
namespace {

constexpr auto width = 940.0;
constexpr auto height = 560.0;
constexpr auto left = 70.0;
/// For the names of what was published.
constexpr auto right = 230.0;
constexpr auto top = 60.0;
constexpr auto bottom = 50.0;
/// Below, all policies are the same line: what is asked for is there.
constexpr auto least = 60.0;
constexpr auto name_height = 14.0;
constexpr auto colors = std::array<std::string_view, 4>{"#2166ac", "#d95f02", "#1b7837", "#762a83"};

class drawing {
public:
  explicit drawing(const packing_picture& x) : x_{x} {
    for (const auto& [name, curve] : x.curves)
      most_ = std::max(most_, static_cast<double>(curve.size()) - 1);
  }

  std::string draw() {
    out_ = fmt::format(
        R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}" font-family="sans-serif" font-size="12">
<rect width="{0}" height="{1}" fill="#ffffff"/>
<text x="{2}" y="26" font-size="18" font-weight="bold">{3}</text>
<text x="{2}" y="44" fill="#555555">percent allocated over percent asked for, both of the capacity</text>
)",
        width, height, left, host::xml_escaped(x_.title));
    draw_grid();
    line(across(least), down(least), across(100), down(100), "#aaaaaa", R"( stroke-dasharray="4 3")");
    auto number = std::size_t{0};
    for (const auto& [name, curve] : x_.curves)
      draw_curve(name, curve, number++);
    draw_published();
    return out_ + "</svg>\n";
  }

private:
  double across(double asked) const { return left + (asked - least) / (most_ - least) * (width - left - right); }
  static double down(double allocated) {
    return height - bottom - (allocated - least) / (100 - least) * (height - top - bottom);
  }

  void line(double x1, double y1, double x2, double y2, std::string_view color, std::string_view more = {}) {
    out_ += fmt::format(R"(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}"{}/>)"
                        "\n",
                        x1, y1, x2, y2, color, more);
  }
  void text(double x, double y, std::string_view anchor, std::string_view color, std::string_view words) {
    out_ += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}" fill="{}">{}</text>)"
                        "\n",
                        x, y, anchor, color, host::xml_escaped(words));
  }

  void draw_grid() {
    for (auto mark = least; mark <= 100; mark += 5) {
      line(left, down(mark), width - right, down(mark), "#dddddd");
      text(left - 6, down(mark) + 4, "end", "#555555", fmt::format("{} %", mark));
    }
    for (auto mark = least; mark <= most_; mark += 10)
      text(across(mark), height - bottom + 18, "middle", "#555555", fmt::format("{} %", mark));
  }

  void draw_curve(const std::string& name, const std::vector<double>& curve, std::size_t number) {
    const auto color = colors[number % colors.size()];
    auto points = std::string{};
    for (auto asked = static_cast<std::size_t>(least); asked < curve.size(); ++asked)
      if (curve[asked] >= least)
        points += fmt::format("{:.1f},{:.1f} ", across(static_cast<double>(asked)), down(curve[asked]));
    out_ += fmt::format(R"(<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>)"
                        "\n",
                        points, color);
    text(left + 14, top + 16 + name_height * static_cast<double>(number), "start", color,
         curve.empty() ? name : fmt::format("{}: {:.2f} %", name, curve.back()));
  }

  /// A mark at the right edge each; names that would lie on one another move down.
  void draw_published() {
    auto all = x_.published;
    std::ranges::stable_sort(all, std::greater{}, &std::pair<std::string, double>::second);
    auto free = top;
    for (const auto& [name, value] : all) {
      if (value < least || value > 100)
        continue;
      line(width - right - 8, down(value), width - right + 4, down(value), "#b2182b", R"( stroke-width="2")");
      const auto at = std::max(free, down(value) + 4);
      free = at + name_height;
      text(width - right + 10, at, "start", "#b2182b", fmt::format("{}: {:.2f} %", name, value));
    }
  }

  const packing_picture& x_;
  double most_ = least + 1;
  std::string out_;
};

} // namespace

std::string plot_packing(const packing_picture& x) {
  return drawing{x}.draw();
}

} // namespace novacron::scheduler
