#include "actors/host/process.hpp"
#include "actors/workload/image_pack.hpp"
#include "actors/workload/image_store.hpp"
#include "spec/skip.hpp"
#include "spec/workload/image_kit.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <system_error>

using namespace image_kit;
using namespace novacron;

namespace {

bool has(const std::string& program) {
  try {
    return host::run({.argv = {program, "--version"}}).how.code == 0;
  } catch (const std::system_error&) {
    return false;
  }
}

/// Runs a tool that must succeed; its output.
std::string tool(const std::vector<std::string>& argv) {
  const auto done = host::run({.argv = argv}, std::chrono::seconds{60});
  CAPTURE(argv);
  CHECK_MESSAGE(done.how.code == 0, done.err);
  return done.out;
}

void make_tree(const fs::path& tree) {
  write(tree / "bin/tool", "#!/bin/sh\necho tool\n");
  REQUIRE(::chmod((tree / "bin/tool").c_str(), 0755) == 0);
  fs::create_symlink("tool", tree / "bin/link");
  fs::create_hard_link(tree / "bin/tool", tree / "bin/twin");
  write(tree / "etc/conf", std::string(100'000, 'c'));
}

const auto config = image_config{.entrypoint = {"/bin/tool"}, .cmd = {"x"}, .env = {"A=1"}, .workdir = "/etc"};

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("an image that we packed is one for other tools") {
  auto place = scratch{};
  make_tree(place.path / "tree");
  const auto packed = pack_image(place.path / "tree", config, place.path / "layout", {.name = "v1"});
  const auto reference = (place.path / "layout").string() + ":v1";
  if (has("skopeo")) {
    const auto seen = nlohmann::json::parse(tool({"skopeo", "inspect", "oci:" + reference}));
    CHECK(seen["Digest"] == packed.digest);
    CHECK(seen["Os"] == "linux");
    CHECK(seen["Env"] == std::vector<std::string>{"A=1"});
    CHECK(seen["Layers"].size() == 1);
    THEN("it comes back as a docker-archive with the same content") {
      const auto saved = (place.path / "saved.tar").string();
      tool({"skopeo", "copy", "oci:" + reference, "docker-archive:" + saved + ":shop/web:v2"});
      auto store = image_store{place.path / "images", quick()};
      CHECK(store.import(saved, "web:v2").name == "web:v2");
      const auto use = store.acquire("web:v2", "a");
      CHECK(use.config == config);
      CHECK(read(use.rootfs / "etc/conf") == read(place.path / "tree/etc/conf"));
    }
  } else {
    spec::skip("images under skopeo", "skopeo is not installed");
  }
  if (has("umoci") && ::geteuid() == 0) {
    tool({"umoci", "unpack", "--image", reference, (place.path / "bundle").string()});
    CHECK(read(place.path / "bundle/rootfs/etc/conf") == read(place.path / "tree/etc/conf"));
    CHECK(fs::hard_link_count(place.path / "bundle/rootfs/bin/twin") == 2);
  } else {
    spec::skip("images under umoci", "umoci is not installed, or we are not root");
  }
}

SCENARIO("an image that umoci made, layer upon layer, is ours too") {
  if (!has("umoci") || ::geteuid() != 0)
    return spec::skip("images of umoci", "umoci is not installed, or we are not root");
  auto place = scratch{};
  const auto layout = (place.path / "layout").string();
  const auto image = layout + ":base";
  const auto bundle = place.path / "bundle";
  tool({"umoci", "init", "--layout", layout});
  tool({"umoci", "new", "--image", image});
  tool({"umoci", "unpack", "--image", image, bundle.string()});
  make_tree(bundle / "rootfs");
  tool({"umoci", "repack", "--refresh-bundle", "--image", image, bundle.string()});
  fs::remove(bundle / "rootfs/etc/conf");
  write(bundle / "rootfs/etc/more", "more");
  tool({"umoci", "repack", "--image", image, bundle.string()});
  tool({"umoci", "config", "--image", image, "--config.entrypoint", "/bin/tool", "--config.env", "A=1"});
  auto store = image_store{place.path / "images", quick()};
  CHECK(store.import(layout).name == "base");
  const auto use = store.acquire("base", "a");
  CHECK(use.config.entrypoint == std::vector<std::string>{"/bin/tool"});
  // Its tars know whole seconds only: what counts is what it unpacks itself.
  const auto again = place.path / "again";
  tool({"umoci", "unpack", "--image", image, again.string()});
  // Times of directories that a layer does not name are whatever the unpacker made them; all else is the same.
  auto ours = look(use.rootfs);
  auto theirs = look(again / "rootfs");
  CHECK(ours.size() == theirs.size());
  for (const auto& [name, text] : ours)
    if (!fs::is_directory(use.rootfs / name) || fs::is_symlink(use.rootfs / name))
      CHECK_MESSAGE(text == theirs[name], name);
  CHECK_FALSE(fs::exists(use.rootfs / "etc/conf"));
  THEN("and the store itself is a layout that umoci reads") {
    tool({"umoci", "stat", "--image", (place.path / "images").string() + ":base"});
  }
}

TEST_SUITE_END();
