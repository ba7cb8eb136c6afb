#include "actors/shell/bundle.hpp"

#include "actors/shell/units.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <ostream>

namespace novacron::shell {
namespace {

using ordered = nlohmann::ordered_json;

constexpr auto removed = "(removed)";
constexpr auto secret_words = std::array{"secret", "token",      "passw",         "credential", "private", "api_key",
                                         "apikey", "access_key", "authorization", "cookie",     "hash"};

std::string lower(std::string_view text) {
  auto out = std::string{text};
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool sounds_secret(std::string_view name) {
  const auto text = lower(name);
  return std::ranges::any_of(secret_words, [&](const char* word) { return text.find(word) != text.npos; });
}

/// Removes every value, whatever it is.
void blacken(ordered& x) {
  if (x.is_structured())
    for (auto& each : x)
      blacken(each);
  else
    x = removed;
}

void clean(ordered& x, const std::string& name) {
  if (name == "env" || (sounds_secret(name) && !x.is_object() && !x.is_array() && !x.is_boolean()))
    return blacken(x);
  // Only what runs, not what it is told: passwords on command lines are common.
  if (name == "command" && x.is_array()) {
    for (auto i = std::size_t{1}; i < x.size(); ++i)
      blacken(x[i]);
    return;
  }
  if (x.is_object())
    for (auto& [key, value] : x.items())
      clean(value, key);
  else if (x.is_array())
    for (auto& each : x)
      clean(each, name);
  else if (x.is_string())
    x = text_without_secrets(x.get<std::string>());
}

void remove_pem(std::string& text) {
  constexpr auto begin = std::string_view{"-----BEGIN "};
  constexpr auto end = std::string_view{"-----END "};
  for (auto at = text.find(begin); at != text.npos; at = text.find(begin, at + 1)) {
    const auto last = text.find(end, at);
    const auto close = last == text.npos ? text.npos : text.find("-----", last + end.size());
    text.replace(at, close == text.npos ? text.npos : close + 5 - at, removed);
  }
}

/// "://user:password@" loses what stands before the "@".
void remove_passwords(std::string& text) {
  for (auto at = text.find("://"); at != text.npos; at = text.find("://", at + 3)) {
    const auto stop = std::min(text.find_first_of("/ \t\n\"'", at + 3), text.size());
    const auto sign = text.substr(at + 3, stop - at - 3).rfind('@');
    if (sign != std::string::npos)
      text.replace(at + 3, sign, removed);
  }
}

/// "token=abc", "Password: abc", "--secret abc" lose what follows.
void remove_values(std::string& text) {
  const auto is_word = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; };
  for (auto at = std::size_t{0}; at < text.size();) {
    const auto begin = at;
    while (at < text.size() && is_word(static_cast<unsigned char>(text[at])))
      ++at;
    const auto name = std::string_view{text}.substr(begin, at - begin);
    if (name.empty()) {
      ++at;
      continue;
    }
    auto value = at;
    while (value < text.size() && (text[value] == ' ' || text[value] == '"' || text[value] == '\''))
      ++value;
    const auto said = value < text.size() && (text[value] == '=' || text[value] == ':');
    if (!sounds_secret(name) || (!said && !(name.starts_with("--") && value > at)))
      continue;
    value = std::min(text.find_first_not_of(" =:\"'", value), text.size());
    const auto stop = std::min(text.find_first_of(" \t\n\"',;}", value), text.size());
    text.replace(value, stop - value, removed);
    at = value + std::strlen(removed);
  }
}

std::string octal(std::uint64_t value, int width) {
  return fmt::format("{:0{}o}", value, width - 1) + '\0';
}

std::string read_local(const char* file) {
  auto in = std::ifstream{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

std::string about_this_machine() {
  auto name = utsname{};
  ::uname(&name);
  auto text = fmt::format("{} {} {} {}\n\n", name.sysname, name.release, name.version, name.machine);
  text += read_local("/etc/os-release") + "\n";
  auto memory = read_local("/proc/meminfo");
  return text + memory.substr(0, memory.find("Buffers:"));
}

constexpr auto about_bundle =
    "What a NovaCron fabric said of itself when this was made, each file an answer of its HTTP interface.\n"
    "Left out: values of environments, arguments of commands, hashes of tokens, whatever is called or looks like a\n"
    "secret, the output of workloads, and the content of messages. Names of nodes, workloads and images are in it.\n"
    "FILE.error.txt says why FILE is missing.\n";

struct part {
  const char* file;
  std::string path;
};

std::vector<part> parts() {
  return {{"version.json", "/v1/version"},
          {"ready.txt", "/readyz?verbose"},
          {"nodes.json", "/v1/nodes"},
          {"workloads.json", "/v1/workloads"},
          {"instances.json", "/v1/instances"},
          {"events.json", "/v1/events?limit=10000"},
          {"links.json", "/v1/links"},
          {"actors.json", "/v1/actors"},
          {"images.json", "/v1/images"},
          {"ledger.json", "/v1/ledger"},
          {"records.json", "/v1/ledger/records"},
          {"tokens.json", "/v1/tokens"},
          {"operations.json", "/v1/operations"},
          {"metrics.txt", "/metrics"}};
}

void write_bundle(const std::string& file, const std::string& bytes) {
  // Nobody else's business, and never over something that is there.
  const auto fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    throw failure{errno == EEXIST ? exit_code::conflict : exit_code::failed,
                  fmt::format("cannot write {}: {}", file, std::strerror(errno))};
  auto rest = std::string_view{bytes};
  while (!rest.empty()) {
    const auto count = ::write(fd, rest.data(), rest.size());
    if (count <= 0) {
      const auto reason = errno;
      ::close(fd);
      ::unlink(file.c_str());
      throw failure{exit_code::failed, fmt::format("cannot write {}: {}", file, std::strerror(reason))};
    }
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  ::close(fd);
}

} // namespace

std::string text_without_secrets(std::string_view text) {
  auto out = std::string{text};
  remove_pem(out);
  remove_passwords(out);
  remove_values(out);
  return out;
}

std::string without_secrets(std::string_view json) {
  auto parsed = ordered::parse(json, nullptr, false);
  if (parsed.is_discarded())
    return text_without_secrets(json);
  clean(parsed, {});
  return parsed.dump(2, ' ', false, ordered::error_handler_t::replace) + "\n";
}

std::string tar_of(const std::vector<std::pair<std::string, std::string>>& files, std::int64_t seconds) {
  constexpr auto block = std::size_t{512};
  auto out = std::string{};
  for (const auto& [name, content] : files) {
    auto head = std::string(block, '\0');
    const auto put = [&](std::size_t at, std::string_view text) { head.replace(at, text.size(), text); };
    put(0, std::string_view{name}.substr(0, 99));
    put(100, octal(0600, 8));
    put(108, octal(0, 8));
    put(116, octal(0, 8));
    put(124, octal(content.size(), 12));
    put(136, octal(static_cast<std::uint64_t>(std::max<std::int64_t>(seconds, 0)), 12));
    put(148, "        ");
    put(156, "0");
    put(257, std::string_view{"ustar\00000", 8});
    auto sum = std::uint64_t{0};
    for (const unsigned char c : head)
      sum += c;
    put(148, octal(sum, 7) + ' ');
    out += head + content;
    out.resize((out.size() + block - 1) / block * block, '\0');
  }
  return out + std::string(2 * block, '\0');
}

int debug_bundle(const invocation& what, session& with) {
  const auto now = with.now();
  auto name = print_time(now).substr(0, 19);
  std::erase(name, ':');
  const auto stem = "novacron-" + name;
  auto files = std::vector<std::pair<std::string, std::string>>{};
  const auto add = [&](const std::string& file, std::string text) {
    files.emplace_back(stem + "/" + file, std::move(text));
  };
  add("README.txt", about_bundle);
  add("machine.txt", about_this_machine());
  auto missing = std::vector<std::string>{};
  auto first = std::optional<failure>{};
  for (const auto& x : parts()) {
    try {
      const auto reply = with.fabric().send("GET", x.path);
      add(x.file, without_secrets(reply.body));
    } catch (const failure& why) {
      missing.emplace_back(x.file);
      first = first ? first : why;
      add(std::string{x.file} + ".error.txt", std::string{why.what()} + "\n");
      // A fabric that is not there need not be asked a dozen times.
      if (missing.size() == files.size() - 2 && why.code == exit_code::unreachable)
        throw;
    }
  }
  const auto file = what.argument(0).empty() ? stem + ".tar" : what.argument(0);
  const auto bytes = tar_of(files, now / 1000);
  if (file == "-")
    with.out << bytes;
  else {
    write_bundle(file, bytes);
    with.out << file << '\n';
  }
  for (const auto& x : missing)
    with.err << fmt::format("{} is missing; its error is in the bundle\n", x);
  return first ? static_cast<int>(exit_code::failed) : 0;
}

} // namespace novacron::shell
