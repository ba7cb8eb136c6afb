#include "actors/shell/program.hpp"

#include "actors/shell/help.hpp"
#include "actors/shell/interrupt.hpp"
#include "actors/shell/units.hpp"
#include "actors/shell/views.hpp"
#include "actors/shell/workload_file.hpp"
#include "messages/language.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <unistd.h>

namespace novacron::shell {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto timeout_default_ms = 10'000;

template <class Clock>
std::int64_t since_epoch() {
  return std::chrono::duration_cast<milliseconds>(Clock::now().time_since_epoch()).count();
}
/// Whoever presses Tab does not wait longer.
constexpr auto completion_timeout = 400ms;
constexpr auto completion_memory = 2s;

std::set<std::string> keys(const process_commands& hooks) {
  auto paths = std::set<std::string>{};
  for (const auto& [path, unused] : hooks.run)
    paths.insert(path);
  return paths;
}

const char* variable(const char* name) {
  return std::getenv(name);
}

std::string read_all(const std::string& file) {
  auto from = std::ifstream{};
  if (file != "-") {
    from.open(file);
    if (!from)
      throw failure{exit_code::not_found, fmt::format("cannot read {}: {}", file, std::strerror(errno))};
  }
  auto& in = file == "-" ? std::cin : from;
  // One byte more shows that it is too long.
  auto text = std::string(workload_file_bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

std::vector<std::string> files(const std::string& begun) {
  const auto slash = begun.rfind('/');
  const auto directory = slash == begun.npos ? std::string{} : begun.substr(0, slash + 1);
  auto found = std::vector<std::string>{};
  auto wrong = std::error_code{};
  for (auto at = std::filesystem::directory_iterator{directory.empty() ? "." : directory, wrong};
       !wrong && at != std::filesystem::directory_iterator{}; at.increment(wrong)) {
    const auto name = directory + at->path().filename().string();
    if (name.starts_with(begun))
      found.push_back(name + (at->is_directory(wrong) ? "/" : ""));
  }
  std::ranges::sort(found);
  return found;
}

} // namespace

program::program(const process_commands& hooks, surface where)
    : hooks{hooks}, where{std::move(where)}, table{keys(hooks), hooks.first_words} {}

int program::complain(const std::string& text, exit_code code) {
  if (where.color)
    where.err << "\x1b[31mnovacron:\x1b[0m " << text << std::endl;
  else
    where.err << "novacron: " << text << std::endl;
  return static_cast<int>(code);
}

int program::run(const std::vector<std::string>& words) {
  try {
    const auto code = run_words(words);
    deliver(where.out);
    return code;
  } catch (const failure& x) {
    where.out.clear();
    return complain(x.what(), x.code);
  } catch (const reader_gone&) {
    return static_cast<int>(exit_code::reader_gone);
  }
}

std::optional<int> program::run_first(const std::vector<std::string>& words) const {
  return hooks.first ? hooks.first(words) : std::nullopt;
}

int program::run_words(const std::vector<std::string>& words) {
  auto parsed = parse(table, words);
  if (const auto* wrong = std::get_if<usage_error>(&parsed))
    return complain(wrong->text, exit_code::usage);
  if (const auto* help = std::get_if<help_wanted>(&parsed)) {
    where.out << help_text(table, help->topic);
    return 0;
  }
  if (std::holds_alternative<version_wanted>(parsed))
    return version({});
  const auto start = steady_clock::now();
  // What a shell sets for its commands is not about the shell itself.
  const auto timed = timing;
  const auto code = run_parsed(std::get<invocation>(parsed));
  if (timed)
    where.err << "took " << print_seconds(std::chrono::duration<double>(steady_clock::now() - start).count())
              << std::endl;
  return code;
}

int program::run_parsed(const invocation& what) {
  try {
    switch (what.what.by) {
      case performer::self: return run_self(what);
      case performer::process:
        if (inside && (what.what.path == "dev" || what.what.path == "--role"))
          throw failure{exit_code::usage, fmt::format("'{}' does not work inside the shell", what.what.path)};
        return hooks.run.at(what.what.path)(what);
      case performer::fabric: break;
    }
    interrupt::install();
    if (!inside)
      interrupt::clear();
    auto with = make_session(what);
    return perform(what, with);
  } catch (const failure& x) {
    deliver(where.out);
    const auto meant =
        x.code == exit_code::not_found && what.what.by == performer::fabric ? suggestion(what, x.what()) : std::string{};
    return complain(x.what() + meant, x.code);
  } catch (const interrupted&) {
    return static_cast<int>(exit_code::interrupted);
  } catch (const std::exception& x) {
    return complain(x.what(), exit_code::failed);
  }
}

int program::run_self(const invocation& what) {
  const auto& path = what.what.path;
  if (path == "version")
    return version(what);
  if (path == "completion")
    where.out << completion_script(what.argument(0));
  else if (path == "man")
    where.out << (what.has("markdown") ? markdown_page(table) : man_page(table, hooks.version));
  else if (inside)
    throw failure{exit_code::usage, "this is the shell already"};
  else
    return run_shell(*this, what);
  return 0;
}

int program::version(const invocation& what) {
  const auto as = parse_format(what.get("output"));
  if (as == format::json || as == format::yaml) {
    const auto text = nlohmann::ordered_json{{"version", hooks.version}, {"build", hooks.build}}.dump();
    where.out << (as == format::json ? text + "\n" : to_yaml(text));
    return 0;
  }
  where.out << "novacron " << hooks.version << '\n';
  for (const auto& line : hooks.build)
    where.out << line << '\n';
  return 0;
}

void program::enter_shell(const invocation& started) {
  inside = true;
  shell = started;
  if (started.has("output"))
    mode = parse_format(started.get("output"));
}

/// A flag of the command, else of the shell it is typed in.
std::string program::option(const invocation& what, const char* name) const {
  return what.has(name) ? what.get(name) : shell.get(name);
}

client program::make_client(const invocation& what, milliseconds timeout) const {
  const auto state = state_directory(variable, ::geteuid());
  auto address = option(what, "connect");
  if (const auto* given = variable("NOVACRON_CONNECT"); address.empty() && given)
    address = given;
  if (address.empty() && hooks.find_fabric)
    address = hooks.find_fabric();
  if (address.empty())
    address = (state / "api.sock").string();
  auto trust = option(what, "trust-dir");
  // OpenSSL writes without MSG_NOSIGNAL.
  ::signal(SIGPIPE, SIG_IGN);
  return {parse_target(address), trust.empty() ? state / "trust" : std::filesystem::path{trust}, timeout};
}

client& program::fabric(const invocation& what) {
  const auto timeout = option(what, "timeout");
  const auto key = option(what, "connect") + "\n" + option(what, "trust-dir") + "\n" + timeout;
  if (!open || key != open_for) {
    open =
        std::make_unique<client>(make_client(what, milliseconds{parse_duration(timeout).value_or(timeout_default_ms)}));
    open_for = key;
  }
  return *open;
}

session program::make_session(const invocation& what) {
  auto output = output_options{.as = what.has("output") ? parse_format(what.get("output")) : mode,
                               .headers = !what.has("no-headers"),
                               .quiet = what.has("quiet"),
                               .color = where.color,
                               .columns = where.columns ? where.columns() : 0};
  return {.out = where.out,
          .err = where.err,
          .output = output,
          .terminal = where.terminal,
          .fabric = [this, what]() -> client& { return fabric(what); },
          .now = hooks.wall_ms ? hooks.wall_ms : since_epoch<std::chrono::system_clock>,
          .waited = since_epoch<std::chrono::steady_clock>,
          .pause = interrupt::pause,
          .read_file = read_all,
          .again =
              [this](const std::vector<std::string>& words, session&) {
                const auto code = run(words);
                if (interrupt::pending())
                  throw interrupted{};
                return code;
              }};
}

std::pair<std::string, std::string> program::whereabouts() {
  try {
    auto quick = make_client({}, 1s);
    const auto x = nlohmann::json::parse(quick.get("/v1/version"), nullptr, false);
    const auto text = [&](const char* name) {
      return x.is_object() && x.contains(name) && x[name].is_string() ? harmless(x[name].get<std::string>())
                                                                      : std::string{};
    };
    return {text("node"), text("fabric")};
  } catch (const failure&) {
    return {};
  }
}

/// What may have been meant by the name that the fabric said it does not have.
std::string program::suggestion(const invocation& what, const std::string& said) {
  const auto unknown = [&](kind is, const std::string& name) -> std::optional<std::string> {
    if (said.find(name) == said.npos)
      return std::nullopt;
    if (is != kind::node && is != kind::workload && is != kind::instance && is != kind::image && is != kind::migration)
      return std::nullopt;
    const auto known = names_from(fabric(what), is, {});
    if (std::ranges::find(known, name) != known.end())
      return std::nullopt;
    return did_you_mean(name, known);
  };
  const auto& wanted = what.what.arguments;
  for (auto i = std::size_t{0}; i < std::min(wanted.size(), what.arguments.size()); ++i)
    if (auto meant = unknown(wanted[i].is, what.arguments[i]))
      return *meant;
  for (const auto& each : what.what.flags)
    if (what.has(each.name))
      if (auto meant = unknown(each.is, what.get(each.name)))
        return *meant;
  return {};
}

std::vector<std::string> program::names(kind is, const std::string& context) {
  if (is == kind::file)
    return files(context);
  try {
    auto quick = make_client({}, completion_timeout);
    return names_from(quick, is, context);
  } catch (const failure&) {
    return {};
  }
}

std::vector<std::string> program::names_from(client& from, kind is, const std::string& context) {
  const auto key = fmt::format("{}/{}", static_cast<int>(is), is == kind::message ? context : "");
  if (const auto known = memory.find(key);
      known != memory.end() && steady_clock::now() - known->second.when < completion_memory)
    return known->second.names;
  auto found = std::vector<std::string>{};
  try {
    switch (is) {
      case kind::node:
        for (const auto all = read<v1::NodeList>(from.get("/v1/nodes")); const auto& x : all.nodes())
          found.push_back(x.record().facts().name());
        break;
      case kind::workload:
        for (const auto all = read<v1::WorkloadList>(from.get("/v1/workloads")); const auto& x : all.workloads())
          found.push_back(x.record().spec().name());
        break;
      case kind::instance:
        for (const auto all = read<v1::WorkloadView>(from.get("/v1/instances")); const auto& x : all.instances())
          found.push_back(x.name());
        break;
      case kind::image:
        for (const auto all = read<v1::ImageList>(from.get("/v1/images")); const auto& x : all.images())
          found.push_back(x.name());
        break;
      case kind::migration:
        for (const auto all = read<v1::MigrationList>(from.get("/v1/migrations")); const auto& x : all.migrations())
          found.push_back(x.name());
        break;
      case kind::actor:
        for (const auto all = read<v1::ActorList>(from.get("/v1/actors")); const auto& x : all.actors())
          found.push_back(x.name());
        break;
      case kind::message:
        for (const auto all = read<v1::ActorList>(from.get("/v1/actors")); const auto& x : all.actors())
          if (x.name() == context || x.name().ends_with("/" + context))
            found.insert(found.end(), x.accepts().begin(), x.accepts().end());
        break;
      default: break;
    }
  } catch (const failure&) {
    // Without a fabric there are no names; the person sees that nothing is offered.
  }
  if (is == kind::message && found.empty())
    found = message_names();
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  memory[key] = {steady_clock::now(), found};
  return found;
}

} // namespace novacron::shell
