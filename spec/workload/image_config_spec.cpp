#include "actors/workload/image_config.hpp"
#include "actors/workload/image_oci.hpp"
#include "actors/workload/image_user.hpp"

#include <doctest/doctest.h>

#include <csignal>

using namespace novacron::workload;
using texts = std::vector<std::string>;

SCENARIO("a workload's process is what the image says, changed by what the workload wishes") {
  auto image = image_config{.entrypoint = {"/entry"}, .cmd = {"a", "b"}, .env = {"A=1", "B=2", "A=3"}};
  image.workdir = "srv";
  image.user = "www";
  GIVEN("no wish") {
    const auto process = arguments_of(image);
    CHECK(process.argv == texts{"/entry", "a", "b"});
    CHECK(process.workdir == "/srv");
    CHECK(process.user == "www");
    THEN("each name is there once with its last value, and PATH is always there") {
      REQUIRE(process.env.size() == 3);
      CHECK(process.env[0].starts_with("PATH=/usr/local/sbin:"));
      CHECK(process.env[1] == "A=3");
      CHECK(process.env[2] == "B=2");
    }
  }
  GIVEN("wishes") {
    const auto process =
        arguments_of(image, {.command = {"c"}, .env = {{"B", "9"}, {"PATH", "/x"}}, .workdir = "/w", .user = "0"});
    CHECK(process.argv == texts{"/entry", "c"});
    CHECK(process.env == texts{"PATH=/x", "A=3", "B=9"});
    CHECK(process.workdir == "/w");
    CHECK(process.user == "0");
  }
  GIVEN("an image that says nothing") {
    const auto process = arguments_of({});
    CHECK(process.argv.empty());
    CHECK(process.workdir == "/");
  }
  GIVEN("nonsense in its environment") {
    CHECK(arguments_of({.env = {"", "=x", "novalue", "OK="}}).env.size() == 2);
  }
}

SCENARIO("a workload image's stop signal is understood by name and number") {
  for (const auto* text : {"SIGINT", "INT", "2"})
    CHECK(stop_signal_of({.stop_signal = text}) == SIGINT);
  for (const auto* text : {"", "SIGNONSENSE", "0", "-1", "999", "2x"})
    CHECK(stop_signal_of({.stop_signal = text}) == SIGTERM);
}

SCENARIO("a workload image's user is looked up in its own files") {
  const auto* passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nwww:x:33:34:w:/var/www:/bin/false\n#\n";
  const auto* group = "root:x:0:\nwww:x:34:\nlogs:x:50:alice,www\nother:x:51:wwwx\n";
  CHECK(user_of("", passwd, group) == process_user{0, 0, {}, "/root"});
  CHECK(user_of("www", passwd, group) == process_user{33, 34, {50}, "/var/www"});
  CHECK(user_of("33", passwd, group) == process_user{33, 34, {50}, "/var/www"});
  CHECK(user_of("www:logs", passwd, group) == process_user{33, 50, {}, "/var/www"});
  CHECK(user_of("www:7", passwd, group) == process_user{33, 7, {}, "/var/www"});
  CHECK(user_of("1000:1001", passwd, group) == process_user{1000, 1001, {}, "/"});
  CHECK(user_of("1000", "", "") == process_user{1000, 0, {}, "/"});
  CHECK_FALSE(user_of("nobody", passwd, group));
  CHECK_FALSE(user_of("www:nogroup", passwd, group));
  CHECK_FALSE(user_of("4294967296", passwd, group));
}

SCENARIO("a workload image's JSON is read with suspicion") {
  const auto digest = std::string{"sha256:"}.append(64, 'a');
  const auto blob = R"({"mediaType":"m","digest":")" + digest + R"(","size":5})";
  const auto refused = [](auto action) {
    try {
      action();
    } catch (const image_error& problem) {
      return problem.problem == image_problem::corrupt && std::string{problem.what()}.starts_with("here: ");
    }
    return false;
  };
  THEN("what is written is read again") {
    const auto description = image_description{.os = "linux",
                                               .architecture = "amd64",
                                               .config = {.entrypoint = {"e"},
                                                          .cmd = {"c"},
                                                          .env = {"A=b"},
                                                          .workdir = "/w",
                                                          .user = "u",
                                                          .exposed_ports = {"53/udp", "80/tcp"},
                                                          .labels = {{"k", "v"}},
                                                          .stop_signal = "INT"},
                                               .diff_ids = {digest}};
    const auto again = read_description(write_description(description), "here");
    CHECK(again.config == description.config);
    CHECK(again.diff_ids == description.diff_ids);
    CHECK(write_description(again) == write_description(description));
    const auto index = read_index(R"({"manifests":[)" + blob + "]}", "here");
    CHECK(index.manifests.front().size == 5);
    CHECK(read_index(write_index(index), "here").manifests == index.manifests);
  }
  THEN("null and missing members are empty, as other tools write them") {
    const auto x = read_description(R"({"config":{"Cmd":null,"Env":null,"Labels":null},"rootfs":{}})", "here");
    CHECK(x.config == image_config{});
  }
  THEN("wrong types, sizes and digests are refused") {
    for (const auto* text : {"", "{", "5", "{}", "[]", R"({"manifests":5})", R"({"manifests":[5]})",
                             R"({"manifests":[{"digest":"sha256:xyz","size":1}]})", "{\"manifests\":[]}x"})
      CHECK(refused([&] { read_index(text, "here"); }));
    for (const auto* size : {"-1", "1.5", "\"5\"", "99999999999999999999999", "null"})
      CHECK(refused(
          [&] { read_index(R"({"manifests":[{"digest":")" + digest + R"(","size":)" + size + "}]}", "here"); }));
    CHECK(refused([&] { read_manifest(R"({"layers":[]})", "here"); }));
    CHECK(refused([&] { read_description(R"({"config":{"Cmd":[5]}})", "here"); }));
    CHECK(refused([&] { read_description("{\"config\":{\"Env\":[\"a\\u0000b\"]}}", "here"); }));
    CHECK(refused([&] { read_description(R"({"rootfs":{"diff_ids":["../../etc"]}})", "here"); }));
    CHECK(refused([&] { read_docker_manifest("{}", "here"); }));
    CHECK(refused([&] { read_index("{\"manifests\":[\"\xff\"]}", "here"); }));
  }
  THEN("depth and number of values are limited") {
    CHECK(refused([&] { read_index(std::string(100'000, '['), "here"); }));
    CHECK(refused([&] { read_index(R"({"x":)" + std::string(40, '[') + std::string(40, ']') + "}", "here"); }));
    auto many = std::string{R"({"manifests":[],"x":[0)"};
    for (auto i = 0; i < 200'000; ++i)
      many += ",0";
    CHECK(refused([&] { read_index(many + "]}", "here"); }));
  }
}

SCENARIO("the chain identity of a workload image's layers is OCI's") {
  // Worked out with sha256sum.
  const auto a = std::string{"sha256:"}.append(64, 'a');
  const auto b = std::string{"sha256:"}.append(64, 'b');
  CHECK(chain_of({a}) == a);
  CHECK(chain_of({a, b}) == "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c");
}

SCENARIO("names of workload images are checked") {
  for (const auto* text : {"web", "web:v1", "registry:5000/a/b:1.2_3-x", "a@sha256:0"})
    CHECK(is_image_name(text));
  for (const auto* text : {"", ":x", "-x", "a b", "a\n", "a$"})
    CHECK_FALSE(is_image_name(text));
  CHECK(is_image_name(std::string(255, 'a')));
  CHECK_FALSE(is_image_name(std::string(256, 'a')));
}
