#include "actors/host/cgroup.hpp"

#include <doctest/doctest.h>

using namespace novacron::host;

SCENARIO("the kind of control groups is read off the mounts") {
  const auto legacy = std::string{"32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"};
  const auto unified = std::string{"41 31 0:38 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n"};
  CHECK(cgroup_layout_of("27 1 254:0 / / rw - ext4 /dev/vda rw\n").mode == cgroup_mode::none);
  CHECK(cgroup_layout_of(legacy).mode == cgroup_mode::legacy);
  CHECK(cgroup_layout_of(unified).mode == cgroup_mode::unified);
  const auto both = cgroup_layout_of(legacy + unified);
  CHECK(both.mode == cgroup_mode::hybrid);
  CHECK(both.beside == "/sys/fs/cgroup");
  CHECK(both.groups("/novacron/x") == std::vector<std::filesystem::path>{"/sys/fs/cgroup/cpu/novacron/x"});
  CHECK(both.controls("cpu"));
  CHECK_FALSE(both.controls("memory"));
}
