#include "actors/workload/image_digest.hpp"
#include "actors/workload/image_pull.hpp"

#include <doctest/doctest.h>

using namespace novacron::workload;

namespace {

const auto config = "sha256:" + std::string(64, 'c');
const auto layer = "sha256:" + std::string(64, 'd');
const auto manifest = write_manifest({.config = {.media_type = media::config, .digest = config, .size = 3},
                                      .layers = {{.media_type = media::layer, .digest = layer, .size = 4},
                                                 {.media_type = media::layer, .digest = layer, .size = 4}}});

template <class Step>
const Step& as(const image_pull::step& x) {
  REQUIRE(std::holds_alternative<Step>(x));
  return std::get<Step>(x);
}

} // namespace

SCENARIO("a workload image is pulled from the first peer that can give it") {
  auto pull = image_pull{"web:v1", 2};
  CHECK(as<image_pull::look_up>(pull.begin()).peer == 0);
  WHEN("the first has it") {
    const auto step = pull.found(manifest, "web:v1");
    THEN("each blob is fetched once") {
      CHECK(as<image_pull::fetch>(step).blobs.size() == 2);
    }
    THEN("it is admitted once all is there") {
      const auto last = pull.fetched();
      CHECK(as<image_pull::admit>(last).manifest == manifest);
      CHECK(as<image_pull::admit>(last).name == "web:v1");
    }
    THEN("the second is asked when the first breaks off") {
      CHECK(as<image_pull::look_up>(pull.failed(false, "gone")).peer == 1);
      CHECK(as<image_pull::fetch>(pull.found(manifest, "web:v1")).peer == 1);
    }
  }
  WHEN("the first sends no manifest") {
    CHECK(as<image_pull::look_up>(pull.found("rubbish", "web:v1")).peer == 1);
    const auto last = pull.failed(true, "there is none");
    THEN("it is not called missing: somebody may have it") {
      CHECK_FALSE(as<image_pull::give_up>(last).missing);
    }
  }
  WHEN("nobody has it") {
    pull.failed(true, "none here");
    CHECK(as<image_pull::give_up>(pull.failed(true, "none here")).missing);
  }
  WHEN("there are no peers") {
    CHECK(as<image_pull::give_up>(image_pull("x", 0).begin()).missing);
  }
}

SCENARIO("a workload image that is wanted by digest is that one") {
  const auto digest = digest_of(manifest);
  for (const auto& name : {digest, "web@" + digest}) {
    auto pull = image_pull{name, 2};
    pull.begin();
    CHECK(std::holds_alternative<image_pull::look_up>(pull.found(manifest + " ", "web:v1")));
    CHECK(std::holds_alternative<image_pull::fetch>(pull.found(manifest, "web:v1")));
    THEN("it takes no name that may mean another one here") {
      const auto last = pull.fetched();
      CHECK(as<image_pull::admit>(last).name.ends_with("@" + digest));
    }
  }
}
