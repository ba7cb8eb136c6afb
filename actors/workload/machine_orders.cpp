#include "actors/workload/machine_orders.hpp"

#include "actors/host/files.hpp"
#include "actors/workload/qemu_command.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;

/// Of chance for a guest: what its kernel draws from.
constexpr auto chance_bytes = std::size_t{64};
/// What has a process load something before all else.
constexpr auto preload_word = "LD_PRELOAD=";
/// How the memory of a machine is asked for that has it from its template until it writes to it.
constexpr auto shared_word = ",share=off";

} // namespace

guest_birth birth_now() {
  auto x = guest_birth{.chance = std::string(chance_bytes, '\0')};
  if (::getrandom(x.chance.data(), x.chance.size(), 0) != static_cast<ssize_t>(x.chance.size()))
    throw std::system_error{errno, std::system_category(), "there is no chance to be had for a guest"};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  x.now_ns = std::chrono::nanoseconds{now}.count();
  return x;
}

void write_command(const fs::path& place, const machine_command& what, const fs::path& preload) {
  auto words = std::string{};
  if (!preload.empty())
    for (const auto& each : {std::string{"env"}, preload_word + preload.string()})
      words += each + '\0';
  for (const auto& each : what.words)
    words += each + '\0';
  host::replace_file(place / "machine", words);
  host::replace_file(place / "end", what.end_words);
  for (const auto& [file, content] : what.files)
    host::replace_file(place / file, content);
  for (const auto& sink : what.sinks) {
    ::unlink((place / sink).c_str());
    fs::create_symlink("/dev/null", place / sink);
  }
  for (const auto* old : {machine_outcome_file, machine_control_socket, qemu_monitor_socket, qemu_end_socket,
                          qemu_move_socket, machine_departing_file})
    ::unlink((place / old).c_str());
}

std::string why_machine_stays(const fs::path& place, const std::string& lack) {
  constexpr auto elsewhere = "`drain` stops it and starts it elsewhere";
  const auto words = host::read_file(place / "machine").value_or("");
  if (!fs::exists(place / machine_base_file))
    return fmt::format("it boots a whole disk, which is named by its place on its node; {}", elsewhere);
  if (words.find(shared_word) != words.npos)
    return fmt::format("it began as a clone and has most of its memory from its node's template; have the node begin "
                       "sandboxes without (`templates = \"0\"` for it in nodes.toml), start it again there, and it can "
                       "be moved; or {}",
                       elsewhere);
  if (!lack.empty())
    return fmt::format("its node cannot follow what it writes: {}; {}", lack, elsewhere);
  if (words.find(preload_word) == words.npos || words.find(qemu_move_socket) == words.npos)
    return fmt::format(
        "it was begun by a version of novacron that moved nothing; `instance restart` has it begin anew, "
        "or {}",
        elsewhere);
  return {};
}

} // namespace novacron::workload
