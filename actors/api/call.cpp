#include "actors/api/call.hpp"

#include "actors/api/route.hpp"

#include <algorithm>
#include <charconv>
#include <thread>
#include <utility>

namespace novacron::api {

unsigned status_of(fault x) {
  switch (x) {
    case fault::not_found: return 404;
    case fault::conflict: return 409;
    case fault::bad_request:
    case fault::bad_config: return 400;
    case fault::denied: return 403;
    case fault::unreachable: return 502;
    case fault::timeout: return 504;
    case fault::overloaded: return 429;
    case fault::unavailable:
    case fault::not_leader: return 503;
    case fault::storage: return 507;
    case fault::unsupported: return 501;
    case fault::unspecified: return 500;
  }
  return 500;
}

std::string_view name_of(fault x) {
  switch (x) {
    case fault::unspecified: return "unspecified";
    case fault::not_found: return "not_found";
    case fault::conflict: return "conflict";
    case fault::bad_request: return "bad_request";
    case fault::denied: return "denied";
    case fault::unreachable: return "unreachable";
    case fault::timeout: return "timeout";
    case fault::overloaded: return "overloaded";
    case fault::unavailable: return "unavailable";
    case fault::not_leader: return "not_leader";
    case fault::storage: return "storage";
    case fault::unsupported: return "unsupported";
    case fault::bad_config: return "bad_config";
  }
  return "unspecified";
}

response problem(const caf::error& x) {
  const auto what = explain(x);
  auto out = problem(status_of(what.kind), what.text, name_of(what.kind));
  if (out.status == 429 || out.status == 503)
    out.headers["Retry-After"] = "1";
  return out;
}

response json(const google::protobuf::Message& x, unsigned status) {
  return {.status = status, .type = "application/json", .body = to_json(x), .headers = {}, .stream = {}};
}

bool is_name(std::string_view text) {
  const auto alnum = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto fits = [&](char c) { return alnum(c) || c == '.' || c == '_' || c == '-'; };
  return !text.empty() && text.size() <= 253 && alnum(text.front()) && std::ranges::all_of(text, fits);
}

namespace {

/// The first word to an actor on another node comes before the way to it is known, and is refused. A question can be
/// asked again, so that nobody needs to see that.
void ask_again(const world& around, const std::vector<std::string>& actors, const caf::message& question,
               milliseconds patience, world::answers& answers) {
  constexpr auto attempts = 4;
  constexpr auto pause = milliseconds{50};
  for (auto i = 0; i < attempts; ++i) {
    auto silent = std::vector<std::size_t>{};
    auto whom = std::vector<std::string>{};
    for (auto n = std::size_t{0}; n < answers.size(); ++n)
      if (!answers[n] && explain(answers[n].error()).kind == fault::unreachable) {
        silent.push_back(n);
        whom.push_back(actors[n]);
      }
    if (silent.empty())
      return;
    std::this_thread::sleep_for(pause);
    auto more = around.ask(whom, question, patience);
    for (auto n = std::size_t{0}; n < silent.size(); ++n)
      answers[silent[n]] = std::move(more[n]);
  }
}

} // namespace

const std::string& call::name(std::string_view of) const { return names.find(of)->second; }

std::string call::text(std::string_view parameter) const {
  const auto at = asked.query.find(parameter);
  return at == asked.query.end() ? std::string{} : at->second;
}

std::int64_t call::number(std::string_view parameter) const {
  const auto value = text(parameter);
  auto x = std::int64_t{0};
  std::from_chars(value.data(), value.data() + value.size(), x);
  return x;
}

bool call::flag(std::string_view parameter) const {
  return asked.query.contains(parameter) && text(parameter) != "false" && text(parameter) != "0";
}

milliseconds call::wait() const {
  constexpr auto most = milliseconds{30'000};
  return std::clamp(milliseconds{number("wait_ms")}, milliseconds{0}, most);
}

caf::expected<std::optional<std::uint64_t>> call::expected_revision() const {
  const auto none = asked.header("if-none-match");
  auto match = asked.header("if-match");
  if (none.empty() && match.empty())
    return std::optional<std::uint64_t>{};
  if (none == "*" && match.empty())
    return std::optional<std::uint64_t>{0};
  auto revision = std::uint64_t{0};
  if (none.empty() && match.size() > 2 && match.front() == '"' && match.back() == '"') {
    match = match.substr(1, match.size() - 2);
    const auto [end, wrong] = std::from_chars(match.data(), match.data() + match.size(), revision);
    if (wrong == std::errc{} && end == match.data() + match.size() && revision > 0)
      return std::optional{revision};
  }
  return caf::make_error(fault::bad_request, "If-Match must be one ETag as in \"12\", If-None-Match must be *");
}

void call::sign(wire::Order& x) const {
  const auto key = asked.header("idempotency-key");
  x.set_client("http:" + (key.empty() ? around->unique() : std::string{key}));
  x.set_sequence(1);
}

world::answers call::ask_raw(const std::vector<std::string>& actors, const std::string& name,
                             const caf::message& question, milliseconds more) const {
  if (!through->open && !permitted(name, sender_of_role(asked.who.role)))
    return {actors.size(), caf::make_error(fault::denied, "the role " + asked.who.role + " may not say " + name)};
  auto answers = around->ask(actors, question, through->patience + more);
  if (through->method == "GET")
    ask_again(*around, actors, question, through->patience + more, answers);
  return answers;
}

} // namespace novacron::api
