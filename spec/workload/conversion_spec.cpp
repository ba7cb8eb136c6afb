#include "actors/workload/assignment.hpp"
#include "actors/workload/conversion.hpp"
#include "spec/workload/temporary.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

using namespace novacron;
using namespace novacron::workload;
namespace fs = std::filesystem;

namespace {

constexpr auto container = wire::WORKLOAD_KIND_CONTAINER;
constexpr auto sandbox = wire::WORKLOAD_KIND_SANDBOX;
constexpr auto vm = wire::WORKLOAD_KIND_VM;

wire::WorkloadSpec willing(wire::WorkloadKind kind = container) {
  auto x = wire::WorkloadSpec{};
  x.set_kind(kind);
  x.set_replicas(1);
  x.mutable_conversion()->set_restart(true);
  return x;
}

bool says(const std::string& text, const std::string& words) {
  return text.find(words) != text.npos;
}

/// The instance called "x" below `top`, with one mark more.
void make_instance(const fs::path& top) {
  fs::create_directories(top / "x");
  std::ofstream{top / "x/instance.pb"} << "x";
}

} // namespace

SCENARIO("what changes its format has to be able to, and to want it") {
  CHECK(refuse_conversion(willing(), sandbox).empty());
  CHECK(refuse_conversion(willing(), vm).empty());
  CHECK(refuse_conversion(willing(sandbox), container).empty());
  CHECK(refuse_conversion(willing(vm), container).empty());
  CHECK(says(refuse_conversion(willing(), container), "it is a container already"));
  CHECK(says(refuse_conversion(willing(sandbox), vm), "by way of a container"));
  CHECK(says(refuse_conversion(willing(), wire::WORKLOAD_KIND_FUNCTION), "it can become"));
  CHECK(says(refuse_conversion(willing(), wire::WORKLOAD_KIND_UNSPECIFIED), "it can become"));
  CHECK(says(refuse_conversion(willing(wire::WORKLOAD_KIND_BATCH), sandbox), "a batch cannot"));
  auto x = willing();
  x.clear_conversion();
  CHECK(says(refuse_conversion(x, sandbox), "conversion = { restart = true }"));
  x = willing();
  x.set_replicas(2);
  CHECK(says(refuse_conversion(x, sandbox), "2 instances"));
  x = willing();
  x.mutable_network()->add_ports()->set_inside(80);
  CHECK(refuse_conversion(x, sandbox).empty());
  x.mutable_network()->mutable_ports(0)->set_host(8080);
  CHECK(says(refuse_conversion(x, sandbox), "ports of the host"));
}

SCENARIO("what is lost in a conversion is said") {
  auto x = willing();
  x.mutable_network()->set_mode("none");
  CHECK(lost_in_conversion(x, sandbox).size() == 2);
  x.mutable_network()->set_mode("bridge");
  CHECK(lost_in_conversion(x, sandbox).size() == 3);
  CHECK(lost_in_conversion(x, container).size() == 4);
}

SCENARIO("of two copies that a killed node left exactly one counts") {
  const auto here = spec::temporary{};
  const auto one = here.path() / "one";
  const auto other = here.path() / "other";
  const auto has = [](const fs::path& top) { return fs::exists(top / "x/instance.pb"); };
  make_instance(one);
  const auto draft = conversion_draft{other / "x"};
  draft.begin();
  SUBCASE("before anything was made") {
    settle_conversions(one, other);
    CHECK(has(one));
    CHECK_FALSE(has(other));
  }
  SUBCASE("while the new one is a draft, it is the old one") {
    make_instance(other);
    settle_conversions(one, other);
    CHECK(has(one));
    CHECK_FALSE(has(other));
  }
  SUBCASE("from the moment that the new one counts, it is that one") {
    make_instance(other);
    draft.commit();
    settle_conversions(one, other);
    CHECK_FALSE(has(one));
    CHECK(has(other));
    // And on the way back as well.
    fs::remove_all(one / "x");
    const auto back = conversion_draft{one / "x"};
    back.begin();
    make_instance(one);
    settle_conversions(one, other);
    CHECK(has(other));
    CHECK_FALSE(has(one));
  }
  SUBCASE("once the old one is gone, nothing is left to settle") {
    make_instance(other);
    draft.commit();
    fs::remove_all(one / "x");
    draft.forget_origin();
    make_instance(one);
    settle_conversions(one, other);
    CHECK(has(one));
    CHECK(has(other));
  }
}

SCENARIO("another generation that says what runs already only has another name") {
  auto here = wire::Instance{};
  here.set_name("x.0");
  here.set_epoch(4);
  here.set_generation(2);
  *here.mutable_spec() = willing(sandbox);
  auto wanted = here;
  CHECK_FALSE(is_only_relabelled(here, wanted));
  wanted.set_generation(3);
  CHECK(is_only_relabelled(here, wanted));
  CHECK_FALSE(is_only_relabelled(wanted, here));
  SUBCASE("not in another placement") {
    wanted.set_epoch(5);
  }
  SUBCASE("not of another name") {
    wanted.set_name("x.1");
  }
  SUBCASE("not when it asks for something else") {
    wanted.mutable_spec()->set_kind(container);
  }
  CHECK_FALSE(is_only_relabelled(here, wanted));
}
