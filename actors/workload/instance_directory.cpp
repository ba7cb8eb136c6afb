#include "actors/workload/instance_directory.hpp"

#include "actors/host/files.hpp"
#include "actors/host/process.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <sstream>
#include <system_error>

namespace novacron::workload {
namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::optional<process_name> parse_process(const std::string& text) {
  auto words = std::istringstream{text};
  auto found = process_name{};
  if (!(words >> found.pid >> found.start) || found.pid <= 0)
    return {};
  return found;
}

std::optional<ended> parse_ended(const std::string& text) {
  auto lines = std::istringstream{text};
  auto found = ended{};
  auto killed = 0;
  if (!(lines >> found.code >> killed >> found.cpu_usec))
    return {};
  found.out_of_memory = killed != 0;
  auto rest = std::string{};
  std::getline(lines, rest);
  found.lease_over = rest == " 1";
  std::getline(lines, found.reason);
  return found;
}

bool is_instance_name(const std::string& name) {
  const auto allowed = [](unsigned char x) { return std::isalnum(x) != 0 || x == '.' || x == '-' || x == '_'; };
  return !name.empty() && name.size() <= 128 && name.front() != '.' && std::ranges::all_of(name, allowed);
}

void instance_directory::lay_out() const {
  for (const auto* part : {"bundle", "log", "root", "upper", "work"})
    fs::create_directories(where_ / part);
  // What a container writes is nobody else's business; the root itself must be passable for its users.
  fs::permissions(where_, fs::perms::owner_all);
  fs::permissions(where_ / "upper", fs::perms{0755});
}

outcome<> instance_directory::copy_image(const fs::path& from) const {
  if (!fs::is_empty(root()))
    return nothing{};
  // Under another name until it is whole: a half of an image would be taken for what an instance made of it.
  const auto draft = root().string() + ".new";
  fs::remove_all(draft);
  const auto copied = host::run({.argv = {"cp", "-a", "--reflink=auto", from.string() + "/.", draft}}, 10min);
  if (copied.how.code != 0) {
    fs::remove_all(draft);
    return trouble{fault::storage, "cannot copy the image: " + copied.err};
  }
  fs::rename(draft, root());
  return nothing{};
}

std::optional<wire::Instance> instance_directory::instance() const {
  auto found = wire::Instance{};
  const auto content = host::read_file(where_ / "instance.pb");
  if (!content || !found.ParseFromString(*content) || found.name() != where_.filename())
    return {};
  return found;
}

bool instance_directory::has_instance() const {
  auto error = std::error_code{};
  // A disk that cannot say so is not one that has nothing.
  return fs::exists(where_ / "instance.pb", error) || error;
}

wire::InstanceStatus instance_directory::status() const {
  auto found = wire::InstanceStatus{};
  if (!found.ParseFromString(host::read_file(where_ / "status.pb").value_or("")))
    found.Clear();
  return found;
}

void instance_directory::write(const wire::Instance& x) const {
  host::replace_file(where_ / "instance.pb", x.SerializeAsString());
}

void instance_directory::write(const wire::InstanceStatus& x) const {
  host::replace_file(where_ / "status.pb", x.SerializeAsString());
}

std::optional<process_name> instance_directory::shim() const {
  return parse_process(host::read_file(where_ / "lock").value_or(""));
}

std::optional<process_name> instance_directory::container() const {
  return parse_process(host::read_file(where_ / "container").value_or(""));
}

std::optional<ended> instance_directory::how_ended() const {
  return parse_ended(host::read_file(where_ / "exit").value_or(""));
}

void instance_directory::forget_run() const {
  for (const auto* name : {"container", "exit", "pid"})
    ::unlink((where_ / name).c_str());
  auto error = std::error_code{};
  fs::remove_all(crun(), error);
}

std::optional<int> instance_directory::lock() const {
  const auto fd = ::open((where_ / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    throw std::system_error{errno, std::system_category(), "cannot open the lock of " + where_.string()};
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0)
    return fd;
  ::close(fd);
  return {};
}

void instance_directory::remove() const {
  // First, so that half of it, which a kill would leave, is not taken for an instance.
  fs::remove(where_ / "instance.pb");
  fs::remove_all(where_);
}

std::optional<int> open_process(const process_name& x) {
  const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, x.pid, 0));
  if (fd < 0)
    return {};
  // The descriptor pins the process, so its start cannot change between the two looks.
  if (host::start_ticks(x.pid) == x.start)
    return fd;
  ::close(fd);
  return {};
}

void signal_process(const process_name& x, int number) {
  if (const auto fd = open_process(x)) {
    ::syscall(SYS_pidfd_send_signal, *fd, number, nullptr, 0);
    ::close(*fd);
  }
}

} // namespace novacron::workload
