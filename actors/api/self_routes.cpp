/// What one asks about the node that answers: its health, numbers, version, and this interface itself.

#include "actors/api/page.hpp"
#include "actors/api/route.hpp"

namespace novacron::api {
namespace {

using kind = parameter::kind;

response plain(unsigned status, std::string text) {
  return {.status = status, .type = "text/plain; charset=utf-8", .body = std::move(text), .headers = {}, .stream = {}};
}

caf::expected<wire::Health> health(const call& c) {
  auto x = c.ask<wire::Health>("door", wire::HealthRequest{});
  if (x && c.around->leaving()) {
    x->set_ready(false);
    auto& check = *x->add_checks();
    check.set_name("leaving");
    check.set_detail("the node is stopping");
  }
  return x;
}

response live(const call& c) {
  const auto x = health(c);
  if (!x)
    return plain(503, "not live: " + explain(x.error()).text + "\n");
  return x->live() ? plain(200, "ok\n") : plain(503, "not live\n");
}

bool excluded(const call& c, const std::string& check) {
  const auto [from, to] = c.asked.query.equal_range("exclude");
  return std::any_of(from, to, [&](const auto& x) { return x.second == check; });
}

response ready(const call& c) {
  const auto x = health(c);
  if (!x)
    return plain(503, "not ready: " + explain(x.error()).text + "\n");
  auto text = std::string{};
  auto failed = 0;
  auto skipped = 0;
  for (const auto& check : x->checks()) {
    const auto left_out = excluded(c, check.name());
    skipped += !check.ok() && left_out;
    failed += !check.ok() && !left_out;
    text += (left_out ? "[ ]" : check.ok() ? "[+]" : "[-]") + check.name() + (left_out ? " excluded" : check.ok() ? " ok" : " failed");
    text += (check.detail().empty() ? "" : ": " + check.detail()) + "\n";
  }
  // Not ready for a reason that no check names counts, too.
  const auto fine = failed == 0 && (x->ready() || skipped > 0);
  const auto verdict = std::string{fine ? "ok\n" : "not ready\n"};
  return plain(fine ? 200 : 503, c.flag("verbose") || !fine ? text + verdict : verdict);
}

response show_metrics(const call& c) {
  const auto x = c.ask<wire::Metrics>("observer", wire::MetricsRequest{});
  if (!x && explain(x.error()).kind == fault::denied)
    return problem(x.error());
  auto out = plain(200, x ? x->text() : c.around->metrics());
  out.type = "text/plain; version=0.0.4; charset=utf-8";
  return out;
}

response show_version(const call& c) {
  auto x = wire::Version{};
  x.set_version(c.around->version);
  x.set_node(c.around->node);
  x.set_role(c.around->role);
  x.set_protocol(protocol_version);
  x.set_api("v1");
  x.set_fabric(c.around->fabric);
  return json(x);
}

/// A part of the page. Nothing in it may come from elsewhere or run from within the text, and nobody may frame it.
response page_part(std::string_view text, const char* type) {
  auto out = plain(200, std::string{text});
  out.type = std::string{type} + "; charset=utf-8";
  out.headers["Content-Security-Policy"] =
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
      "form-action 'none'; frame-ancestors 'none'";
  out.headers["Referrer-Policy"] = "no-referrer";
  return out;
}

/// Whether the caller may see who ordered what; nodes that only work may not.
std::optional<response> keeps_audit_from(const call& c) {
  if (!c.around->audit_entries)
    return problem(501, "this node keeps no record of orders", "unsupported");
  if (sender_of_role(c.asked.who.role) == worker)
    return problem(403, "the role " + c.asked.who.role + " may not see who ordered what", "denied");
  return {};
}

response show_audit(const call& c) {
  if (auto no = keeps_audit_from(c))
    return std::move(*no);
  constexpr auto most = std::int64_t{10'000};
  const auto limit = c.number("limit");
  const auto after = std::max<std::int64_t>(c.number("after"), 0);
  return {.body = c.around->audit_entries(static_cast<std::uint64_t>(after),
                                          static_cast<std::size_t>(limit <= 0 ? most : std::min(limit, most)))};
}

response verify_audit(const call& c) {
  auto no = keeps_audit_from(c);
  return no ? std::move(*no) : response{.body = c.around->audit_verdict()};
}

response show_openapi(const call& c) {
  // The same for as long as the program runs, and long to make.
  static const auto text = openapi(routes(), c.around->version);
  return response{.body = text};
}

} // namespace

std::vector<route> self_routes() {
  constexpr auto soon = std::chrono::seconds{2};
  return {
      {.method = "GET", .pattern = "/v1/version", .title = "showVersion", .help = "Which node this is, and of which version.",
       .answer = &wire::Version::descriptor, .run = show_version},
      {.method = "GET", .pattern = "/livez", .title = "live", .help = "200 while the node works. Needs no client certificate.",
       .query = {{"verbose", kind::flag, "Accepted for probes that always send it."}}, .type = "text/plain", .open = true,
       .patience = soon, .run = live},
      {.method = "GET", .pattern = "/readyz", .title = "ready",
       .help = "200 while the node can take work; 503 with the failed checks otherwise, and from the moment it begins to stop.",
       .query = {{"verbose", kind::flag, "List every check."}, {"exclude", kind::text, "Leave out this check; may be repeated."}},
       .type = "text/plain", .patience = soon, .run = ready},
      {.method = "GET", .pattern = "/metrics", .title = "showMetrics", .help = "The node's metrics in the Prometheus text format 0.0.4.",
       .type = "text/plain", .patience = soon, .run = show_metrics},
      {.method = "GET", .pattern = "/", .title = "showPage", .help = "A page for people: nodes, workloads and events as they are now.",
       .type = "text/html", .run = [](const call&) { return page_part(page_html, "text/html"); }},
      {.method = "GET", .pattern = "/page.css", .title = "showPageStyle", .help = "How the page looks.", .type = "text/css",
       .run = [](const call&) { return page_part(page_css, "text/css"); }},
      {.method = "GET", .pattern = "/page.js", .title = "showPageScript", .help = "What the page does.", .type = "text/javascript",
       .run = [](const call&) { return page_part(page_js, "text/javascript"); }},
      {.method = "GET", .pattern = "/v1/audit", .title = "showAudit",
       .help = "The last orders and refusals on this node, as lines that are bound to one another.",
       .query = {{"after", kind::number, "Only entries after this number."},
                 {"limit", kind::number, "At most so many, the last ones; 0 gives all, up to 10000."}},
       .run = show_audit},
      {.method = "GET", .pattern = "/v1/audit:verify", .title = "verifyAudit",
       .help = "Whether every order and refusal on record is as it was written, and none is missing.", .run = verify_audit},
      {.method = "GET", .pattern = "/openapi.json", .title = "showInterface", .help = "This interface as OpenAPI 3.1.",
       .run = show_openapi},
  };
}

} // namespace novacron::api
