#include "actors/node/doctor_probe.hpp"

#include "actors/host/certificate.hpp"
#include "actors/host/process.hpp"
#include "actors/host/resolver.hpp"
#include "actors/host/secure_file.hpp"
#include "actors/host/tls.hpp"
#include "actors/host/way_out.hpp"
#include "actors/node/credentials.hpp"
#include "actors/workload/machine_files.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <netdb.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <sstream>
#include <system_error>
#include <thread>

namespace novacron::node {
namespace {

using namespace std::chrono_literals;

struct owned_fd {
  int fd = -1;
  ~owned_fd() {
    if (fd >= 0)
      ::close(fd);
  }
};

/// What the program says, nothing when there is no such program.
std::optional<host::finished> ask(std::vector<std::string> argv, std::chrono::nanoseconds limit = 5s) {
  try {
    return host::run({.argv = std::move(argv)}, limit);
  } catch (const std::system_error&) {
    return {};
  }
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

std::string version_of(const char* program) {
  const auto said = ask({program, "--version"});
  return said && said->how.code == 0 ? first_line(said->out) : "";
}

bool succeeds(std::vector<std::string> argv) {
  const auto said = ask(std::move(argv));
  return said && said->how.code == 0;
}

std::string content(const char* path) {
  try {
    return host::read_small_file(path).value_or("");
  } catch (const std::system_error&) {
    return {};
  }
}

std::vector<std::string> words(const std::string& text) {
  auto in = std::istringstream{text};
  auto all = std::vector<std::string>{};
  for (auto word = std::string{}; in >> word;)
    all.push_back(word);
  return all;
}

bool is_cgroup2(const char* path) {
  struct statfs facts {};
  return ::statfs(path, &facts) == 0 && facts.f_type == CGROUP2_SUPER_MAGIC;
}

void look_at_kernel(symptoms& x) {
  auto name = utsname{};
  ::uname(&name);
  x.architecture = name.machine;
  x.kernel = name.release;
  x.root = ::geteuid() == 0;
  auto status = std::istringstream{content("/proc/self/status")};
  for (auto line = std::string{}; std::getline(status, line);)
    if (line.starts_with("CapEff:"))
      x.capabilities = std::stoull(line.substr(7), nullptr, 16);
  struct sysinfo memory {};
  ::sysinfo(&memory);
  x.memory_bytes = static_cast<std::uint64_t>(memory.totalram) * memory.mem_unit;
  x.cpus = std::thread::hardware_concurrency();
}

void look_at_cgroups(symptoms& x) {
  constexpr auto root = "/sys/fs/cgroup";
  if (is_cgroup2(root)) {
    x.cgroups = cgroup_mode::v2;
    x.controllers = words(content("/sys/fs/cgroup/cgroup.controllers"));
    x.cgroups_writable = ::access(root, W_OK) == 0;
    return;
  }
  // Lines of /proc/cgroups: name, hierarchy, number of groups, enabled.
  auto lines = std::istringstream{content("/proc/cgroups")};
  for (auto line = std::string{}; std::getline(lines, line);)
    if (const auto parts = words(line); parts.size() == 4 && parts[3] == "1" && !line.starts_with('#')) {
      const auto path = std::string{root} + '/' + parts[0];
      if (::access(path.c_str(), F_OK) != 0)
        continue;
      x.controllers.push_back(parts[0]);
      x.cgroups_writable = x.cgroups_writable || ::access(path.c_str(), W_OK) == 0;
    }
  if (!x.controllers.empty())
    x.cgroups = is_cgroup2("/sys/fs/cgroup/unified") ? cgroup_mode::hybrid : cgroup_mode::v1;
}

void look_at_tools(symptoms& x) {
  if (const auto crun = ask({"crun", "--version"}); crun && crun->how.code == 0) {
    x.crun = first_line(crun->out);
    x.crun_has_criu = crun->out.find("+CRIU") != crun->out.npos;
  }
  x.runc = version_of("runc");
  x.criu = version_of("criu");
  if (!x.criu.empty() && x.root) {
    x.criu_check = succeeds({"criu", "check"});
    x.criu_tracks_dirty = succeeds({"criu", "check", "--feature", "mem_dirty_track"});
  }
  x.qemu = version_of(("qemu-system-" + x.architecture).c_str());
  x.qemu_img = !version_of("qemu-img").empty();
  if (const auto kernel = workload::find_guest_kernel())
    x.guest_kernel = kernel->version;
  x.vsock = ::access("/dev/vhost-vsock", R_OK | W_OK) == 0;
  x.nft = version_of("nft");
  x.name_servers = host::find_resolver().servers;
  x.tun = owned_fd{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)}.fd >= 0;
}

/// Mounts and namespaces are tried in children with namespaces of their own, so that nothing stays behind.
void look_at_namespaces(symptoms& x) {
  constexpr auto sys_admin = 21;
  x.overlay_known = content("/proc/filesystems").find("overlay") != std::string::npos;
  x.ip_tool = succeeds({"ip", "-Version"});
  if ((x.capabilities >> sys_admin & 1) == 0)
    return;
  x.network_namespace = succeeds({"unshare", "--net", "true"});
  if (*x.network_namespace && x.ip_tool)
    x.veth =
        succeeds({"unshare", "--net", "ip", "link", "add", "nvdoctor0", "type", "veth", "peer", "name", "nvdoctor1"});
  if (*x.network_namespace && !x.nft.empty())
    x.masquerades = succeeds({"unshare", "--net", "nft", host::way_out_rules("nvdoctor0", {0x0a400000, 22})});
  const auto* script = "set -e; mount --make-rprivate /; mount -t tmpfs none \"$1\"; cd \"$1\"; mkdir l u w m; "
                       "mount -t overlay -o lowerdir=l,upperdir=u,workdir=w overlay m; umount m";
  auto pattern = (std::filesystem::temp_directory_path() / "novacron-doctor-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    return;
  x.overlay_mounts = succeeds({"unshare", "--mount", "sh", "-c", script, "sh", pattern});
  ::rmdir(pattern.c_str());
}

std::chrono::microseconds time_one_sync(int fd) {
  constexpr auto record = std::array<char, 64>{};
  const auto begun = std::chrono::steady_clock::now();
  if (::write(fd, record.data(), record.size()) < 0 || ::fdatasync(fd) != 0)
    throw std::system_error{errno, std::system_category(), "cannot write"};
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begun);
}

/// The directory, or the nearest one above it that is there.
std::filesystem::path existing(std::filesystem::path path) {
  auto none = std::error_code{};
  while (!std::filesystem::exists(path, none) && path.has_relative_path())
    path = path.parent_path();
  return path;
}

void look_at_disk(symptoms& x) {
  const auto directory = existing(x.data_dir);
  struct statvfs facts {};
  if (::statvfs(directory.c_str(), &facts) == 0) {
    x.disk_free_bytes = static_cast<std::uint64_t>(facts.f_bavail) * facts.f_frsize;
    x.disk_total_bytes = static_cast<std::uint64_t>(facts.f_blocks) * facts.f_frsize;
  }
  auto pattern = (directory / ".novacron-doctor-XXXXXX").string();
  const auto file = owned_fd{::mkostemp(pattern.data(), O_CLOEXEC)};
  if (file.fd < 0) {
    x.disk_trouble = std::strerror(errno);
    return;
  }
  ::unlink(pattern.c_str());
  try {
    auto times = std::array<std::chrono::microseconds, 15>{};
    for (auto& one : times)
      one = time_one_sync(file.fd);
    std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
    x.sync_took = times[times.size() / 2];
  } catch (const std::system_error& trouble) {
    x.disk_trouble = trouble.code().message();
  }
}

void look_at_clock(symptoms& x) {
  auto state = timex{};
  const auto found = ::adjtimex(&state);
  if (found >= 0)
    x.clock_synchronized = found != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
  const auto now = std::time(nullptr);
  auto parts = std::tm{};
  ::gmtime_r(&now, &parts);
  x.year = parts.tm_year + 1900;
}

void look_at_limits(symptoms& x) {
  auto limit = rlimit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  x.files_soft = limit.rlim_cur;
  x.files_hard = limit.rlim_max;
  ::getrlimit(RLIMIT_NPROC, &limit);
  x.processes_soft = limit.rlim_cur;
}

using addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

addresses look_up(const endpoint& where) {
  auto hints = addrinfo{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found) != 0)
    found = nullptr;
  return {found, ::freeaddrinfo};
}

int try_port(const endpoint& where) {
  const auto found = look_up(where);
  if (!found)
    return EADDRNOTAVAIL;
  const auto socket = owned_fd{::socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, 0)};
  constexpr auto yes = 1;
  ::setsockopt(socket.fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  return ::bind(socket.fd, found->ai_addr, found->ai_addrlen) == 0 && ::listen(socket.fd, 1) == 0 ? 0 : errno;
}

int connect_to(const sockaddr* address, socklen_t length) {
  const auto fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  auto trouble = 0;
  auto size = socklen_t{sizeof trouble};
  auto one = pollfd{fd, POLLOUT, 0};
  const auto begun = fd >= 0 && (::connect(fd, address, length) == 0 || errno == EINPROGRESS);
  if (begun && ::poll(&one, 1, 1000) == 1 && ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &trouble, &size) == 0 &&
      trouble == 0)
    return fd;
  if (fd >= 0)
    ::close(fd);
  return -1;
}

owned_fd connect_to_redis(const std::string& where) {
  if (where.starts_with("unix:")) {
    auto address = sockaddr_un{};
    address.sun_family = AF_UNIX;
    const auto path = where.substr(5);
    if (path.size() >= sizeof address.sun_path)
      return {};
    std::memcpy(address.sun_path, path.data(), path.size());
    return {connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof address)};
  }
  const auto address = parse_endpoint(where);
  const auto found = address ? look_up(*address) : addresses{nullptr, ::freeaddrinfo};
  if (!found)
    return {};
  return {connect_to(found->ai_addr, found->ai_addrlen)};
}

std::string trouble_with_redis(const std::string& where) {
  const auto connection = connect_to_redis(where);
  constexpr auto question = std::string_view{"PING\r\n"};
  if (connection.fd < 0)
    return "cannot be reached";
  auto answer = std::array<char, 64>{};
  auto one = pollfd{connection.fd, POLLIN, 0};
  if (::send(connection.fd, question.data(), question.size(), MSG_NOSIGNAL) < 0 || ::poll(&one, 1, 1000) != 1 ||
      ::read(connection.fd, answer.data(), answer.size()) <= 0)
    return "does not answer";
  return answer[0] == '+' || answer[0] == '-' ? "" : "is no redis";
}

void look_at_node(symptoms& x, const node_settings& self, bool running) {
  const auto directory = self.data_dir / "trust";
  const auto now = std::chrono::system_clock::now();
  auto none = std::error_code{};
  x.has_certificate = std::filesystem::exists(host::trust_files_in(directory).certificate, none);
  if (x.has_certificate) {
    const auto found = look_at_credentials(directory, self.name, self.role, now);
    x.certificate_trouble = found.text;
    const auto who = host::read_identity(content(host::trust_files_in(directory).certificate.c_str()));
    if (who)
      x.certificate_left = std::chrono::floor<std::chrono::seconds>(who->not_after - now);
  }
  for (const auto& [what, where] : {std::pair{"listen", &self.listen}, {"api", &self.api}, {"ledger", &self.ledger}})
    if (*where && !running)
      x.ports.push_back({what, to_string(**where), try_port(**where)});
}

} // namespace

symptoms probe(const configuration& settings, const node_settings* self, bool running) {
  auto x = symptoms{};
  x.data_dir = self != nullptr ? self->data_dir.string() : usual_data_root().string();
  x.redis = settings.cache.redis;
  look_at_kernel(x);
  look_at_cgroups(x);
  look_at_tools(x);
  look_at_namespaces(x);
  x.kvm = try_kvm();
  look_at_disk(x);
  look_at_clock(x);
  look_at_limits(x);
  if (!x.redis.empty())
    x.redis_trouble = trouble_with_redis(x.redis);
  if (self != nullptr)
    look_at_node(x, *self, running);
  return x;
}

} // namespace novacron::node
