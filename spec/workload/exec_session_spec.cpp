#include "actors/workload/exec_session.hpp"

#include "actors/host/loop.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

using namespace novacron;
using namespace novacron::workload;
namespace fs = std::filesystem;

SCENARIO("a session does not mind what one of the same name in a former life has left") {
  auto pattern = (fs::temp_directory_path() / "novacron-spec-XXXXXX").string();
  const auto top = fs::path{::mkdtemp(pattern.data())};
  const auto socket_file = (top / "exec-1.tty").string();
  auto name = sockaddr_un{};
  name.sun_family = AF_UNIX;
  REQUIRE(socket_file.size() < sizeof name.sun_path);
  std::memcpy(name.sun_path, socket_file.c_str(), socket_file.size());
  const auto fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  ::close(fd);
  std::ofstream{top / "exec-1.pid"} << "1";
  auto loop = host::loop{};
  {
    const auto session = start_exec(loop, {.crun = {"true"},
                                           .container = "web.0",
                                           .order = {.command = {"sh"}, .terminal = true},
                                           .scratch = top,
                                           .session = "1"});
    CHECK(fs::exists(socket_file));
    CHECK_FALSE(fs::exists(top / "exec-1.pid"));
  }
  loop.end();
  fs::remove_all(top);
}
