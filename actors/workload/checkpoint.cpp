#include "actors/workload/checkpoint.hpp"

#include "actors/workload/conversion.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

constexpr auto name_bytes_max = std::size_t{64};
/// Chosen: what must be left on the disk beside a checkpoint.
constexpr auto left_bytes = std::uint64_t{64} << 20;

std::string mebibytes(std::uint64_t bytes) {
  return fmt::format("{} MiB", (bytes + (1 << 20) - 1) >> 20);
}

} // namespace

bool is_checkpoint_name(const std::string& name) {
  const auto is_part = [](char x) {
    return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || (x >= '0' && x <= '9') || x == '.' || x == '-' ||
           x == '_';
  };
  return !name.empty() && name.size() <= name_bytes_max && name.front() != '.' && !name.ends_with(".part") &&
         std::ranges::all_of(name, is_part);
}

std::string next_checkpoint_name(const std::string& workload, const std::set<std::string>& taken) {
  // Room for the number, however long the workload's name is.
  constexpr auto number_bytes = std::size_t{12};
  const auto base = workload.substr(0, name_bytes_max - number_bytes);
  for (auto number = 1;; ++number)
    if (auto name = fmt::format("{}-{}", base, number); !taken.contains(name))
      return name;
}

std::string machine_shape(const machine_plan& plan) {
  return template_key(plan_template(plan).value_or(plan), {});
}

std::string refuse_checkpoint(const wire::WorkloadSpec& spec, bool whole_disk) {
  const auto kind = spec.kind();
  if (kind != wire::WORKLOAD_KIND_SANDBOX && kind != wire::WORKLOAD_KIND_VM)
    return fmt::format(
        "a {} has no checkpoints: the memory of processes that run on the host's kernel could be had "
        "through CRIU only, which novacron does without; as a sandbox it has them (kind = \"sandbox\"{})",
        word_of(kind), kind == wire::WORKLOAD_KIND_CONTAINER ? ", or `workload convert NAME --to=sandbox`" : "");
  if (whole_disk)
    return "it boots a whole disk, in which there is no agent of ours that could tell it who it is once it is "
           "restored: "
           "only sandboxes, and virtual machines from an image with an init, have checkpoints";
  return {};
}

std::string refuse_room(const checkpoint_room& room, std::uint64_t bytes) {
  if (room.bytes_max == 0)
    return "this node keeps no checkpoints (`checkpoints` in its nodes.toml is 0)";
  if (room.bytes + bytes > room.bytes_max)
    return fmt::format("it may take {}, and the checkpoints of this node have {} of {} already; `checkpoint delete` "
                       "makes room, and `checkpoints` in nodes.toml allows more",
                       mebibytes(bytes), mebibytes(room.bytes), mebibytes(room.bytes_max));
  if (room.free < bytes + left_bytes)
    return fmt::format("it may take {}, and the disk has {} left, of which {} are kept free", mebibytes(bytes),
                       mebibytes(room.free), mebibytes(left_bytes));
  return {};
}

std::string unusable(const checkpoint_facts& from, const checkpoint_host& host) {
  const auto& was = from.ground;
  if (was.monitor != host.ground.monitor)
    return fmt::format("it was made with {}, and this node has {}: only the very same can go on from it", was.monitor,
                       host.ground.monitor.empty() ? "none" : host.ground.monitor);
  if (was.processor != host.ground.processor)
    return "it was made on another model of processor than this node has now";
  if (was.guest != host.ground.guest)
    return "it was made with another kernel for guests than this node has now";
  if (!is_same_rate(from.stamp_khz, host.stamp_khz))
    return fmt::format("its clock counts with {} kHz, and this processor counts with {} now", from.stamp_khz,
                       host.stamp_khz);
  return {};
}

std::string refuse_restore(const checkpoint_facts& from, const wire::Instance& what, const std::string& shape) {
  const auto& shown = from.shown;
  const auto& spec = what.spec();
  // Who may read its memory learns all that its tenant keeps there.
  if (shown.spec().tenant() != spec.tenant())
    return fmt::format("checkpoint {} belongs to {}, not to {}", shown.name(),
                       shown.spec().tenant().empty() ? "no tenant" : "tenant " + shown.spec().tenant(),
                       spec.tenant().empty() ? "no tenant" : "tenant " + spec.tenant());
  if (shown.spec().kind() != spec.kind())
    return fmt::format("checkpoint {} is of a {}, and {} is a {}", shown.name(), word_of(shown.spec().kind()),
                       what.name(), word_of(spec.kind()));
  if (from.shape != shape)
    return fmt::format("checkpoint {} is of a machine with other parts (it was {}, {} is {}): memory, processors and "
                       "network must be as they were",
                       shown.name(), from.shape, what.name(), shape);
  return {};
}

} // namespace novacron::workload
