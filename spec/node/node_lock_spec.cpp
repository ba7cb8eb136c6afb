#include "actors/node/node_lock.hpp"

#include "actors/host/log.hpp"
#include "spec/full_disk.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

using namespace novacron;

namespace {

struct scratch {
  std::filesystem::path path;
  scratch() {
    auto pattern = (std::filesystem::temp_directory_path() / "novacron-lock-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~scratch() { std::filesystem::remove_all(path); }
};

/// What a second node in `directory` is told; empty when it may run.
std::string refusal(const std::filesystem::path& directory) {
  try {
    const auto second = node::node_lock{directory};
    return {};
  } catch (const std::runtime_error& problem) {
    return problem.what();
  }
}

} // namespace

SCENARIO("one node runs in a directory at a time") {
  const auto home = scratch{};
  {
    const auto lock = node::node_lock{home.path};
    CHECK(refusal(home.path).find("(process " + std::to_string(::getpid()) + ")") != std::string::npos);
  }
  CHECK(refusal(home.path).empty());
  THEN("also on a full disk, where it cannot say which") {
    CHECK(spec::on_full_disk([&] {
            host::set_log_level("node", host::level::off);
            const auto lock = node::node_lock{home.path};
            return refusal(home.path).find("(process unknown)") == std::string::npos ? 1 : 0;
          }) == 0);
  }
}
