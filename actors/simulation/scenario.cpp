#include "actors/simulation/scenario.hpp"

#include "actors/host/gzip.hpp"
#include "actors/shell/parse.hpp"
#include "actors/shell/units.hpp"
#include "actors/shell/workload_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <set>
#include <stdexcept>

namespace novacron::simulation {
namespace {

/// Chosen: includes within includes that are deeper than this go in circles.
constexpr auto include_depth_max = 16;

class compiler {
public:
  compiler(const std::string& file, const file_reader& files, const std::map<std::string, std::string>& given,
           reading& into)
      : files_{files}, into_{into}, file_{file}, given_{given} {}

  /// What follows a world that is there.
  void read_more(std::string_view text) {
    has_world_ = true;
    knows_all_ = false;
    compile(parse_script(text, file_), into_.what.steps, 0);
  }

  void read(std::string_view text) {
    compile(parse_script(text, file_), into_.what.steps, 0);
    if (!has_world_ && errors_ == 0)
      complain({file_, 1, 1}, "a scenario needs a world: world { ... } with [[hosts]], or world FILE.toml");
    auto known = std::vector<std::string>{};
    for (const auto& [name, value] : variables_)
      known.push_back(name);
    for (const auto& [name, value] : given_)
      if (!variables_.contains(name))
        complain(fmt::format("--let {}={}: {} has no 'let {} = ...'{}", name, value, file_, name,
                             shell::did_you_mean(name, known)));
  }

private:
  using take = void (compiler::*)(const statement&, std::vector<step>&);
  struct verb {
    take run;
    std::size_t words_min = 0;
    std::size_t words_max = 64;
  };

  static const std::map<std::string, verb>& verbs() {
    static const auto all = std::map<std::string, verb>{
        {"advance", {&compiler::advance, 1, 1}},
        {"crash", {&compiler::crash, 1, 4}},
        {"cut", {&compiler::cut, 1, 5}},
        {"delete", {&compiler::stop, 1, 1}},
        {"drain", {&compiler::drain, 1, 1}},
        {"every", {&compiler::every, 1, 64}},
        {"expect", {&compiler::expect, 1, 64}},
        {"fill-disk", {&compiler::fill_disk, 1, 3}},
        {"forget-node", {&compiler::forget_node, 1, 1}},
        {"free-disk", {&compiler::fill_disk, 1, 3}},
        {"heal", {&compiler::heal, 0, 1}},
        {"image", {&compiler::image, 0, 0}},
        {"include", {&compiler::include, 1, 1}},
        {"kill", {&compiler::kill, 1, 3}},
        {"let", {&compiler::let, 3, 64}},
        {"replay", {&compiler::replay, 1, 4}},
        {"report", {&compiler::report, 0, 64}},
        {"restart", {&compiler::restart, 1, 1}},
        {"run", {&compiler::run, 0, 1}},
        {"seed", {&compiler::seed, 1, 1}},
        {"skew", {&compiler::skew, 2, 3}},
        {"slow", {&compiler::slow, 2, 2}},
        {"stick", {&compiler::stick, 1, 1}},
        {"stop", {&compiler::stop, 1, 1}},
        {"undrain", {&compiler::drain, 1, 1}},
        {"until", {&compiler::until, 3, 64}},
        {"weather", {&compiler::weather, 3, 3}},
        {"world", {&compiler::world, 0, 1}},
    };
    return all;
  }

  void complain(const position& where, const std::string& text) {
    ++errors_;
    into_.errors.push_back(to_string(script_error{where, text}));
  }

  void complain(std::string text) {
    ++errors_;
    into_.errors.push_back(std::move(text));
  }

  void compile(script text, std::vector<step>& into, int depth) {
    for (const auto& x : text.errors)
      complain(x.where, x.text);
    for (auto& x : text.statements) {
      const auto unknown = fill_in(x, variables_);
      for (const auto& wrong : unknown)
        complain(wrong.where, wrong.text);
      depth_ = depth;
      // What stands in the place of an unknown value would only be complained about once more.
      if (unknown.empty())
        statement_of(x, into);
    }
  }

  void statement_of(const statement& x, std::vector<step>& into) {
    const auto found = verbs().find(x.verb());
    if (found == verbs().end()) {
      auto known = std::vector<std::string>{};
      for (const auto& [name, unused] : verbs())
        known.push_back(name);
      const auto meant = shell::did_you_mean(x.verb(), known);
      return complain(x.where,
                      fmt::format("there is no statement '{}'{}", x.verb(),
                                  meant.empty() ? fmt::format("; there are {}", fmt::join(known, ", ")) : meant));
    }
    const auto count = x.words.size() - 1;
    if (count < found->second.words_min || count > found->second.words_max)
      return complain(count > found->second.words_max ? x.at(found->second.words_max + 1) : x.where,
                      fmt::format("usage: {}", usage_of(x.verb())));
    if (!has_world_ && needs_world(x.verb()))
      return complain(x.where, fmt::format("'{}' needs a world, which comes first: world {{ ... }}", x.verb()));
    (this->*found->second.run)(x, into);
  }

  static bool needs_world(const std::string& verb) {
    static const auto before = std::set<std::string>{"include", "let", "seed", "world", "report"};
    return !before.contains(verb);
  }
  static std::string_view usage_of(const std::string& verb) {
    const auto found = std::ranges::find(world_verbs(), verb, &verb_help::name);
    return found == world_verbs().end() ? std::string_view{verb} : found->usage;
  }

  // -- words that mean something

  std::optional<moment> time_of(const statement& x, std::size_t at) {
    auto text = x.words[at].text;
    const auto back = text.starts_with('-');
    if (back || text.starts_with('+'))
      text.erase(0, 1);
    if (const auto ms = shell::parse_duration(text))
      return std::chrono::milliseconds{back ? -static_cast<std::int64_t>(*ms) : static_cast<std::int64_t>(*ms)};
    complain(x.at(at), fmt::format("'{}' is not {}", x.words[at].text, shell::duration_wanted));
    return {};
  }
  std::optional<moment> length_of(const statement& x, std::size_t at) {
    const auto found = time_of(x, at);
    if (found && *found < moment{0}) {
      complain(x.at(at), "time goes forward only");
      return {};
    }
    return found;
  }
  std::optional<host_set> hosts_of(const statement& x, std::size_t at) {
    auto wrong = std::string{};
    auto found = select_hosts(into_.what.plan.hosts, x.words[at].text, wrong);
    if (!found.empty())
      return found;
    complain(x.at(at), wrong);
    return {};
  }
  std::optional<std::int64_t> number_of(const statement& x, std::size_t at, std::string text, std::int64_t least,
                                        std::int64_t most) {
    const auto found = shell::parse_number(text);
    if (found && *found >= least && *found <= most)
      return found;
    complain(x.at(at), fmt::format("'{}' is no whole number from {} to {}", x.words[at].text, least, most));
    return {};
  }
  /// The hosts of `crash HOSTS [any N]`: all of them, or some drawn when it is played.
  std::optional<std::function<host_set(player&)>> chosen_of(const statement& x, std::size_t from,
                                                            std::vector<std::string>* left) {
    const auto all = hosts_of(x, from);
    auto some = std::size_t{0};
    for (auto i = from + 1; i < x.words.size(); ++i) {
      if (x.words[i].text == "any" && i + 1 < x.words.size()) {
        const auto count = number_of(x, i + 1, x.words[i + 1].text, 1, 1'000'000);
        if (!count)
          return {};
        some = static_cast<std::size_t>(*count);
        ++i;
      } else if (left) {
        left->push_back(x.words[i].text);
      } else {
        complain(x.at(i), fmt::format("usage: {}", usage_of(x.verb())));
        return {};
      }
    }
    if (!all)
      return {};
    return [all = *all, some](player& p) { return some == 0 ? all : p.some_of(all, some); };
  }

  // -- the world

  void seed(const statement& x, std::vector<step>&) {
    if (const auto found = number_of(x, 1, x.words[1].text, 0, std::int64_t{1} << 53))
      into_.what.seed = static_cast<std::uint64_t>(*found);
  }
  void world(const statement& x, std::vector<step>&) {
    if (has_world_)
      return complain(x.where, "a scenario has one world");
    has_world_ = true;
    auto text = x.block;
    auto file = x.where.file;
    auto line = x.block_line;
    if (!x.has_block) {
      if (x.words.size() < 2)
        return complain(x.where, fmt::format("usage: {}", usage_of("world")));
      const auto found = open(x, 1);
      if (!found)
        return;
      text = found->second;
      file = found->first;
      line = 1;
    }
    auto wrong = std::vector<std::string>{};
    into_.what.plan = parse_world(text, file, line, files_, wrong);
    for (auto& each : wrong)
      complain(std::move(each));
  }
  void image(const statement& x, std::vector<step>& into) {
    if (!x.has_block)
      return complain(x.where, fmt::format("usage: {}", usage_of("image")));
    auto wrong = std::vector<std::string>{};
    const auto plan = parse_images(x.block, x.where.file, x.block_line, wrong);
    for (auto& each : wrong)
      complain(std::move(each));
    for (const auto& [name, how] : plan)
      into.push_back({x.where, [name = name, how = how](player& p) { p.behave(name, how); }});
  }

  // -- files, variables

  std::optional<std::pair<std::string, std::string>> open(const statement& x, std::size_t at) {
    const auto name = (std::filesystem::path{x.where.file}.parent_path() / x.words[at].text).string();
    if (auto text = files_(name))
      return std::pair{name, std::move(*text)};
    complain(x.at(at), fmt::format("{} cannot be read", name));
    return {};
  }
  void include(const statement& x, std::vector<step>& into) {
    if (depth_ >= include_depth_max)
      return complain(x.where, "this includes itself");
    if (const auto found = open(x, 1)) {
      const auto depth = depth_;
      compile(parse_script(found->second, found->first), into, depth + 1);
      depth_ = depth;
    }
  }
  void let(const statement& x, std::vector<step>&) {
    if (x.words[2].text != "=")
      return complain(x.at(2), fmt::format("usage: {}", usage_of("let")));
    auto text = std::string{};
    for (auto i = std::size_t{3}; i < x.words.size(); ++i)
      text += (i > 3 ? " " : "") + x.words[i].text;
    if (std::ranges::none_of(x.words, &word::quoted))
      text = worked_out(text).value_or(text);
    const auto given = given_.find(x.words[1].text);
    variables_[x.words[1].text] = given == given_.end() ? text : given->second;
  }
  /// What "3 * 100 / 2" comes to; nothing when it is no such thing.
  static std::optional<std::string> worked_out(const std::string& text) {
    if (text.find_first_not_of("0123456789.+-*/() ") != text.npos || text.find(' ') == text.npos)
      return {};
    auto wrong = std::vector<script_error>{};
    auto error = std::string{};
    const auto sum = expression::parse(text, {}, {}, wrong);
    if (!wrong.empty())
      return {};
    const auto found = sum.evaluate([](const std::string&) { return std::nullopt; }, error);
    return found ? std::optional{to_string(*found)} : std::nullopt;
  }

  // -- time and conditions

  void advance(const statement& x, std::vector<step>& into) {
    if (const auto length = length_of(x, 1))
      into.push_back({x.where, [length = *length](player& p) { p.advance(length); }, *length});
  }
  std::optional<expression> condition(const statement& x, const std::string& text) {
    auto wrong = std::vector<script_error>{};
    auto found = expression::parse(text, {x.where.file, x.where.line, x.rest_column}, player::facts(), wrong);
    for (const auto& each : wrong)
      complain(each.where, each.text);
    return wrong.empty() ? std::optional{found} : std::nullopt;
  }
  void until(const statement& x, std::vector<step>& into) {
    const auto last = x.words.size() - 1;
    if (x.words[last - 1].text != "within")
      return complain(x.where, fmt::format("usage: {}", usage_of("until")));
    const auto limit = length_of(x, last);
    const auto text = x.rest.substr(0, x.rest.rfind("within"));
    const auto what = condition(x, text);
    if (limit && what)
      into.push_back({x.where, [limit = *limit, what = *what, where = x.where, text](player& p) {
                        p.until(what, limit, where, text);
                      }});
  }
  void expect(const statement& x, std::vector<step>& into) {
    if (const auto what = condition(x, x.rest))
      into.push_back(
          {x.where, [what = *what, where = x.where, text = x.rest](player& p) { p.expect(what, where, text); }});
  }
  void every(const statement& x, std::vector<step>& into) {
    if (x.words[1].text == "off" && x.words.size() == 2 && !x.has_block)
      return into.push_back({x.where, [](player& p) { p.end_every(); }});
    const auto period = length_of(x, 1);
    auto inner = std::vector<step>{};
    const auto depth = depth_;
    if (x.has_block)
      compile(parse_script(x.block, x.where.file, x.block_line), inner, depth);
    else if (x.words.size() > 2)
      compile(parse_script(x.rest.substr(x.words[1].text.size()), x.where.file, x.where.line), inner, depth);
    else
      complain(x.where, fmt::format("usage: {}", usage_of("every")));
    depth_ = depth;
    if (period && *period <= moment{0})
      return complain(x.at(1), "a period is longer than nothing");
    if (period)
      into.push_back({x.where, [period = *period, inner](player& p) { p.every(period, inner); }});
  }
  void report(const statement& x, std::vector<step>& into) {
    auto text = std::string{};
    for (auto i = std::size_t{1}; i < x.words.size(); ++i)
      text += (i > 1 ? " " : "") + x.words[i].text;
    into.push_back({x.where, [text](player& p) { p.report(text); }});
  }

  // -- orders

  void run(const statement& x, std::vector<step>& into) {
    auto text = x.block;
    auto file = x.where.file;
    if (x.has_block) {
      text = std::string(static_cast<std::size_t>(x.block_line - 1), '\n') + text;
    } else {
      if (x.words.size() < 2)
        return complain(x.where, fmt::format("usage: {}", usage_of("run")));
      const auto found = open(x, 1);
      if (!found)
        return;
      std::tie(file, text) = *found;
    }
    auto found = shell::parse_workloads(text, file);
    for (auto& wrong : found.errors)
      complain(std::move(wrong));
    for (const auto& spec : found.workloads) {
      workloads_.insert(spec.name());
      into.push_back({x.where, [spec](player& p) { p.submit(spec); }});
    }
  }
  void stop(const statement& x, std::vector<step>& into) {
    const auto& name = x.words[1].text;
    if (knows_all_ && !workloads_.contains(name))
      return complain(x.at(1), fmt::format("no workload '{}' was run before{}", name,
                                           shell::did_you_mean(name, {workloads_.begin(), workloads_.end()})));
    into.push_back({x.where, [name, forget = x.verb() == "delete"](player& p) { p.stop(name, forget); }});
  }
  void drain(const statement& x, std::vector<step>& into) {
    if (const auto hosts = hosts_of(x, 1))
      into.push_back(
          {x.where, [hosts = *hosts, drained = x.verb() == "drain"](player& p) { p.drain(hosts, drained); }});
  }
  void forget_node(const statement& x, std::vector<step>& into) {
    if (const auto hosts = hosts_of(x, 1))
      into.push_back({x.where, [hosts = *hosts](player& p) { p.forget_node(hosts); }});
  }

  bool replay_option(const statement& x, std::size_t at, replay_options& into) {
    const auto& text = x.words[at].text;
    const auto value = text.substr(text.find('=') + 1);
    if (text.starts_with("from=")) {
      const auto from = shell::parse_duration(value);
      if (from)
        into.from = std::chrono::milliseconds{static_cast<std::int64_t>(*from)};
      else
        complain(x.at(at), fmt::format("'{}' is not {}", value, shell::duration_wanted));
      return from.has_value();
    }
    if (!text.starts_with("speed=") && !text.starts_with("limit=")) {
      complain(x.at(at), fmt::format("usage: {}", usage_of("replay")));
      return false;
    }
    const auto number = number_of(x, at, value, 1, 1'000'000);
    if (number && text.starts_with("speed="))
      into.speed = static_cast<std::uint32_t>(*number);
    else if (number)
      into.limit = static_cast<std::size_t>(*number);
    return number.has_value();
  }
  void replay(const statement& x, std::vector<step>& into) {
    auto options = replay_options{};
    for (auto i = std::size_t{2}; i < x.words.size(); ++i)
      if (!replay_option(x, i, options))
        return;
    const auto found = open(x, 1);
    if (!found)
      return;
    try {
      const auto jobs =
          std::make_shared<const std::vector<traced_job>>(jobs_of(scheduler::parse_trace_pods(found->second), options));
      if (jobs->empty())
        return complain(x.at(1), fmt::format("{} has no pods of which it says when they came and went", found->first));
      for (const auto& job : *jobs)
        workloads_.insert(job.spec.name());
      into.push_back({x.where, [jobs](player& p) { p.replay(*jobs); }});
    } catch (const std::runtime_error& wrong) {
      complain(x.at(1), fmt::format("{}: {}", found->first, wrong.what()));
    }
  }

  // -- faults

  void cut(const statement& x, std::vector<step>& into) {
    auto one_way = false;
    auto name = std::string{};
    auto ends = std::vector<std::size_t>{};
    for (auto i = std::size_t{1}; i < x.words.size(); ++i) {
      if (x.words[i].text == "one-way")
        one_way = true;
      else if (x.words[i].text == "as" && i + 1 < x.words.size())
        name = x.words[++i].text;
      else
        ends.push_back(i);
    }
    if (ends.empty() || ends.size() > 2)
      return complain(x.where, fmt::format("usage: {}", usage_of("cut")));
    const auto a = hosts_of(x, ends[0]);
    const auto b = ends.size() == 2 ? hosts_of(x, ends[1]) : a ? std::optional{others(*a)} : std::nullopt;
    if (!a || !b)
      return;
    if (name.empty())
      name = x.words[ends[0]].text;
    cuts_.insert(name);
    into.push_back({x.where, [a = *a, b = *b, one_way, name](player& p) { p.cut(a, b, one_way, name); }});
  }
  host_set others(const host_set& all) const {
    auto found = host_set{};
    for (auto i = host_number{0}; i < into_.what.plan.hosts.size(); ++i)
      if (!all.contains(i))
        found.add(i);
    return found;
  }
  void heal(const statement& x, std::vector<step>& into) {
    const auto name = x.words.size() > 1 ? x.words[1].text : std::string{};
    if (knows_all_ && !name.empty() && !cuts_.contains(name))
      return complain(x.at(1), fmt::format("no cut is called '{}'{}", name,
                                           shell::did_you_mean(name, {cuts_.begin(), cuts_.end()})));
    into.push_back({x.where, [name](player& p) { p.heal(name); }});
  }
  void crash(const statement& x, std::vector<step>& into) {
    auto left = std::vector<std::string>{};
    const auto whom = chosen_of(x, 1, &left);
    if (!left.empty() && left != std::vector<std::string>{"torn"})
      return complain(x.where, fmt::format("usage: {}", usage_of("crash")));
    if (whom)
      into.push_back({x.where, [whom = *whom, torn = !left.empty()](player& p) { p.crash(whom(p), torn); }});
  }
  void kill(const statement& x, std::vector<step>& into) {
    if (const auto whom = chosen_of(x, 1, nullptr))
      into.push_back({x.where, [whom = *whom](player& p) { p.kill(whom(p)); }});
  }
  void restart(const statement& x, std::vector<step>& into) {
    if (const auto whom = hosts_of(x, 1))
      into.push_back({x.where, [whom = *whom](player& p) { p.restart(whom); }});
  }
  void slow(const statement& x, std::vector<step>& into) {
    const auto whom = hosts_of(x, 1);
    auto text = x.words[2].text;
    if (text.ends_with('x'))
      text.pop_back();
    const auto times = number_of(x, 2, text, 1, 100'000);
    if (whom && times)
      into.push_back(
          {x.where, [whom = *whom, times = static_cast<std::uint32_t>(*times)](player& p) { p.slow(whom, times); }});
  }
  void stick(const statement& x, std::vector<step>& into) {
    if (const auto whom = hosts_of(x, 1))
      into.push_back({x.where, [whom = *whom](player& p) { p.slow(whom, 0); }});
  }
  void fill_disk(const statement& x, std::vector<step>& into) {
    if (const auto whom = chosen_of(x, 1, nullptr))
      into.push_back(
          {x.where, [whom = *whom, full = x.verb() == "fill-disk"](player& p) { p.fill_disk(whom(p), full); }});
  }
  void skew(const statement& x, std::vector<step>& into) {
    const auto whom = hosts_of(x, 1);
    const auto offset = time_of(x, 2);
    auto drift = std::int64_t{0};
    if (x.words.size() > 3) {
      auto text = x.words[3].text;
      if (!text.starts_with("drift=") || !text.ends_with("ppm"))
        return complain(x.at(3), fmt::format("usage: {}", usage_of("skew")));
      const auto found = number_of(x, 3, text.substr(6, text.size() - 9), -200'000, 200'000);
      if (!found)
        return;
      drift = *found;
    }
    if (whom && offset)
      into.push_back({x.where, [whom = *whom, offset = *offset, drift](player& p) { p.skew(whom, offset, drift); }});
  }
  void weather(const statement& x, std::vector<step>& into) {
    const auto* what = find_climate(x.words[1].text);
    auto known = std::vector<std::string>{};
    for (const auto& each : climates())
      known.emplace_back(each.name);
    if (!what)
      return complain(x.at(1), fmt::format("there is no weather '{}'{}; there are {}", x.words[1].text,
                                           shell::did_you_mean(x.words[1].text, known), fmt::join(known, ", ")));
    if (x.words[2].text != "for")
      return complain(x.at(2), fmt::format("usage: {}", usage_of("weather")));
    if (const auto length = length_of(x, 3))
      into.push_back({x.where, [what, length = *length](player& p) { p.begin_weather(*what, length); }});
  }

  const file_reader& files_;
  reading& into_;
  std::string file_;
  const std::map<std::string, std::string>& given_;
  std::map<std::string, std::string> variables_;
  std::set<std::string> workloads_;
  std::set<std::string> cuts_;
  int depth_ = 0;
  std::size_t errors_ = 0;
  bool has_world_ = false;
  bool knows_all_ = true;
};

} // namespace

const std::vector<verb_help>& world_verbs() {
  static const auto all = std::vector<verb_help>{
      {"advance", "advance TIME", "let virtual time pass"},
      {"crash", "crash HOSTS [any N] [torn]", "take the power of hosts: what was not synced is lost"},
      {"cut", "cut HOSTS [HOSTS] [one-way] [as NAME]",
       "let nothing pass between hosts, or between hosts and all others"},
      {"delete", "delete WORKLOAD", "stop a workload and forget it"},
      {"drain", "drain HOSTS", "move everything off nodes"},
      {"every", "every TIME STATEMENT, every TIME { ... }, or every off", "do something again and again, or no more"},
      {"expect", "expect CONDITION", "the run has failed unless it holds now"},
      {"fill-disk", "fill-disk HOSTS [any N]", "leave no room on disks"},
      {"forget-node", "forget-node HOSTS", "forget nodes that will not come back"},
      {"free-disk", "free-disk HOSTS [any N]", "make room again"},
      {"heal", "heal [NAME]", "end a cut, or all"},
      {"image", "image { name = \"web:2\" ... }", "say how instances of an image behave from now on"},
      {"include", "include FILE", "read another file here"},
      {"kill", "kill HOSTS [any N]", "end the node process of hosts; what they run goes on"},
      {"let", "let NAME = VALUE", "a variable, used as $NAME"},
      {"replay", "replay PODS.csv[.gz] [from=TIME] [speed=N] [limit=N]",
       "let the jobs of a trace come, each at its time"},
      {"report", "report TEXT", "say something in the result"},
      {"restart", "restart HOSTS", "start nodes that are down, or anew"},
      {"run", "run FILE.toml, or run { name = \"web\" ... }", "submit workloads"},
      {"seed", "seed NUMBER", "the history to play, unless --seed says another"},
      {"skew", "skew HOSTS TIME [drift=NUMBERppm]", "set wall clocks wrong by so much"},
      {"slow", "slow HOSTS 100x", "make hosts slower; 1x is as usual"},
      {"stick", "stick HOSTS", "let hosts do nothing until they are slow 1x"},
      {"stop", "stop WORKLOAD", "stop a workload"},
      {"undrain", "undrain HOSTS", "let drained nodes work again"},
      {"until", "until CONDITION within TIME", "let time pass until it holds; the run has failed if it does not"},
      {"weather", "weather NAME for TIME", "faults by chance: drizzle, gusts, storm, quake"},
      {"world", "world FILE.toml, or world { [[hosts]] ... }", "the hosts and their network"},
  };
  return all;
}

reading read_scenario(std::string_view text, const std::string& file, const file_reader& files,
                      const std::map<std::string, std::string>& given) {
  auto found = reading{};
  found.what.name = std::filesystem::path{file}.stem().string();
  compiler{file, files, given, found}.read(text);
  return found;
}

std::optional<std::string> read_from_disk(const std::string& name) {
  try {
    return host::read_unpacked(name);
  } catch (const std::runtime_error&) {
    return {};
  }
}

reading read_more(const scenario& before, std::string_view text) {
  const auto no_files = file_reader{[](const std::string&) { return std::nullopt; }};
  const auto none_given = std::map<std::string, std::string>{};
  auto found = reading{};
  found.what.plan = before.plan;
  compiler{"shell", no_files, none_given, found}.read_more(text);
  return found;
}

} // namespace novacron::simulation
