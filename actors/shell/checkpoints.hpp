#pragma once

/// Commands about checkpoints: to write down what runs, to begin from that again, to see and delete what there is.

#include "actors/shell/commands.hpp"
#include "actors/shell/session.hpp"
#include "actors/shell/views.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace novacron::shell {

int workload_checkpoint(const invocation& what, session& with);
int workload_restore(const invocation& what, session& with);
int checkpoint_list(const invocation& what, session& with);
int checkpoint_show(const invocation& what, session& with);
int checkpoint_delete(const invocation& what, session& with);

table checkpoint_table(const v1::CheckpointList& x, std::int64_t now);

/// Which checkpoint is meant: the one called `name`, or the latest of `workload` when that is empty; on `node` unless
/// that is empty. Throws `failure` when there is none, or when there are several.
v1::Checkpoint choose_checkpoint(const v1::CheckpointList& all, const std::string& workload, const std::string& name,
                                 const std::string& node);

/// How something is restored: what runs is put back, or a workload is submitted that begins from there.
struct restoring {
  bool in_place = false;
  v1::WorkloadSpec spec;
};

/// `now` is the workload that the checkpoint is of, if there is one, and `another` the name of the one that shall begin
/// from it; empty for the same. Throws `failure` that says what to do instead when it cannot be.
restoring plan_restoring(const v1::Checkpoint& from, const std::optional<v1::WorkloadView>& now,
                         const std::string& another);

} // namespace novacron::shell
