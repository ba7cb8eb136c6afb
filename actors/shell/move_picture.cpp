#include "actors/shell/move_picture.hpp"

#include "actors/host/xml.hpp"
#include "actors/shell/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace novacron::shell {
namespace {

constexpr auto width = 900.0;
constexpr auto left = 110.0;
constexpr auto right = 20.0;
constexpr auto top = 70.0;
constexpr auto panel_height = 130.0;
constexpr auto panel_gap = 46.0;
/// A pass that is over in a moment is seen all the same.
constexpr auto bar_width_min = 2.0;
constexpr auto page_size = std::uint64_t{4096};

struct panel {
  const char* title;
  const char* color;
  std::function<double(const v1::MovePass&)> of;
  std::function<std::string(double)> label;
};

const std::vector<panel>& panels() {
  static const auto bytes = [](double x) { return print_bytes(static_cast<std::uint64_t>(x)); };
  static const auto all = std::vector<panel>{
      {"Bytes on the wire", "#2166ac", [](const auto& x) { return static_cast<double>(x.bytes()); }, bytes},
      {"Bytes on the wire per second", "#1b7837",
       [](const auto& x) { return x.seconds() > 0 ? static_cast<double>(x.bytes()) / x.seconds() : 0; },
       [](double x) { return bytes(x) + "/s"; }},
      {"Memory in each pass", "#762a83", [](const auto& x) { return static_cast<double>(x.pages() * page_size); },
       bytes},
      {"Memory that the guest wrote meanwhile", "#b2182b",
       [](const auto& x) { return static_cast<double>(x.written() * page_size); }, bytes},
  };
  return all;
}

class picture {
public:
  explicit picture(const v1::Migration& x) : x_{x} {
    for (const auto& pass : x.course())
      seconds_ += std::max(0.0, pass.seconds());
  }

  std::string draw() {
    const auto height = top + static_cast<double>(panels().size()) * (panel_height + panel_gap);
    out_ = fmt::format(
        R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1:.0f}" width="{0}" height="{1:.0f}" font-family="sans-serif" font-size="12">
<rect width="{0}" height="{1:.0f}" fill="#ffffff"/>
<text x="{2}" y="26" font-size="18" font-weight="bold">{3}: {4} to {5}, {6}</text>
<text x="{2}" y="46" fill="#555555">{7} in {8} passes over {9:.3g} s, stood still {10:.0f} ms</text>
)",
        width, height, left, host::xml_escaped(x_.name()), host::xml_escaped(x_.source()),
        host::xml_escaped(x_.target()), host::xml_escaped(x_.phase()), print_bytes(x_.bytes()), x_.passes(), seconds_,
        x_.still_seconds() * 1000);
    auto y = top;
    for (const auto& each : panels()) {
      draw_panel(each, y);
      y += panel_height + panel_gap;
    }
    return out_ + "</svg>\n";
  }

private:
  double place_of(double seconds) const {
    return left + (width - left - right) * (seconds_ > 0 ? seconds / seconds_ : 0);
  }

  void draw_panel(const panel& what, double y) {
    auto most = 0.0;
    for (const auto& pass : x_.course())
      most = std::max(most, what.of(pass));
    const auto bottom = y + panel_height;
    out_ += fmt::format(R"(<text x="{}" y="{:.0f}" font-weight="bold">{}</text>
<line x1="{}" y1="{:.0f}" x2="{}" y2="{:.0f}" stroke="#444444"/>
<text x="{:.0f}" y="{:.0f}" text-anchor="end">{}</text>
<text x="{:.0f}" y="{:.0f}" text-anchor="end">0</text>
<text x="{}" y="{:.0f}" text-anchor="end">{:.3g} s</text>
)",
                        left, y - 8, what.title, left, bottom, width - right, bottom, left - 6, y + 10,
                        host::xml_escaped(what.label(most)), left - 6, bottom, width - right, bottom + 16, seconds_);
    auto from = 0.0;
    for (const auto& pass : x_.course()) {
      const auto until = from + std::max(0.0, pass.seconds());
      const auto part = most > 0 ? what.of(pass) / most : 0;
      const auto wide = std::max(bar_width_min, place_of(until) - place_of(from) - 1);
      out_ += fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>
)",
                          std::min(place_of(from), width - right - wide), bottom - part * panel_height, wide,
                          part * panel_height, what.color);
      from = until;
    }
  }

  const v1::Migration& x_;
  double seconds_ = 0;
  std::string out_;
};

} // namespace

std::string draw_move(const v1::Migration& x) {
  return x.course().empty() ? std::string{} : picture{x}.draw();
}

} // namespace novacron::shell
