#include "actors/workload/conversion.hpp"

#include "actors/host/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;

/// In the directory of an instance: it does not count yet.
constexpr auto draft_mark = "draft";
/// It counts, and the copy in the other format does not.
constexpr auto origin_mark = "replaces";
/// What makes a directory an instance's; see instance_directory.hpp.
constexpr auto record = "instance.pb";

bool is_machine(wire::WorkloadKind kind) {
  return kind == wire::WORKLOAD_KIND_SANDBOX || kind == wire::WORKLOAD_KIND_VM;
}

bool has_format(wire::WorkloadKind kind) {
  return is_machine(kind) || kind == wire::WORKLOAD_KIND_CONTAINER;
}

void settle(const fs::path& here, const fs::path& there) {
  auto error = std::error_code{};
  if (!fs::is_directory(here, error))
    return;
  for (const auto& each : fs::directory_iterator{here}) {
    if (fs::exists(each.path() / draft_mark))
      fs::remove(each.path() / record);
    if (!fs::exists(each.path() / origin_mark))
      continue;
    fs::remove(there / each.path().filename() / record);
    fs::remove(each.path() / origin_mark);
  }
}

} // namespace

const char* word_of(wire::WorkloadKind kind) {
  switch (kind) {
    case wire::WORKLOAD_KIND_CONTAINER: return "container";
    case wire::WORKLOAD_KIND_SANDBOX: return "sandbox";
    case wire::WORKLOAD_KIND_VM: return "vm";
    case wire::WORKLOAD_KIND_FUNCTION: return "function";
    case wire::WORKLOAD_KIND_BATCH: return "batch";
    default: return "workload of unknown kind";
  }
}

std::string refuse_conversion(const wire::WorkloadSpec& spec, wire::WorkloadKind to) {
  if (!has_format(to))
    return "it can become a container, a sandbox or a vm";
  if (!has_format(spec.kind()))
    return fmt::format("a {} cannot change its format: only containers, sandboxes and virtual machines can",
                       word_of(spec.kind()));
  if (spec.kind() == to)
    return fmt::format("it is a {} already", word_of(to));
  if (is_machine(spec.kind()) && is_machine(to))
    return "a sandbox becomes a vm, or the other way round, by way of a container: convert it to that first";
  if (spec.replicas() > 1)
    return fmt::format("the workload has {} instances; only one of a single instance can change its format",
                       spec.replicas());
  if (std::ranges::any_of(spec.network().ports(), [](const auto& x) { return x.host() > 0; }))
    return "it publishes ports of the host, which its new format could not have while the old one still has them";
  if (!spec.conversion().restart())
    return "its memory cannot be taken along here, and it has not agreed to begin anew with its files; write "
           "conversion = { restart = true } into its file";
  return {};
}

std::vector<std::string> lost_in_conversion(const wire::WorkloadSpec& spec, wire::WorkloadKind to) {
  auto lost = std::vector<std::string>{"its memory: its processes begin anew",
                                       "what was started inside it with exec, and what it has in memory file systems"};
  if (spec.network().mode() != "none")
    lost.emplace_back("its address and its open connections");
  if (to == wire::WORKLOAD_KIND_CONTAINER)
    lost.emplace_back("special files and extended attributes, and that two names are one file");
  return lost;
}

wire::Converted announce_conversion(const wire::Instance& what, const std::string& node,
                                    const wire::ConvertInstance& asked) {
  auto answer = wire::Converted{};
  answer.set_instance(what.name());
  answer.set_node(node);
  answer.set_from(what.spec().kind());
  answer.set_to(asked.to());
  answer.set_only_checked(asked.only_check());
  for (auto& each : lost_in_conversion(what.spec(), asked.to()))
    answer.add_lost(std::move(each));
  return answer;
}

void conversion_draft::begin() const {
  fs::create_directories(place_);
  fs::permissions(place_, fs::perms::owner_all);
  host::replace_file(place_ / draft_mark, "");
}

// A loss of power must not leave a copy that counts and is not whole, nor one less than there was.
void conversion_draft::commit() const {
  const auto fd = ::open(place_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto whole = fd >= 0 && ::syncfs(fd) == 0;
  const auto problem = errno;
  if (fd >= 0)
    ::close(fd);
  if (!whole)
    throw fs::filesystem_error{"cannot write to the disk", place_, std::error_code{problem, std::generic_category()}};
  fs::rename(place_ / draft_mark, place_ / origin_mark);
  try {
    host::settle_file(place_ / origin_mark);
  } catch (...) {
    fs::rename(place_ / origin_mark, place_ / draft_mark);
    throw;
  }
}

void conversion_draft::forget_origin() const {
  auto error = std::error_code{};
  fs::remove(place_ / origin_mark, error);
}

void settle_conversions(const fs::path& one, const fs::path& other) {
  settle(one, other);
  settle(other, one);
}

} // namespace novacron::workload
