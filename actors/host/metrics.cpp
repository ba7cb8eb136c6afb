#include "actors/host/metrics.hpp"

#include <fmt/format.h>

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace novacron::host {
namespace {

constexpr auto prefix = std::string_view{"novacron_"};

bool is_word(std::string_view text) {
  const auto fits = [](unsigned char c) { return std::islower(c) || std::isdigit(c) || c == '_'; };
  return !text.empty() && !std::isdigit(static_cast<unsigned char>(text.front())) && std::ranges::all_of(text, fits);
}

void check(std::string_view name, std::string_view help, std::string_view type, const metrics::labels& by) {
  const auto bug = [&](std::string_view what) {
    throw std::logic_error{fmt::format("metric \"{}\": {}", name, what)};
  };
  if (!is_word(name) || name.starts_with(prefix))
    bug("a name is lower case with underscores, without the prefix");
  if (help.empty())
    bug("every metric needs a help sentence");
  if ((type == "counter") != name.ends_with("_total"))
    bug("counters and only they end in _total");
  for (const auto& [key, value] : by)
    if (!is_word(key) || key == "le")
      bug("a label is lower case with underscores, and not le");
}

std::string escape(std::string_view text, bool quotes) {
  auto out = std::string{};
  for (const auto c : text) {
    if (c == '\\' || (quotes && c == '"'))
      out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value))
    return "NaN";
  if (std::isinf(value))
    return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

/// `{a="x",b="y"}`, or nothing without labels.
std::string braces(const metrics::labels& by, std::string_view bound = {}) {
  auto inside = std::string{};
  for (const auto& [key, value] : by)
    inside += fmt::format("{}{}=\"{}\"", inside.empty() ? "" : ",", key, escape(value, true));
  if (!bound.empty())
    inside += fmt::format("{}le=\"{}\"", inside.empty() ? "" : ",", bound);
  return inside.empty() ? inside : "{" + inside + "}";
}

void write_histogram(std::string& out, const std::string& name, const metrics::labels& by, const histogram& x) {
  const auto counts = x.counts();
  auto total = std::uint64_t{0};
  for (auto i = std::size_t{0}; i < counts.size(); ++i) {
    total += counts[i];
    const auto bound = i < x.bounds().size() ? number(x.bounds()[i]) : "+Inf";
    fmt::format_to(std::back_inserter(out), "{}_bucket{} {}\n", name, braces(by, bound), total);
  }
  fmt::format_to(std::back_inserter(out), "{}_sum{} {}\n", name, braces(by), number(x.sum()));
  fmt::format_to(std::back_inserter(out), "{}_count{} {}\n", name, braces(by), total);
}

/// The field of /proc/self/stat with this number in proc(5); the first after the process name is 3.
double stat_field(int wanted) {
  auto file = std::ifstream{"/proc/self/stat"};
  auto text = std::string{};
  std::getline(file, text);
  const auto after_name = text.rfind(')');
  auto fields = std::istringstream{after_name == text.npos ? std::string{} : text.substr(after_name + 1)};
  auto field = std::string{};
  for (auto i = 3; i <= wanted; ++i)
    fields >> field;
  return fields ? std::strtod(field.c_str(), nullptr) : 0;
}

double boot_time_seconds() {
  auto file = std::ifstream{"/proc/stat"};
  auto key = std::string{};
  auto value = 0.0;
  while (file >> key) {
    if (key == "btime" && file >> value)
      return value;
    file.ignore(1 << 16, '\n');
  }
  return 0;
}

double open_descriptors() {
  auto* directory = ::opendir("/proc/self/fd");
  if (!directory)
    return 0;
  auto count = 0;
  while (const auto* entry = ::readdir(directory))
    count += entry->d_name[0] != '.';
  ::closedir(directory);
  return count - 1; // the one that lists them
}

} // namespace

histogram::histogram(std::vector<double> bounds)
    : bounds_{std::move(bounds)}, counts_{std::make_unique<std::atomic<std::uint64_t>[]>(bounds_.size() + 1)} {
  if (bounds_.empty() || !std::ranges::is_sorted(bounds_, std::ranges::less_equal{}))
    throw std::logic_error{"the bounds of a histogram must rise"};
}

void histogram::observe(double value) {
  const auto at = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  counts_[static_cast<std::size_t>(at)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::vector<std::uint64_t> histogram::counts() const {
  auto all = std::vector<std::uint64_t>{};
  for (auto i = std::size_t{0}; i <= bounds_.size(); ++i)
    all.push_back(counts_[i].load(std::memory_order_relaxed));
  return all;
}

std::vector<double> seconds_of_answers() { return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}; }

std::vector<double> seconds_of_steps() {
  return {0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1};
}

metrics::series& metrics::find(std::string_view name, std::string_view help, std::string_view type, const labels& by) {
  check(name, help, type, by);
  auto& known = families_[std::string{prefix} + std::string{name}];
  if (known.type.empty())
    known = family{.help = std::string{help}, .type = std::string{type}, .all = {}};
  if (known.type != type)
    throw std::logic_error{fmt::format("metric \"{}\" is a {} and a {}", name, known.type, type)};
  if (known.all.size() < series_max || known.all.contains(by))
    return known.all[by];
  auto other = by;
  for (auto& [key, value] : other)
    value = "other";
  return known.all[other];
}

counter& metrics::count(std::string_view name, std::string_view help, const labels& by) {
  const auto lock = std::lock_guard{guard_};
  auto& x = find(name, help, "counter", by);
  if (!x.counted)
    x.counted = std::make_unique<counter>();
  return *x.counted;
}

gauge& metrics::level(std::string_view name, std::string_view help, const labels& by) {
  const auto lock = std::lock_guard{guard_};
  auto& x = find(name, help, "gauge", by);
  if (!x.levelled)
    x.levelled = std::make_unique<gauge>();
  return *x.levelled;
}

histogram& metrics::spread(std::string_view name, std::string_view help, std::vector<double> bounds, const labels& by) {
  const auto lock = std::lock_guard{guard_};
  auto& x = find(name, help, "histogram", by);
  if (!x.spread)
    x.spread = std::make_unique<histogram>(std::move(bounds));
  return *x.spread;
}

void metrics::sample(std::string_view name, std::string_view help, kind what, std::function<double()> read,
                     const labels& by) {
  const auto lock = std::lock_guard{guard_};
  find(name, help, what == kind::counter ? "counter" : "gauge", by).sampled = std::move(read);
}

std::string metrics::text() const {
  const auto lock = std::lock_guard{guard_};
  auto out = std::string{};
  for (const auto& [name, group] : families_) {
    fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, escape(group.help, false), name,
                   group.type);
    for (const auto& [by, x] : group.all) {
      if (x.spread)
        write_histogram(out, name, by, *x.spread);
      else if (x.sampled)
        fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, braces(by), number(x.sampled()));
      else if (x.counted)
        fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, braces(by), x.counted->value());
      else if (x.levelled)
        fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, braces(by), number(x.levelled->value()));
    }
  }
  return out;
}

void add_process_metrics(metrics& all) {
  using kind = metrics::kind;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  all.sample("process_resident_memory_bytes", "Memory of this process that is in RAM.", kind::gauge,
             [page] { return stat_field(24) * page; });
  all.sample("process_cpu_seconds_total", "Processor time that this process has used.", kind::counter,
             [ticks] { return (stat_field(14) + stat_field(15)) / ticks; });
  all.sample("process_open_fds", "Open file descriptors of this process.", kind::gauge, open_descriptors);
  all.sample("process_threads", "Threads of this process.", kind::gauge, [] { return stat_field(20); });
  all.sample("process_start_time_seconds", "When this process was started, since the Unix epoch.", kind::gauge,
             [start = boot_time_seconds() + stat_field(22) / ticks] { return start; });
}

void add_build_metrics(metrics& all, const std::string& version, const std::string& role, const std::string& node) {
  all.level("build_info", "What this node is; always 1.", {{"version", version}, {"role", role}, {"node", node}}).set(1);
}

} // namespace novacron::host
