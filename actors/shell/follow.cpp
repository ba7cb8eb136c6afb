#include "actors/shell/follow.hpp"

#include "actors/shell/interrupt.hpp"
#include "actors/shell/units.hpp"
#include "actors/shell/views.hpp"
#include "messages/wire/http.pb.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <ostream>

namespace novacron::shell {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// How long the fabric may hold an answer back while there is nothing new; chosen below usual time-outs of proxies.
constexpr auto patience = milliseconds{20s};
constexpr auto trace_patience = milliseconds{2s};
constexpr auto retry_first_ms = 200;
constexpr auto retry_last_ms = 5'000;
constexpr auto clear_screen = "\x1b[H\x1b[2J\x1b[3J";

/// Takes steps until one says that nothing follows. A fabric that goes away is waited for: who follows something
/// wants to see what happens after a failure most of all.
int follow(session& with, const std::function<bool()>& step) {
  auto wait = retry_first_ms;
  try {
    while (true) {
      try {
        const auto more = step();
        deliver(with.out);
        if (!more)
          return 0;
        wait = retry_first_ms;
      } catch (const failure& x) {
        if (x.code != exit_code::unreachable && x.code != exit_code::timeout)
          throw;
        if (wait == retry_first_ms)
          with.err << x.what() << "; trying again" << std::endl;
        with.pause(wait);
        wait = std::min(2 * wait, retry_last_ms);
      }
    }
  } catch (const interrupted&) {
    with.err << std::endl;
    return 0;
  }
}

std::string logs_path(const std::string& instance, std::int64_t offset, std::size_t limit, milliseconds wait) {
  return fmt::format("/v1/instances/{}/logs?offset={}&limit={}&wait_ms={}", url_encode(instance), offset, limit,
                     wait.count());
}

/// Below the largest message that actors send one another, as base64.
constexpr auto log_bytes = std::size_t{512} << 10;
constexpr auto tail_bytes_max = std::int64_t{16} << 20;

struct log_part {
  std::string data;
  std::int64_t next = 0;
  bool ended = false;
};

log_part log_since(session& with, const std::string& instance, std::int64_t offset) {
  auto all = log_part{.next = offset};
  while (true) {
    const auto chunk = read<v1::LogChunk>(with.fabric().get(logs_path(instance, all.next, log_bytes, 0ms)));
    all.data += chunk.data();
    all.next = chunk.next_offset();
    all.ended = chunk.ended();
    if (chunk.data().empty() || all.ended)
      return all;
  }
}

/// Where the last `lines` lines of `text` begin; nothing when it has fewer.
std::optional<std::size_t> last_lines(const std::string& text, std::int64_t lines) {
  auto at = text.size();
  if (at > 0 && text[at - 1] == '\n')
    --at;
  for (auto left = lines; left > 0; --left) {
    if (at == 0)
      return {};
    const auto before = text.rfind('\n', at - 1);
    if (before == text.npos)
      return {};
    at = before;
  }
  return lines == 0 ? text.size() : at + 1;
}

log_part log_tail(session& with, const std::string& instance, std::int64_t lines) {
  for (auto size = std::max<std::int64_t>(4096, lines * 128);; size *= 4) {
    auto part = log_since(with, instance, -size);
    if (const auto begin = last_lines(part.data, lines))
      part.data.erase(0, *begin);
    else if (static_cast<std::int64_t>(part.data.size()) >= size && size < tail_bytes_max)
      continue;
    return part;
  }
}

void print_each(session& with, const google::protobuf::Message& x, const std::string& line) {
  switch (with.output.as) {
    case format::json: with.out << json_of(x) << std::endl; break;
    case format::yaml: with.out << "---\n" << to_yaml(json_of(x)) << std::flush; break;
    default: with.out << line << std::endl;
  }
}

} // namespace

int logs(const invocation& what, session& with) {
  if (what.number("tail", 0) < 0)
    throw failure{exit_code::usage, "--tail must not be negative"};
  const auto instance = instance_name(what.argument(0), with);
  auto part = log_part{};
  if (what.has("tail")) {
    part = log_tail(with, instance, what.number("tail", 0));
    with.out << part.data << std::flush;
  }
  return follow(with, [&] {
    if (part.ended)
      return false;
    const auto wait = what.has("follow") ? patience : 0ms;
    if (what.has("tail") && !what.has("follow"))
      return false;
    const auto chunk = read<v1::LogChunk>(with.fabric().get(logs_path(instance, part.next, log_bytes, wait), wait));
    with.out << chunk.data() << std::flush;
    part.next = chunk.next_offset();
    part.ended = chunk.ended();
    return what.has("follow") ? !part.ended : !chunk.data().empty();
  });
}

int events(const invocation& what, session& with) {
  auto after = what.number("after", 0);
  const auto wait = what.has("follow") ? patience : 0ms;
  const auto path = [&] { return fmt::format("/v1/events?after={}&limit=500&wait_ms={}", after, wait.count()); };
  if (!what.has("follow")) {
    auto all = v1::Events{};
    while (true) {
      const auto page = read<v1::Events>(with.fabric().get(path()));
      all.MergeFrom(page);
      if (page.events().empty() || static_cast<std::int64_t>(page.next()) <= after)
        break;
      after = static_cast<std::int64_t>(page.next());
    }
    if (with.output.as == format::json || with.output.as == format::yaml)
      with.out << (with.output.as == format::json ? json_of(all) + "\n" : to_yaml(json_of(all)));
    else
      print(with.out, event_table(all.events()), with.output);
    return 0;
  }
  return follow(with, [&] {
    const auto page = read<v1::Events>(with.fabric().get(path(), wait));
    if (page.missed()) {
      with.err << "some events were dropped before these" << std::endl;
      // Numbers may have begun anew: what the fabric says is right, also when it is less.
      after = 0;
    }
    for (const auto& x : page.events())
      print_each(with, x, event_line(x, with.output.color));
    after = std::max(after, static_cast<std::int64_t>(page.next()));
    return true;
  });
}

std::string instance_name(const std::string& name, session& with) {
  if (name.find('.') != name.npos)
    return name;
  const auto all = read<v1::InstanceList>(with.fabric().get("/v1/instances?workload=" + url_encode(name)));
  auto names = std::vector<std::string>{};
  for (const auto& x : all.instances())
    names.push_back(harmless(x.name()));
  if (names.size() > 1)
    throw failure{exit_code::usage,
                  fmt::format("{} has {} instances; say which: {}", name, names.size(), fmt::join(names, ", "))};
  return names.empty() ? name : names.front();
}

std::string actor_path(const std::string& name, session& with) {
  auto full = name;
  if (name.find('/') == name.npos) {
    const auto all = read<v1::ActorList>(with.fabric().get("/v1/actors"));
    auto found = std::vector<std::string>{};
    auto known = std::vector<std::string>{};
    for (const auto& x : all.actors()) {
      known.push_back(x.name());
      if (x.name().ends_with("/" + name) && x.name().find('/') == x.name().size() - name.size() - 1)
        found.push_back(x.name());
    }
    if (found.empty())
      throw failure{exit_code::not_found, fmt::format("no actor is called '{}'{}", name, did_you_mean(name, known))};
    if (found.size() > 1)
      throw failure{exit_code::usage, fmt::format("'{}' may be {}; say which", name, fmt::join(found, " or "))};
    full = found.front();
  }
  auto path = std::string{"/v1/actors"};
  for (auto rest = std::string_view{full}; !rest.empty();) {
    const auto end = rest.find('/');
    path += "/" + url_encode(rest.substr(0, end));
    rest = end == rest.npos ? std::string_view{} : rest.substr(end + 1);
  }
  return path;
}

int trace(const invocation& what, session& with) {
  const auto base = actor_path(what.argument(0), with) + "/trace";
  // The first look at an actor begins its trace, so that something has to come first.
  const auto wait = what.has("follow") ? patience : trace_patience;
  const auto limit = what.number("limit", what.has("follow") ? 0 : 20);
  auto after = std::uint64_t{0};
  auto shown = std::int64_t{0};
  return follow(with, [&] {
    const auto most = limit > 0 ? std::min<std::int64_t>(limit - shown, 200) : 200;
    const auto page = read<v1::Trace>(
        with.fabric().get(fmt::format("{}?after={}&limit={}&wait_ms={}", base, after, most, wait.count()), wait));
    for (const auto& x : page.messages())
      print_each(with, x, trace_line(x));
    shown += page.messages_size();
    after = std::max(after, page.next());
    return what.has("follow") && (limit <= 0 || shown < limit);
  });
}

int top(const invocation& what, session& with) {
  const auto count = what.number("count", with.terminal ? 0 : 1);
  const auto pause = static_cast<int>(std::clamp<std::uint64_t>(what.milliseconds("interval", 2'000), 100, 3'600'000));
  auto before = std::map<std::string, std::uint64_t>{};
  auto before_ms = std::int64_t{0};
  auto looks = std::int64_t{0};
  return follow(with, [&] {
    const auto nodes = read<v1::NodeList>(with.fabric().get("/v1/nodes"));
    const auto all = read<v1::WorkloadView>(with.fabric().get("/v1/instances"));
    const auto now = with.now();
    auto hosts = table{
        .columns = {{"NODE"}, {"STATE"}, {"INSTANCES", false, true}, {"CPU", false, true}, {"MEMORY", false, true}},
        .rows = {},
        .noun = "node"};
    for (const auto& x : nodes.nodes()) {
      const auto& capacity = x.record().facts().capacity();
      hosts.rows.push_back({x.record().facts().name(), x.state(), std::to_string(x.instances()),
                            print_milli(x.used().cpu_milli()) + "/" + print_milli(capacity.cpu_milli()),
                            print_bytes(x.used().memory_bytes()) + "/" + print_bytes(capacity.memory_bytes())});
    }
    auto copies = table{.columns = {{"INSTANCE"},
                                    {"NODE"},
                                    {"PHASE"},
                                    {"CPU", false, true},
                                    {"MEMORY", false, true},
                                    {"RESTARTS", false, true}},
                        .rows = {},
                        .noun = "instance"};
    auto sorted = std::vector<std::pair<double, const v1::InstanceStatus*>>{};
    for (const auto& x : all.instances()) {
      const auto last = before.find(x.name());
      const auto known = last != before.end() && now > before_ms && x.cpu_usec() >= last->second;
      const auto cores =
          known ? static_cast<double>(x.cpu_usec() - last->second) / 1e3 / static_cast<double>(now - before_ms)
                : static_cast<double>(x.used().cpu_milli()) / 1e3;
      sorted.emplace_back(cores, &x);
      before[x.name()] = x.cpu_usec();
    }
    before_ms = now;
    std::ranges::stable_sort(sorted, std::greater{}, [](const auto& x) { return x.first; });
    for (const auto& [cores, x] : sorted)
      copies.rows.push_back({x->name(), x->node(), word(x->phase()), fmt::format("{:.2f}", cores),
                             print_bytes(x->used().memory_bytes()), std::to_string(x->restarts())});
    if (with.terminal && count != 1)
      with.out << clear_screen;
    print(with.out, hosts, with.output);
    with.out << '\n';
    print(with.out, copies, with.output);
    with.out << std::flush;
    if (++looks == count)
      return false;
    with.pause(pause);
    return true;
  });
}

int watch(const invocation& what, session& with) {
  auto pause = parse_milli(what.argument(0));
  if (!pause)
    pause = parse_duration(what.argument(0));
  if (!pause || *pause < 100 || *pause > 86'400'000)
    throw failure{exit_code::usage,
                  fmt::format("'{}' is no time to wait; give seconds from 0.1 to 86400", what.argument(0))};
  const auto words = std::vector<std::string>(what.arguments.begin() + 1, what.arguments.end());
  if (words.front() == "watch" || words.front() == "shell")
    throw failure{exit_code::usage, fmt::format("'{}' cannot be watched", words.front())};
  const auto count = what.number("count", 0);
  auto last = 0;
  try {
    for (auto round = std::int64_t{1};; ++round) {
      if (with.terminal)
        with.out << clear_screen
                 << fmt::format("{}   every {}s: {}\n\n", print_time(with.now()), print_milli(*pause),
                                fmt::join(words, " "));
      last = with.again(words, with);
      deliver(with.out);
      if (round == count || last == static_cast<int>(exit_code::usage))
        return last;
      with.pause(static_cast<int>(*pause));
    }
  } catch (const interrupted&) {
    with.err << std::endl;
  }
  return 0;
}

void wait_until(const std::function<bool()>& done, const std::string& what, std::uint64_t limit_ms, session& with) {
  const auto end = with.waited() + static_cast<std::int64_t>(limit_ms);
  if (with.terminal)
    with.err << "waiting until " << what << " (Ctrl-C stops waiting, nothing else)" << std::endl;
  while (!done()) {
    if (with.waited() >= end)
      throw failure{exit_code::timeout,
                    fmt::format("{} is not so after {}; it may still come, or wait longer with --timeout", what,
                                print_age(static_cast<std::int64_t>(limit_ms)))};
    with.pause(200);
  }
}

namespace {

enum class outcome { waiting, good, bad };

struct progress {
  outcome how = outcome::waiting;
  std::string text;
};

progress look(const v1::Submitted& wanted, session& with) {
  const auto view = read<v1::WorkloadView>(with.fabric().get("/v1/workloads/" + url_encode(wanted.name())));
  const auto batch = view.record().spec().kind() == v1::WORKLOAD_KIND_BATCH;
  auto running = 0u;
  auto completed = 0u;
  for (const auto& x : view.instances()) {
    const auto ours = x.generation() >= wanted.generation();
    running += ours && x.phase() == v1::PHASE_RUNNING;
    completed += ours && x.phase() == v1::PHASE_COMPLETED;
  }
  auto text = batch
                  ? fmt::format("{}: {} of {} completed, {} running", wanted.name(), completed, view.desired(), running)
                  : fmt::format("{}: {} of {} running", wanted.name(), running, view.desired());
  if (!view.reason().empty())
    text += " (" + harmless(view.reason()) + ")";
  const auto current = view.record().generation() >= wanted.generation();
  const auto finished = batch ? view.phase() == v1::PHASE_COMPLETED : running >= view.desired();
  if (view.phase() == v1::PHASE_FAILED)
    return {outcome::bad, text};
  return {current && finished ? outcome::good : outcome::waiting, text};
}

} // namespace

int wait_for(const std::vector<v1::Submitted>& workloads, std::uint64_t limit_ms, session& with) {
  const auto end = with.waited() + static_cast<std::int64_t>(limit_ms);
  auto code = exit_code::ok;
  try {
    for (const auto& x : workloads) {
      auto shown = std::string{};
      while (true) {
        const auto now = look(x, with);
        if (now.text != shown)
          with.err << (with.terminal ? "\r\x1b[K" : "") << now.text << (with.terminal ? "" : "\n") << std::flush;
        shown = now.text;
        if (now.how == outcome::bad)
          code = exit_code::failed;
        if (now.how != outcome::waiting)
          break;
        if (with.waited() >= end) {
          // The line of progress stays as it is.
          if (with.terminal)
            with.err << std::endl;
          throw failure{
              exit_code::timeout,
              fmt::format(
                  "{} is not there after {}; see `novacron explain placement {}`, or wait longer with --timeout",
                  x.name(), print_age(static_cast<std::int64_t>(limit_ms)), x.name())};
        }
        with.pause(100);
      }
      if (with.terminal)
        with.err << std::endl;
    }
  } catch (const interrupted&) {
    with.err << "\nstopped waiting; the work goes on (see `novacron ps`)" << std::endl;
    throw;
  }
  return static_cast<int>(code);
}

} // namespace novacron::shell
