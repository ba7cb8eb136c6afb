#include "actors/host/figures.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <thread>

namespace novacron::host {
namespace {

std::string processor() {
  auto file = std::ifstream{"/proc/cpuinfo"};
  for (auto line = std::string{}; std::getline(file, line);)
    if (line.starts_with("model name") && line.find(": ") != line.npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

nlohmann::json machine() {
  auto name = utsname{};
  ::uname(&name);
  return {{"cores", std::thread::hardware_concurrency()},
          {"processor", processor()},
          {"kernel", name.release},
          {"memory", static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))}};
}

} // namespace

figure beside(std::string name, double value, std::string unit, std::string peer, double peer_value) {
  const auto ratio = peer_value != 0 ? value / peer_value : 0;
  return {std::move(name), value, std::move(unit), std::move(peer), peer_value, ratio};
}

std::string bench_json(std::string_view area, std::string_view version, const std::vector<figure>& figures) {
  auto found = nlohmann::ordered_json::object();
  for (const auto& x : figures) {
    auto entry = nlohmann::ordered_json{{"value", x.value}, {"unit", x.unit}};
    if (!x.peer.empty()) {
      entry["peer"] = x.peer;
      entry["peer_value"] = x.peer_value;
      entry["ratio"] = x.ratio;
    }
    if (!x.rows.empty())
      entry["rows"] = x.rows;
    found[x.name] = std::move(entry);
  }
  return nlohmann::ordered_json{{"bench", area}, {"version", version}, {"machine", machine()}, {"figures", found}}.dump(
      2);
}

std::string bench_table(std::string_view area, const std::vector<figure>& figures) {
  auto text = fmt::format("{:<28} {:>14} {:<5} {:>14} {:>7}  PEER\n", area, "VALUE", "UNIT", "PEER VALUE", "RATIO");
  for (const auto& x : figures)
    text += x.peer.empty() ? fmt::format("{:<28} {:>14.6g} {:<5}\n", x.name, x.value, x.unit)
                           : fmt::format("{:<28} {:>14.6g} {:<5} {:>14.6g} {:>7.3f}  {}\n", x.name, x.value, x.unit,
                                         x.peer_value, x.ratio, x.peer);
  return text;
}

double quantile(std::vector<double> values, double q) {
  if (values.empty())
    return 0;
  std::ranges::sort(values);
  const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
  return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

} // namespace novacron::host
