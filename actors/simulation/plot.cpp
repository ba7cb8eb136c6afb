#include "actors/simulation/plot.hpp"

#include "actors/host/secure_file.hpp"
#include "actors/host/xml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <system_error>

namespace novacron::simulation {
namespace {

constexpr auto width = 1000.0;
constexpr auto left = 90.0;
constexpr auto right = 20.0;
constexpr auto panel_height = 120.0;
constexpr auto panel_gap = 46.0;
constexpr auto top = 70.0;
constexpr auto lane_height = 14.0;
constexpr auto lanes_max = 24;

struct curve {
  std::string name;
  std::string color;
  std::function<double(const outcome&, std::size_t)> at;
};
struct panel {
  std::string title;
  bool share = false;
  std::vector<curve> curves;
};

const std::vector<panel>& panels() {
  static const auto field = [](double sample::*what) {
    return [what](const outcome& x, std::size_t i) { return x.samples[i].*what; };
  };
  static const auto all = std::vector<panel>{
      {"Instances",
       false,
       {{"running", "#1b7837", field(&sample::running)}, {"pending", "#d95f02", field(&sample::pending)}}},
      {"Reserved", true, {{"cpu", "#2166ac", field(&sample::cpu)}, {"memory", "#762a83", field(&sample::memory)}}},
      {"Hosts up", false, {{"hosts", "#444444", field(&sample::hosts_up)}}},
      {"Messages in the busiest second", false, {{"messages", "#b2182b", field(&sample::messages)}}},
      {"Connections and starts in the busiest second",
       false,
       {{"connections", "#8c510a", field(&sample::connections)}, {"starts", "#01665e", field(&sample::starts)}}},
  };
  return all;
}

/// A number that is not below `x`, and whose quarters are easily read.
double round_up(double x) {
  if (x <= 0)
    return 1;
  const auto power = std::pow(10, std::floor(std::log10(x)));
  for (const auto step : {1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 5.0, 6.0, 8.0, 10.0})
    if (step * power >= x - 1e-9)
      return step * power;
  return x;
}

std::string number_text(double x) {
  if (x >= 1e6)
    return fmt::format("{:.3g} M", x / 1e6);
  return x >= 1e4 ? fmt::format("{:.3g} k", x / 1e3) : fmt::format("{:.4g}", x);
}

std::string time_text(double seconds) {
  if (seconds >= 2 * 86'400)
    return fmt::format("{:.3g} d", seconds / 86'400);
  if (seconds >= 2 * 3'600)
    return fmt::format("{:.3g} h", seconds / 3'600);
  return seconds >= 120 ? fmt::format("{:.3g} min", seconds / 60) : fmt::format("{:.3g} s", seconds);
}

/// How far apart times are marked, and in which unit: whole ones, as people count them, at most ten of them.
struct time_marks {
  double stride = 1;
  double unit = 1;
  const char* name = "s";
};

time_marks marks_for(double seconds) {
  struct scale {
    double unit;
    const char* name;
    std::vector<double> strides;
  };
  static const auto scales = std::vector<scale>{{1, "s", {1, 2, 5, 10, 15, 30}},
                                                {60, "min", {1, 2, 5, 10, 15, 30}},
                                                {3'600, "h", {1, 2, 3, 6, 12}},
                                                {86'400, "d", {1, 2, 5, 10, 20, 50, 100, 200, 500}}};
  for (const auto& x : scales)
    for (const auto stride : x.strides)
      if (seconds <= 10 * stride * x.unit)
        return {stride * x.unit, x.unit, x.name};
  return {round_up(seconds / 86'400 / 10) * 86'400, 86'400, "d"};
}

class drawing {
public:
  explicit drawing(const outcome& x)
      : x_{x}, end_{std::max(1e-9, std::chrono::duration<double>(x.virtual_time).count())} {}

  std::string draw() {
    const auto lanes = std::min<std::size_t>(x_.incidents.size(), lanes_max);
    const auto panels_end = top + static_cast<double>(panels().size()) * (panel_height + panel_gap);
    const auto height = panels_end + 40 + static_cast<double>(lanes) * lane_height + 30;
    out_ = fmt::format(
        R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1:.0f}" width="{0}" height="{1:.0f}" font-family="sans-serif" font-size="12">
<rect width="{0}" height="{1:.0f}" fill="#ffffff"/>
<text x="{2}" y="26" font-size="18" font-weight="bold">{3}, seed {4}</text>
<text x="{2}" y="46" fill="#555555">{5} virtual, {6} events, {7} messages, {8} violations, hash {9:016x}</text>
)",
        width, height, left, host::xml_escaped(x_.scenario), x_.seed, time_text(end_), x_.events, x_.messages.delivered,
        x_.violations.size(), x_.hash);
    auto y = top;
    for (const auto& each : panels()) {
      draw_panel(each, y);
      y += panel_height + panel_gap;
    }
    draw_faults(y);
    return out_ + "</svg>\n";
  }

private:
  double across(double seconds) const { return left + seconds / end_ * (width - left - right); }
  double across(moment x) const { return across(std::chrono::duration<double>(x).count()); }

  void draw_panel(const panel& what, double y) {
    auto most = what.share ? 1.0 : 0.0;
    for (const auto& curve : what.curves)
      for (auto i = std::size_t{0}; i < x_.samples.size(); ++i)
        most = std::max(most, curve.at(x_, i));
    most = round_up(most);
    shade(y);
    for (auto line = 0; line <= 4; ++line) {
      const auto at = y + panel_height * (1 - line / 4.0);
      const auto shown = what.share ? fmt::format("{:.0f} %", most * line * 25) : number_text(most * line / 4);
      out_ += fmt::format(
          R"(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#dddddd"/><text x="{:.1f}" y="{:.1f}" text-anchor="end" fill="#555555">{}</text>)"
          "\n",
          left, at, width - right, at, left - 6, at + 4, shown);
    }
    auto label = left;
    out_ += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" font-weight="bold">{}</text>)"
                        "\n",
                        left, y - 6, what.title);
    label += 9.0 * static_cast<double>(what.title.size()) + 12;
    for (const auto& curve : what.curves) {
      out_ += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" fill="{}">{}</text>)"
                          "\n",
                          label, y - 6, curve.color, curve.name);
      label += 8.0 * static_cast<double>(curve.name.size()) + 14;
      draw_curve(curve, y, most);
    }
    draw_times(y + panel_height + 16);
  }

  void draw_curve(const curve& what, double y, double most) {
    auto points = std::string{};
    for (auto i = std::size_t{0}; i < x_.samples.size(); ++i)
      points +=
          fmt::format("{:.1f},{:.1f} ", across(x_.samples[i].when), y + panel_height * (1 - what.at(x_, i) / most));
    out_ += fmt::format(R"(<polyline points="{}" fill="none" stroke="{}" stroke-width="1.5"/>)"
                        "\n",
                        points, what.color);
  }

  /// Faults stand behind the curves, so that cause and effect are one picture.
  void shade(double y) {
    for (const auto& x : x_.incidents)
      out_ +=
          fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="#d6604d" opacity="0.10"/>)"
                      "\n",
                      across(x.begin), y, std::max(1.0, across(x.end) - across(x.begin)), panel_height);
  }

  void draw_times(double y) {
    const auto marks = marks_for(end_);
    for (auto i = 0; i * marks.stride <= end_ * 1.0001; ++i)
      out_ += fmt::format(
          R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle" fill="#777777" font-size="10">{:.6g}{}</text>)"
          "\n",
          across(i * marks.stride), y, i * marks.stride / marks.unit,
          i == 0 ? std::string{} : fmt::format(" {}", marks.name));
  }

  void draw_faults(double y) {
    out_ += fmt::format(
        R"(<text x="{:.1f}" y="{:.1f}" font-weight="bold">Faults{}</text>)"
        "\n",
        left, y - 6,
        x_.incidents.size() > lanes_max ? fmt::format(" (the first {} of {})", lanes_max, x_.incidents.size()) : "");
    auto lane = 0;
    for (const auto& x : x_.incidents) {
      if (lane == lanes_max)
        break;
      const auto at = y + lane++ * lane_height;
      const auto from = across(x.begin);
      const auto to = std::max(from + 2, across(x.end));
      const auto inside = to > width - 260;
      out_ += fmt::format(
          R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="#d6604d"/><text x="{:.1f}" y="{:.1f}" font-size="10"{}>{}</text>)"
          "\n",
          from, at, to - from, lane_height - 3, inside ? from - 4 : to + 4, at + lane_height - 4,
          inside ? R"( text-anchor="end")" : "", host::xml_escaped(x.what + " " + x.whom));
    }
    draw_times(y + lane * lane_height + 16);
    for (const auto& x : x_.violations)
      out_ += fmt::format(
          R"(<line x1="{0:.1f}" y1="{1:.1f}" x2="{0:.1f}" y2="{2:.1f}" stroke="#b2182b" stroke-dasharray="4 3"><title>{3}</title></line>)"
          "\n",
          across(x.when), top, y + lane * lane_height, host::xml_escaped(x.rule + ": " + x.text));
  }

  const outcome& x_;
  double end_;
  std::string out_;
};

} // namespace

std::string plot(const outcome& x) {
  return drawing{x}.draw();
}

std::string keep_plot(const std::filesystem::path& file, const std::string& picture) {
  auto unknown = std::error_code{};
  const auto kind = std::filesystem::symlink_status(file, unknown).type();
  if (kind == std::filesystem::file_type::not_found || kind == std::filesystem::file_type::regular) {
    try {
      host::write_atomically(file, picture);
      return {};
    } catch (const std::system_error& problem) {
      return problem.what();
    }
  }
  // A pipe or /dev/stdout cannot be replaced.
  auto out = std::ofstream{file};
  out << picture << std::flush;
  return out ? std::string{} : "cannot write " + file.string() + ": " + std::strerror(errno);
}

} // namespace novacron::simulation
