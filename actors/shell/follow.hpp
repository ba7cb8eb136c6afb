#pragma once

/// Commands that go on until they are stopped: logs, events, traces, views that refresh, and waiting.

#include "actors/shell/session.hpp"
#include "messages/wire/scheduler.pb.h"

namespace novacron::shell {

int logs(const invocation& what, session& with);
int events(const invocation& what, session& with);
int trace(const invocation& what, session& with);
int top(const invocation& what, session& with);
int watch(const invocation& what, session& with);

/// Waits until the workloads run, or have completed, with a line of progress on a terminal.
int wait_for(const std::vector<v1::Submitted>& workloads, std::uint64_t limit_ms, session& with);
/// Waits until `done` is true; what it waits for is said on a terminal, and when time is up.
void wait_until(const std::function<bool()>& done, const std::string& what, std::uint64_t limit_ms, session& with);

/// The instance that is meant: a name with a number as it is; that of a workload when it has but one. Throws `failure`
/// when it has several.
std::string instance_name(const std::string& name, session& with);

/// "/v1/actors/NODE/NAME" for a full name, or for a last part that only one actor has. Throws `failure`.
std::string actor_path(const std::string& name, session& with);

} // namespace novacron::shell
