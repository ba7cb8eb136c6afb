/// What one asks about functions: their calls above all.

#include "actors/api/route.hpp"
#include "messages/function.hpp"

#include <atomic>
#include <string>
#include <utility>

namespace novacron::api {
namespace {

/// Beyond the route's own patience: what a call may wait for an instance, and what its handler may take at most.
constexpr auto call_max = std::chrono::seconds{30 + 60 + 20};
/// Calls on their way through this node at once, each of which holds a thread; see server::config.
constexpr auto calls_max = 24u;

/// One of the calls that are allowed at once; none when there are too many.
class permit {
public:
  explicit permit(std::atomic<unsigned>& count) : count_{count}, given_{count.fetch_add(1) < calls_max} {}
  ~permit() { count_.fetch_sub(1); }
  permit(const permit&) = delete;
  permit& operator=(const permit&) = delete;
  explicit operator bool() const { return given_; }

private:
  std::atomic<unsigned>& count_;
  bool given_;
};

response invoke(const call& c) {
  const auto allowed = permit{*c.around->calls};
  if (!allowed)
    return problem(429, "too many calls go through this node", "overloaded");
  if (c.asked.body.size() > call_bytes_max)
    return problem(413, "a call has at most " + std::to_string(call_bytes_max) + " bytes", "bad_request");
  auto question = wire::Invoke{};
  question.set_function(c.name("function"));
  question.set_body(c.asked.body);
  auto answer = c.ask<wire::Invoked>("functions", question, call_max);
  if (!answer)
    return problem(answer.error());
  if (c.flag("whole"))
    return json(*answer);
  auto out = answer->problem().empty()
                 ? response{.type = "application/octet-stream", .body = std::move(*answer->mutable_body())}
                 : problem(502, answer->problem(), "unspecified");
  out.headers["Novacron-Instance"] = answer->instance();
  out.headers["Novacron-Start"] = answer->cold() ? "cold" : "warm";
  return out;
}

response list_functions(const call& c) {
  auto list = c.ask<wire::FunctionList>("functions", wire::FunctionListRequest{});
  if (!list)
    return problem(list.error());
  const auto key = [](const wire::FunctionView& x) { return x.name(); };
  const auto next =
      keep_page(*list->mutable_functions(), key, static_cast<std::size_t>(c.number("limit")), c.text("page_token"));
  auto out = json(*list);
  link_next(out, c, next);
  return out;
}

response show_function(const call& c) {
  auto question = wire::FunctionListRequest{};
  question.set_name(c.name("function"));
  const auto list = c.ask<wire::FunctionList>("functions", question);
  return list ? json(list->functions(0)) : problem(list.error());
}

} // namespace

std::vector<route> function_routes() {
  return {
      {.method = "GET",
       .pattern = "/v1/functions",
       .title = "listFunctions",
       .help = "All functions and how they are called, since the controller that answers leads.",
       .answer = &wire::FunctionList::descriptor,
       .query = {limit_parameter, page_parameter},
       .run = list_functions},
      {.method = "GET",
       .pattern = "/v1/functions/{function}",
       .title = "showFunction",
       .help = "One function.",
       .answer = &wire::FunctionView::descriptor,
       .run = show_function},
      {.method = "POST",
       .pattern = "/v1/functions/{function}:invoke",
       .title = "invokeFunction",
       .help = "Calls a function: the body is the handler's, as it is, and so is the answer.",
       .raw = true,
       .audited = false,
       .answer = &wire::Invoked::descriptor,
       .query = {{"whole", parameter::kind::flag,
                  "Answer with all that is known of the call, as JSON; the body is base64."}},
       .type = "application/octet-stream",
       .run = invoke},
  };
}

} // namespace novacron::api
