#include "actors/api/route.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <set>

namespace novacron::api {
namespace {

using names = std::map<std::string, std::string, std::less<>>;

std::vector<std::string_view> segments(std::string_view path) {
  auto all = std::vector<std::string_view>{};
  while (path.starts_with('/')) {
    path.remove_prefix(1);
    const auto end = std::min(path.find('/'), path.size());
    all.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return all;
}

/// One segment of a pattern against one of a path. A name keeps its encoding here.
bool match_segment(std::string_view pattern, std::string_view text, names& found) {
  if (!pattern.starts_with('{'))
    return pattern == text;
  const auto close = pattern.find('}');
  const auto verb = pattern.substr(close + 1);
  auto name = pattern.substr(1, close - 1);
  if (!text.ends_with(verb) || text.size() <= verb.size())
    return false;
  const auto value = text.substr(0, text.size() - verb.size());
  // What follows a colon is a verb; only images have names with one.
  if (name != "image" && value.find(':') != value.npos)
    return false;
  found[std::string{name}] = value;
  return true;
}

std::optional<names> match(std::string_view pattern, std::string_view path) {
  const auto wanted = segments(pattern);
  const auto given = segments(path);
  const auto star = std::ranges::find_if(wanted, [](auto x) { return x.find("*}") != x.npos; });
  const auto before = static_cast<std::size_t>(star - wanted.begin());
  const auto after = star == wanted.end() ? 0 : wanted.size() - before - 1;
  if (star == wanted.end() ? wanted.size() != given.size() : given.size() < before + after + 1)
    return {};
  auto found = names{};
  for (auto i = std::size_t{0}; i < before; ++i)
    if (!match_segment(wanted[i], given[i], found))
      return {};
  for (auto i = std::size_t{0}; i < after; ++i)
    if (!match_segment(wanted[wanted.size() - 1 - i], given[given.size() - 1 - i], found))
      return {};
  if (star == wanted.end())
    return found;
  // The star joins all segments in between.
  auto middle = std::string{given[before]};
  for (auto i = before + 1; i < given.size() - after; ++i)
    middle.append("/").append(given[i]);
  auto single = std::string{*star};
  single.erase(single.find('*'), 1);
  return match_segment(single, middle, found) ? std::optional{found} : std::nullopt;
}

/// How exact a pattern is: where several match, the one with more literal text is meant.
std::size_t exactness(std::string_view pattern) {
  auto inside = false;
  return static_cast<std::size_t>(std::ranges::count_if(pattern, [&](char c) {
    inside = c == '{' || (inside && c != '}');
    return !inside;
  }));
}

std::optional<std::string> decode(names& found) {
  for (auto& [name, value] : found) {
    const auto plain = percent_decoded(value);
    const auto free = name == "image" || name == "actor";
    if (!plain || plain->empty() || plain->size() > 512 || (!free && !is_name(*plain)))
      return "\"" + value + "\" is not a name";
    value = *plain;
  }
  return {};
}

bool fits(const parameter& x, const std::string& value) {
  if (x.what == parameter::kind::text)
    return value.size() <= 1024;
  if (x.what == parameter::kind::flag)
    return value.empty() || value == "true" || value == "false" || value == "1" || value == "0";
  auto number = std::int64_t{0};
  const auto [end, wrong] = std::from_chars(value.data(), value.data() + value.size(), number);
  return wrong == std::errc{} && end == value.data() + value.size();
}

std::optional<std::string> check_query(const route& through, const request& asked) {
  for (const auto& [name, value] : asked.query) {
    const auto known = std::ranges::find(through.query, name, &parameter::name);
    if (known == through.query.end())
      return "there is no parameter \"" + name + "\" here";
    if (!fits(*known, value))
      return "\"" + value + "\" does not fit the parameter \"" + name + "\"";
  }
  return {};
}

std::optional<response> check(const call& x) {
  if (!x.through->open && x.asked.who.role.empty())
    return problem(401, "this needs a client certificate of this fabric", "denied");
  if (auto wrong = check_query(*x.through, x.asked))
    return problem(400, *wrong, "bad_request");
  const auto key = x.asked.header("idempotency-key");
  if (key.size() > 128)
    return problem(400, "an Idempotency-Key has at most 128 characters", "bad_request");
  // Whoever asks for protection shall not believe to have it where there is none.
  if (!x.through->conditional && x.through->method != "GET" && !x.asked.header("if-match").empty())
    return problem(400, "this takes no If-Match", "bad_request");
  if (!x.through->body && !x.through->raw && !x.asked.body.empty() && x.asked.body != "{}")
    return problem(400, "this takes no body", "bad_request");
  return {};
}

response no_route(const request& asked, const std::set<std::string>& allowed) {
  if (allowed.empty())
    return problem(404, "there is nothing at " + asked.path + "; see /openapi.json", "not_found");
  auto list = std::string{};
  for (const auto& method : allowed)
    list += (list.empty() ? "" : ", ") + method;
  auto out = problem(405, "here one can " + list, "bad_request");
  out.headers["Allow"] = list;
  return out;
}

} // namespace

std::span<const route> routes() {
  static const auto all = [] {
    auto table = std::vector<route>{};
    for (auto part : {workload_routes(), function_routes(), fabric_routes(), scheduler_routes(), migration_routes(),
                      ledger_routes(), operation_routes(), self_routes()})
      table.insert(table.end(), part.begin(), part.end());
    return table;
  }();
  return all;
}

std::variant<call, response> find_route(request asked, const world& around) {
  const auto method = asked.method == "HEAD" ? std::string_view{"GET"} : std::string_view{asked.method};
  auto allowed = std::set<std::string>{};
  auto best = std::optional<std::pair<const route*, names>>{};
  auto depth = std::size_t{0};
  for (const auto& candidate : routes()) {
    auto found = match(candidate.pattern, asked.path);
    const auto exact = exactness(candidate.pattern);
    if (!found || exact < depth)
      continue;
    if (exact > depth) {
      allowed.clear();
      best.reset();
      depth = exact;
    }
    allowed.emplace(candidate.method);
    if (candidate.method == "GET")
      allowed.emplace("HEAD");
    if (candidate.method == method)
      best.emplace(&candidate, std::move(*found));
  }
  if (!best)
    return no_route(asked, allowed);
  if (auto wrong = decode(best->second))
    return problem(400, *wrong, "bad_request");
  auto x = call{std::move(asked), best->first, &around, std::move(best->second)};
  if (auto wrong = check(x))
    return std::move(*wrong);
  return x;
}

response respond(const call& x) {
  if (!x.through->lasting || !x.around->lasting)
    return x.through->run(x);
  const auto key = x.asked.header("idempotency-key");
  const auto id = key.empty() ? x.around->unique()
                              : fmt::format("{}-{:016x}", x.through->title, std::hash<std::string_view>{}(key));
  // The call is copied: the work may outlive the request.
  return x.around->lasting->run(id, std::string{x.through->title}, [x] { return x.through->run(x); },
                                x.asked.query.contains("wait_ms") ? x.wait() : x.through->patience);
}

void link_next(response& x, const call& from, const std::string& token) {
  if (token.empty())
    return;
  auto target = from.asked.path;
  auto separator = '?';
  for (const auto& [name, value] : from.asked.query)
    if (name != "page_token") {
      target.append({separator}).append(percent_encoded(name)).append("=").append(percent_encoded(value));
      separator = '&';
    }
  x.headers["Link"] = "<" + target + separator + "page_token=" + percent_encoded(token) + ">; rel=\"next\"";
}

} // namespace novacron::api
