/// What one asks about work that takes longer than a request.

#include "actors/api/route.hpp"

namespace novacron::api {
namespace {

/// Operations are those of people: what they are answered with is not for a node to see.
std::optional<response> refuse(const call& c) {
  if (sender_of_role(c.asked.who.role) != person)
    return problem(403, "the role " + c.asked.who.role + " may not see operations", "denied");
  return {};
}

response list_operations(const call& c) {
  if (auto no = refuse(c))
    return std::move(*no);
  return json(c.around->lasting ? c.around->lasting->list() : wire::OperationList{});
}

response show_operation(const call& c) {
  if (auto no = refuse(c))
    return std::move(*no);
  const auto& id = c.name("operation");
  if (c.around->lasting)
    if (const auto found = c.around->lasting->find(id, c.wait()))
      return json(*found);
  return problem(404, "there is no operation called " + id + " on " + c.around->node, "not_found");
}

} // namespace

std::vector<route> operation_routes() {
  return {
      {.method = "GET", .pattern = "/v1/operations", .title = "listOperations",
       .help = "What takes longer than a request, on the node that is asked; the last hundred that ended, too.",
       .answer = &wire::OperationList::descriptor, .run = list_operations},
      {.method = "GET", .pattern = "/v1/operations/{operation}", .title = "showOperation", .help = "One operation.",
       .answer = &wire::Operation::descriptor,
       .query = {{"wait_ms", parameter::kind::number, "How long to wait for its end; at most 30000."}},
       .run = show_operation},
  };
}

} // namespace novacron::api
