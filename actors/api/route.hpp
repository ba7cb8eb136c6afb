#pragma once

/// The table of what can be asked over HTTP: it serves requests and describes itself as OpenAPI.

#include "actors/api/call.hpp"

#include <span>
#include <variant>

namespace novacron::api {

struct parameter {
  enum class kind { text, number, flag };
  std::string_view name;
  kind what = kind::text;
  std::string_view help;
};

struct route {
  std::string_view method;
  /// Segments are words, {name}, {name}:verb, or {name*}, which takes one segment or more.
  std::string_view pattern;
  /// Unique; the operationId.
  std::string_view title;
  std::string_view help;
  /// Messages in the body and in the answer, null for none.
  const google::protobuf::Descriptor* (*body)() = nullptr;
  /// The body is any bytes, and no message.
  bool raw = false;
  /// Whether it is on record who asked, when it is no GET. What comes a thousand times a second would push the orders
  /// out.
  bool audited = true;
  const google::protobuf::Descriptor* (*answer)() = nullptr;
  std::vector<parameter> query;
  /// The answer's type when it is not JSON, or also can be something else.
  std::string_view type = "application/json";
  /// Takes an Idempotency-Key.
  bool order = false;
  /// Takes If-Match and If-None-Match.
  bool conditional = false;
  /// Goes on as an operation when it takes longer than `wait_ms`.
  bool lasting = false;
  /// Needs no client certificate.
  bool open = false;
  /// How long the actors behind it may take.
  milliseconds patience = std::chrono::seconds{5};
  response (*run)(const call&) = nullptr;
};

/// All routes, in the order in which they are described.
std::span<const route> routes();

std::vector<route> operation_routes();
std::vector<route> workload_routes();
std::vector<route> fabric_routes();
std::vector<route> function_routes();
std::vector<route> ledger_routes();
std::vector<route> migration_routes();
std::vector<route> scheduler_routes();
std::vector<route> self_routes();

/// The route for a request with everything checked that the table says, or why there is none.
std::variant<call, response> find_route(request asked, const world& around);

/// The table as an OpenAPI 3.1 document.
std::string openapi(std::span<const route> table, const std::string& version);

/// Answers a call: by its route, or as an operation when that takes long. Does not throw what the route does not throw.
response respond(const call& x);

/// Keeps of `items`, sorted by `key`, what comes after `after`, at most `limit` (0: all). Returns where the next page
/// begins, empty when there is none.
template <class T, class Key>
std::string keep_page(google::protobuf::RepeatedPtrField<T>& items, Key key, std::size_t limit, const std::string& after) {
  std::sort(items.pointer_begin(), items.pointer_end(), [&](const T* a, const T* b) { return key(*a) < key(*b); });
  auto skipped = 0;
  while (!after.empty() && skipped < items.size() && key(items.Get(skipped)) <= after)
    ++skipped;
  items.DeleteSubrange(0, skipped);
  const auto size = static_cast<std::size_t>(items.size());
  if (limit == 0 || size <= limit)
    return {};
  items.DeleteSubrange(static_cast<int>(limit), static_cast<int>(size - limit));
  return key(items.Get(static_cast<int>(limit) - 1));
}

/// Points at the next page in `x`, unless `token` is empty.
void link_next(response& x, const call& from, const std::string& token);

/// The parameter of what may take long.
inline const auto lasting_parameter =
    parameter{"wait_ms", parameter::kind::number,
              "How long to wait for the end; then 202 and the operation. Without it, until the end."};

/// The parameters of every list.
inline const auto limit_parameter =
    parameter{"limit", parameter::kind::number, "How many to list at most; 0 lists all."};
inline const auto page_parameter =
    parameter{"page_token", parameter::kind::text, "Where to go on: from the Link header of the page before."};

} // namespace novacron::api
