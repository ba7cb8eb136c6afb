#pragma once

/// Commands about how workloads are placed: policies, quotas, room that is kept, taints, moves to better places.

#include "actors/shell/session.hpp"

namespace novacron::shell {

int policy_list(const invocation& what, session& with);
int policy_show(const invocation& what, session& with);
int policy_set(const invocation& what, session& with);
int policy_delete(const invocation& what, session& with);
int quota_list(const invocation& what, session& with);
int quota_set(const invocation& what, session& with);
int quota_delete(const invocation& what, session& with);
int reservation_list(const invocation& what, session& with);
int reservation_create(const invocation& what, session& with);
int reservation_delete(const invocation& what, session& with);
int node_taint(const invocation& what, session& with);
int node_untaint(const invocation& what, session& with);
int rebalance(const invocation& what, session& with);

} // namespace novacron::shell
