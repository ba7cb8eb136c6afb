#include "actors/workload/instance_directory.hpp"

#include "actors/host/process.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

using namespace novacron::workload;

SCENARIO("an instance's name is a plain file name") {
  CHECK(is_instance_name("web.0"));
  CHECK(is_instance_name("a_b-c.17"));
  for (const auto* wrong : {"", ".", "..", ".hidden", "a/b", "a b", "a\nb"})
    CHECK_FALSE(is_instance_name(wrong));
  CHECK(is_instance_name(std::string(128, 'x')));
  CHECK_FALSE(is_instance_name(std::string(129, 'x')));
}

SCENARIO("a process is found by pid and start together") {
  const auto start = novacron::host::start_ticks(::getpid()).value();
  const auto fd = open_process({::getpid(), start});
  REQUIRE(fd);
  ::close(*fd);
  CHECK_FALSE(open_process({::getpid(), start + 1}));
}

SCENARIO("what a shim wrote is read back, and nothing else") {
  CHECK(parse_process("12 345\n")->pid == 12);
  CHECK(parse_process("12 345\n")->start == 345);
  for (const auto* wrong : {"", "12", "x 1", "-1 5", "0 5"})
    CHECK_FALSE(parse_process(wrong));
  const auto how = parse_ended("137 1 42\nran out of memory: x\n");
  REQUIRE(how);
  CHECK(how->code == 137);
  CHECK(how->out_of_memory);
  CHECK(how->cpu_usec == 42);
  CHECK(how->reason == "ran out of memory: x");
  CHECK_FALSE(how->lease_over);
  CHECK(parse_ended("143 0 42 1\nwas stopped: x\n")->lease_over);
  CHECK(parse_ended("143 0 42 1\nwas stopped: x\n")->reason == "was stopped: x");
  CHECK_FALSE(parse_ended("143 0 42 0\nended with exit code 143\n")->lease_over);
  CHECK_FALSE(parse_ended("137"));
}
