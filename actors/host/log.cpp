#include "actors/host/log.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <mutex>

namespace novacron::host {
namespace {

constexpr auto names = std::array<std::string_view, 6>{"trace", "debug", "info", "warn", "error", "off"};

struct settings {
  std::mutex mutex;
  level all = level::info;
  std::map<std::string, level> prefixes;
  log_format format = log_format::automatic;
  std::string node;
  std::function<void(std::string_view)> sink;
};

settings& current() {
  static auto& one = *new settings; // never destroyed: threads may log while the process ends
  return one;
}

/// The lowest level anybody wants: what is below is dropped without a lock.
std::atomic<level> lowest{level::info};
/// Whether some actor has a level of its own.
std::atomic<bool> particular{false};

void publish(const settings& x) {
  auto low = x.all;
  for (const auto& [prefix, wanted] : x.prefixes)
    low = std::min(low, wanted);
  particular = !x.prefixes.empty();
  lowest = low;
}

level wanted_for(const settings& x, std::string_view actor) {
  auto found = x.all;
  auto length = std::size_t{0};
  for (const auto& [prefix, wanted] : x.prefixes)
    if (actor.starts_with(prefix) && prefix.size() >= length) {
      found = wanted;
      length = prefix.size();
    }
  return found;
}

/// The length of the UTF-8 sequence at the front of `x`, 0 if there is none.
std::size_t sequence_length(std::string_view x) {
  const auto first = static_cast<unsigned char>(x[0]);
  const auto length = first < 0x80   ? 1u
                      : first < 0xc2 ? 0u
                      : first < 0xe0 ? 2u
                      : first < 0xf0 ? 3u
                      : first < 0xf5 ? 4u
                                     : 0u;
  if (length == 0 || length > x.size())
    return 0;
  for (auto i = 1u; i < length; ++i)
    if ((static_cast<unsigned char>(x[i]) & 0xc0) != 0x80)
      return 0;
  const auto second = length > 1 ? static_cast<unsigned char>(x[1]) : 0u;
  const auto overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const auto beyond = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
  return overlong || beyond ? 0 : length;
}

void append_json(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const auto length = sequence_length(text);
    const auto first = text[0];
    if (length == 0)
      out += "\xef\xbf\xbd";
    else if (first == '"' || first == '\\')
      (out += '\\') += first;
    else if (first == '\n')
      out += "\\n";
    else if (static_cast<unsigned char>(first) < 0x20 || first == 0x7f)
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(first));
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  out += '"';
}

/// Control characters could rewrite an operator's terminal.
void append_plain(std::string& out, std::string_view text) {
  for (const auto c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    else
      out += c;
}

void append_pair(std::string& out, std::string_view key, std::string_view value) {
  out += ',';
  append_json(out, key);
  out += ':';
  append_json(out, value);
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(fd, bytes.data(), bytes.size());
    if (count > 0)
      bytes.remove_prefix(static_cast<std::size_t>(count));
    else if (count < 0 && errno != EINTR)
      return; // stderr is gone or full: a log line is not worth blocking or failing for
  }
}

} // namespace

std::string_view to_string(level x) {
  return names[static_cast<std::size_t>(x)];
}

std::optional<level> parse_level(std::string_view text) {
  for (auto i = std::size_t{0}; i < names.size(); ++i)
    if (names[i] == text)
      return static_cast<level>(i);
  return {};
}

std::string rfc3339(std::chrono::system_clock::time_point x) {
  const auto since = std::chrono::floor<std::chrono::milliseconds>(x.time_since_epoch()).count();
  const auto rest = ((since % 1000) + 1000) % 1000;
  const auto seconds = static_cast<std::time_t>((since - rest) / 1000);
  auto parts = std::tm{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, rest);
}

std::string json_string(std::string_view text) {
  auto out = std::string{};
  append_json(out, text);
  return out;
}

std::string json_line(const log_line& x) {
  auto out = std::string{"{\"ts\":\""} + rfc3339(x.time) + '"';
  append_pair(out, "level", to_string(x.severity));
  append_pair(out, "msg", x.text);
  append_pair(out, "actor", x.actor);
  append_pair(out, "node", x.node);
  for (const auto& one : x.fields)
    append_pair(out, one.key, one.value);
  return out + "}\n";
}

std::string human_line(const log_line& x, bool colour) {
  constexpr auto colours = std::array{"\x1b[2m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m", ""};
  auto out = rfc3339(x.time).substr(11, 12) + ' ';
  out += colour ? colours[static_cast<std::size_t>(x.severity)] : "";
  out += fmt::format("{:<5}", to_string(x.severity));
  out += colour ? "\x1b[0m " : " ";
  append_plain(out, x.node);
  out += x.node.empty() ? "" : "/";
  append_plain(out, x.actor);
  out += ": ";
  append_plain(out, x.text);
  for (const auto& one : x.fields) {
    out += ' ';
    append_plain(out, one.key);
    out += '=';
    append_plain(out, one.value);
  }
  return out + '\n';
}

void set_log_format(log_format x) {
  const auto lock = std::lock_guard{current().mutex};
  current().format = x;
}

void set_log_node(std::string name) {
  const auto lock = std::lock_guard{current().mutex};
  current().node = std::move(name);
}

void set_log_sink(std::function<void(std::string_view line)> sink) {
  const auto lock = std::lock_guard{current().mutex};
  current().sink = std::move(sink);
}

void set_log_level(level x) {
  set_log_level({}, x);
}

void set_log_level(std::string_view prefix, level x) {
  auto& now = current();
  const auto lock = std::lock_guard{now.mutex};
  if (prefix.empty())
    now.all = x;
  else
    now.prefixes[std::string{prefix}] = x;
  publish(now);
}

void clear_log_levels() {
  auto& now = current();
  const auto lock = std::lock_guard{now.mutex};
  now.prefixes.clear();
  publish(now);
}

std::map<std::string, level> log_levels() {
  auto& now = current();
  const auto lock = std::lock_guard{now.mutex};
  auto all = now.prefixes;
  all[""] = now.all;
  return all;
}

bool log_enabled(level severity, std::string_view actor) {
  if (severity < lowest.load(std::memory_order_relaxed) || severity == level::off)
    return false;
  if (!particular.load(std::memory_order_relaxed))
    return true;
  auto& now = current();
  const auto lock = std::lock_guard{now.mutex};
  return severity >= wanted_for(now, actor);
}

void write_log(level severity, std::string_view actor, std::string_view text, std::initializer_list<field> fields) {
  static const auto terminal = ::isatty(STDERR_FILENO) == 1;
  static const auto colourless = std::getenv("NO_COLOR") != nullptr;
  auto line = log_line{std::chrono::system_clock::now(), severity, actor, {}, text, fields};
  auto& now = current();
  const auto lock = std::lock_guard{now.mutex};
  line.node = now.node;
  const auto human = now.format == log_format::human || (now.format == log_format::automatic && terminal);
  const auto whole = human ? human_line(line, terminal && !colourless && !now.sink) : json_line(line);
  if (now.sink)
    now.sink(whole);
  else
    write_all(STDERR_FILENO, whole);
}

void write_log(level severity, std::string_view actor, fmt::string_view pattern, fmt::format_args values,
               std::initializer_list<field> fields) {
  write_log(severity, actor, fmt::vformat(pattern, values), fields);
}

rate_limit::rate_limit(std::chrono::nanoseconds period, std::size_t keys_max) : period_{period}, keys_max_{keys_max} {}

std::optional<std::uint64_t> rate_limit::admit(std::string_view key, std::chrono::steady_clock::time_point now) {
  const auto found = seen_.find(key);
  if (found == seen_.end()) {
    make_room(now);
    seen_.emplace(key, seen{now, 0});
    return 0;
  }
  auto& [last, held_back] = found->second;
  if (now - last < period_) {
    ++held_back;
    return {};
  }
  last = now;
  return std::exchange(held_back, 0);
}

void rate_limit::make_room(std::chrono::steady_clock::time_point now) {
  if (seen_.size() < keys_max_)
    return;
  std::erase_if(seen_, [&](const auto& x) { return now - x.second.last >= period_; });
  if (seen_.size() >= keys_max_)
    seen_.clear();
}

std::optional<std::uint64_t> admit_repeated(std::string_view actor, std::string_view key) {
  static auto& mutex = *new std::mutex;
  static auto& limit = *new rate_limit{std::chrono::seconds{10}};
  const auto lock = std::lock_guard{mutex};
  return limit.admit(std::string{actor} + '\n' + std::string{key}, std::chrono::steady_clock::now());
}

} // namespace novacron::host
