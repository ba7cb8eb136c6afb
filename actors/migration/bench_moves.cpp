#include "actors/migration/bench_moves.hpp"

#include "actors/migration/bench_link.hpp"
#include "actors/migration/bench_machine.hpp"
#include "actors/migration/qemu_guest.hpp"
#include "actors/migration/sink.hpp"
#include "actors/migration/source.hpp"
#include "actors/migration/watch_library.hpp"
#include "actors/migration/write_tracker.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

namespace novacron::migration {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

/// One way to move a guest.
struct way {
  std::string name;
  /// Streams of multifd; 0 for none.
  int channels = 0;
  bool zstd = false;
  bool ours = false;
};

const std::vector<way>& ways() {
  static const auto all = std::vector<way>{{.name = "plain"},
                                           {.name = "multifd4", .channels = 4},
                                           {.name = "multifd8", .channels = 8},
                                           {.name = "multifd4_zstd", .channels = 4, .zstd = true},
                                           {.name = "multifd8_zstd", .channels = 8, .zstd = true},
                                           {.name = "ours", .ours = true}};
  return all;
}

/// What a move took: seconds, bytes on the wire, seconds of processors.
struct taken {
  double wall = 0;
  double gap = 0;
  double bytes = 0;
  double cpu = 0;
};

double seconds(clock::duration x) {
  return std::chrono::duration<double>{x}.count();
}

/// Chosen: ten times what the slowest of QEMU's modes takes over 200 Mbit/s.
constexpr auto move_patience = 240s;

/// A directory of the bench, cleared at the end.
class bench_place {
public:
  explicit bench_place(const fs::path& where) : path_{where / fmt::format("nvb-{:x}", std::random_device{}())} {
    fs::create_directories(path_);
  }
  ~bench_place() {
    auto ignored = std::error_code{};
    fs::remove_all(path_, ignored);
  }
  bench_place(const bench_place&) = delete;
  bench_place& operator=(const bench_place&) = delete;
  const fs::path& path() const { return path_; }

private:
  fs::path path_;
};

/// All that the moves of one pace of the guest have in common: its saved begin, and what its memory adds up to.
class ground {
public:
  ground(const bench_moves_options& options, const fs::path& place, std::uint64_t dirty)
      : options_{options}, place_{place}, dirty_{dirty} {
    auto machine = bench_machine{order("begin")};
    options.progress(fmt::format("starting the guest ({} pages/s dirtied)", dirty));
    machine.await_counts(50, 300s);
    checksum_ = machine.ask_sum(120s).checksum;
    machine.words().ask("stop");
    machine.words().ask("migrate-set-parameters", R"({"max-bandwidth":8589934592})");
    machine.words().ask("migrate", fmt::format(R"({{"uri":"exec:cat > {}"}})", state().string()));
    machine.await_status("postmigrate", 120s);
  }
  ~ground() {
    auto ignored = std::error_code{};
    fs::remove(state(), ignored);
  }
  ground(const ground&) = delete;
  ground& operator=(const ground&) = delete;

  taken move(const way& by, const bench_link& link) const {
    auto from = order("from");
    from.incoming = fmt::format("exec:cat {}", state().string());
    from.on = link.on(0);
    from.shared = by.ours;
    if (by.ours)
      from.watch = write_watch_library(place_);
    auto to = order("to");
    to.incoming = "defer";
    to.on = link.on(1);
    to.shared = by.ours;
    auto source = bench_machine{from};
    source.await_status("paused", 120s);
    auto target = bench_machine{to};
    source.words().ask("cont");
    source.await_counts(15, 60s);
    const auto bytes = link.bytes();
    const auto cpu = source.cpu_seconds() + target.cpu_seconds();
    const auto begin = clock::now();
    auto found = by.ours ? by_ours(source, target, link) : by_qemu(by, source, target);
    found.wall = seconds(clock::now() - begin);
    found.cpu += source.cpu_seconds() + target.cpu_seconds() - cpu;
    target.await_counts(5, 60s);
    target.complete_line(source.half_line());
    found.bytes = static_cast<double>(link.bytes() - bytes);
    found.gap = gap(source.counts(), target.counts());
    const auto sum = target.ask_sum(120s);
    if (sum.bad > 0 || sum.checksum != checksum_)
      throw std::runtime_error{
          fmt::format("the guest was not whole after it was moved by {}: {} of {} pages bad, checksum {} "
                      "instead of {}",
                      by.name, sum.bad, sum.looked_at, sum.checksum, checksum_)};
    return found;
  }

private:
  machine_order order(const std::string& name) const {
    return {.directory = place_,
            .name = name,
            .guest = options_.guest,
            .kernel_words = fmt::format("console=ttyS0 quiet rdinit=/init panic=-1 wl.fill={} wl.ws={} wl.rate={}",
                                        options_.fill_mib, options_.set_mib, dirty_),
            .memory_kib = options_.memory_kib};
  }
  fs::path state() const { return place_ / fmt::format("state-{}", dirty_); }

  static taken by_qemu(const way& by, bench_machine& source, bench_machine& target) {
    for (auto* each : {&source, &target}) {
      if (by.channels > 0)
        each->words().ask("migrate-set-capabilities", R"({"capabilities":[{"capability":"multifd","state":true}]})");
      if (by.channels > 0)
        each->words().ask("migrate-set-parameters",
                          fmt::format(R"({{"multifd-channels":{},"multifd-compression":"{}"}})", by.channels,
                                      by.zstd ? "zstd" : "none"));
    }
    source.words().ask("migrate-set-parameters", R"({"max-bandwidth":8589934592})");
    target.words().ask("migrate-incoming", fmt::format(R"({{"uri":"tcp:{}:4444"}})", bench_link::address(1)));
    source.words().ask("migrate", fmt::format(R"({{"uri":"tcp:{}:4444"}})", bench_link::address(1)));
    target.await_status("running", move_patience);
    return {};
  }

  taken by_ours(bench_machine& source, bench_machine& target, const bench_link& link) const {
    const auto there = qemu_target(target.pid(), target.monitor_socket(true));
    const auto here = qemu_source(source.pid(), source.monitor_socket(true));
    const auto tracker = track_writes(source.pid());
    auto [ours, theirs] = link.connect(options_.streams > 0 ? options_.streams : stream_count_here());
    const auto wrapped = [](const std::vector<int>& all) {
      auto made = std::vector<std::unique_ptr<channel>>{};
      for (const auto fd : all)
        made.push_back(make_socket_channel(fd));
      return made;
    };
    auto settings = source_settings{.hash_seed = std::random_device{}(), .coding = options_.coding};
    auto received = sink_report{};
    auto sent = source_report{};
    {
      auto sink = std::jthread{[&] { received = receive_guest(*there, wrapped(theirs), settings.token); }};
      sent = send_guest(*here, *tracker, wrapped(ours), settings);
    }
    if (sent.guest != whereabouts::moved)
      throw std::runtime_error{
          fmt::format("the guest was not moved: {}; the target says: {}", sent.reason, received.reason)};
    auto passes = std::string{};
    for (const auto& each : sent.passes)
      passes +=
          fmt::format(" {}p/{:.2f}MB/{:.0f}ms", each.pages, static_cast<double>(each.bytes) / 1e6, each.seconds * 1e3);
    options_.progress(fmt::format("  downtime {:.1f} ms, {} {}, passes{}", sent.downtime * 1e3,
                                  name(sent.coding.coding), sent.coding.level, passes));
    return {.cpu = sent.cpu_seconds + received.cpu_seconds};
  }

  /// How long nobody counted, at the place where the guest moved; every number has to be there once.
  static double gap(const std::vector<guest_count>& before, const std::vector<guest_count>& after) {
    if (before.empty() || after.empty() || before.back().number + 1 != after.front().number)
      throw std::runtime_error{fmt::format("the guest's count went from {} to {}",
                                           before.empty() ? 0 : before.back().number,
                                           after.empty() ? 0 : after.front().number)};
    return seconds(after.front().heard - before.back().heard);
  }

  const bench_moves_options& options_;
  fs::path place_;
  std::uint64_t dirty_;
  std::string checksum_;
};

void check(const bench_moves_options& options) {
  for (const auto* each : {"vmlinuz", "initramfs"})
    if (!fs::exists(options.guest / each))
      throw std::runtime_error{
          fmt::format("{} has no {}; make a guest with share/guest/workload DIR, or name one with --guest=DIR",
                      options.guest.string(), each)};
  if (const auto lack = tracking_lack(); !lack.empty())
    throw std::runtime_error{lack};
  if (::geteuid() != 0)
    throw std::runtime_error{"networks of their own take root; run the bench as root"};
  for (const auto& each : options.modes)
    if (std::ranges::find(ways(), each, &way::name) == ways().end())
      throw std::runtime_error{fmt::format("there is no mode {}; there are {}", each, fmt::join(bench_modes(), ", "))};
}

double median(const std::vector<taken>& all, double taken::*what) {
  auto values = std::vector<double>{};
  for (const auto& each : all)
    values.push_back(each.*what);
  return host::quantile(values, 0.5);
}

using found_by_mode = std::map<std::string, std::vector<taken>>;

void add_figures(const found_by_mode& found, const std::string& where, std::vector<host::figure>& all) {
  struct column {
    const char* name;
    double taken::*what;
    const char* unit;
  };
  for (const auto& [name, what, unit] : {column{"wall", &taken::wall, "s"},
                                         {"gap", &taken::gap, "s"},
                                         {"bytes", &taken::bytes, "B"},
                                         {"cpu", &taken::cpu, "s"}}) {
    auto best = std::string{};
    for (const auto& [mode, values] : found)
      if (mode != "ours" && (best.empty() || median(values, what) < median(found.at(best), what)))
        best = mode;
    for (const auto& [mode, values] : found) {
      const auto title = fmt::format("{}_{}_{}", mode, where, name);
      const auto value = median(values, what);
      if (mode == "ours" && !best.empty())
        all.push_back(host::beside(title, value, unit, "QEMU's best, " + best, median(found.at(best), what)));
      else
        all.push_back({title, value, unit});
    }
  }
}

} // namespace

std::vector<std::string> bench_modes() {
  auto all = std::vector<std::string>{};
  for (const auto& each : ways())
    all.push_back(each.name);
  return all;
}

std::vector<std::string> read_words(const std::string& text) {
  auto all = std::vector<std::string>{};
  auto parts = std::istringstream{text};
  for (auto part = std::string{}; std::getline(parts, part, ',');)
    all.push_back(part);
  return all;
}

std::vector<std::uint64_t> read_numbers(const std::string& text) {
  auto all = std::vector<std::uint64_t>{};
  for (const auto& part : read_words(text)) {
    auto x = std::uint64_t{0};
    const auto* const end = part.data() + part.size();
    if (const auto [rest, wrong] = std::from_chars(part.data(), end, x); wrong != std::errc{} || rest != end)
      return {};
    all.push_back(x);
  }
  return all;
}

std::vector<host::figure> bench_moves(const bench_moves_options& options) {
  check(options);
  const auto place = bench_place{options.scratch};
  auto all = std::vector<host::figure>{};
  for (const auto dirty : options.dirty) {
    const auto begin = ground{options, place.path(), dirty};
    for (const auto rate : options.links) {
      auto found = found_by_mode{};
      for (auto i = 0u; i < options.repetitions; ++i)
        for (const auto& by : ways()) {
          if (!options.modes.empty() && std::ranges::find(options.modes, by.name) == options.modes.end())
            continue;
          const auto link = bench_link{static_cast<double>(rate) * 1e6};
          const auto x = begin.move(by, link);
          found[by.name].push_back(x);
          options.progress(fmt::format("{} {} Mbit/s {} pages/s: {:.3f} s, gap {:.0f} ms, {:.1f} MB, cpu {:.2f} s",
                                       by.name, rate, dirty, x.wall, x.gap * 1e3, x.bytes / 1e6, x.cpu));
        }
      add_figures(found, fmt::format("{}_{}", rate, dirty), all);
    }
  }
  return all;
}

} // namespace novacron::migration
