#include "spec/messages/released.hpp"

#include "messages/language.hpp"

#include <doctest/doctest.h>
#include <google/protobuf/descriptor.pb.h>

#include <fstream>
#include <functional>

using namespace novacron;
using namespace novacron::spec;

namespace {

std::vector<std::string> lines_of(const std::string& path) {
  auto file = std::ifstream{path};
  auto lines = std::vector<std::string>{};
  for (auto line = std::string{}; std::getline(file, line);)
    lines.push_back(line);
  return lines;
}

using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorProto;

void add_field(DescriptorProto& to, int number, const std::string& name, FieldDescriptorProto::Type type) {
  auto& x = *to.add_field();
  x.set_name(name);
  x.set_number(number);
  x.set_type(type);
  x.set_label(FieldDescriptorProto::LABEL_OPTIONAL);
}

/// A language of one message and one enum.
FileDescriptorProto small_language() {
  auto file = FileDescriptorProto{};
  file.set_name("small.proto");
  file.set_package("novacron.v1");
  file.set_syntax("proto3");
  auto& lamp = *file.add_message_type();
  lamp.set_name("Lamp");
  add_field(lamp, 1, "place", FieldDescriptorProto::TYPE_STRING);
  add_field(lamp, 2, "watts", FieldDescriptorProto::TYPE_UINT64);
  lamp.add_reserved_name("bulb");
  auto& gap = *lamp.add_reserved_range();
  gap.set_start(7);
  gap.set_end(9);
  auto& colour = *file.add_enum_type();
  colour.set_name("Colour");
  for (auto [name, number] : {std::pair{"COLOUR_UNSPECIFIED", 0}, {"COLOUR_RED", 1}}) {
    auto& x = *colour.add_value();
    x.set_name(name);
    x.set_number(number);
  }
  return file;
}

/// What is broken once `change` was made to the small language.
std::vector<std::string> broken_by(const std::function<void(FileDescriptorProto&)>& change) {
  const auto lines = [](const FileDescriptorProto& file) {
    auto pool = google::protobuf::DescriptorPool{};
    const auto* built = pool.BuildFile(file);
    REQUIRE(built != nullptr);
    return describe({}, {built});
  };
  auto changed = small_language();
  change(changed);
  return broken(lines(small_language()), lines(changed));
}

DescriptorProto& lamp_in(FileDescriptorProto& x) { return *x.mutable_message_type(0); }

} // namespace

SCENARIO("what was released is still understood") {
  const auto released = lines_of(HOUSE_ROOT "/messages/released/v1.txt");
  REQUIRE(released.size() > 300);
  for (const auto& x : broken(released, present_language()))
    FAIL_CHECK(x);
}

SCENARIO("a language may grow") {
  CHECK(broken_by([](auto&) {}).empty());
  CHECK(broken_by([](auto& x) { add_field(lamp_in(x), 3, "colour", FieldDescriptorProto::TYPE_STRING); }).empty());
  CHECK(broken_by([](auto& x) { x.add_message_type()->set_name("Candle"); }).empty());
  CHECK(broken_by([](auto& x) {
          auto& added = *x.mutable_enum_type(0)->add_value();
          added.set_name("COLOUR_BLUE");
          added.set_number(2);
        }).empty());
}

SCENARIO("a language may not take back what it said") {
  const auto caught = [](const std::string& words, const std::function<void(FileDescriptorProto&)>& change) {
    CAPTURE(words);
    const auto all = broken_by(change);
    REQUIRE(all.size() == 1);
    CHECK(all[0] == words);
  };
  caught("novacron.v1.Lamp.watts = 2 was renumbered to 3", [](auto& x) { lamp_in(x).mutable_field(1)->set_number(3); });
  caught("novacron.v1.Lamp.watts = 2 was renamed to power", [](auto& x) { lamp_in(x).mutable_field(1)->set_name("power"); });
  caught("novacron.v1.Lamp.watts = 2 was uint64 single and became sint64 single",
         [](auto& x) { lamp_in(x).mutable_field(1)->set_type(FieldDescriptorProto::TYPE_SINT64); });
  caught("novacron.v1.Lamp.watts = 2 was uint64 single and became uint64 repeated",
         [](auto& x) { lamp_in(x).mutable_field(1)->set_label(FieldDescriptorProto::LABEL_REPEATED); });
  caught("novacron.v1.Lamp.watts = 2 was removed", [](auto& x) { lamp_in(x).mutable_field()->RemoveLast(); });
  caught("novacron.v1.Lamp.watts = 2 was removed", [](auto& x) {
    lamp_in(x).mutable_field()->RemoveLast();
    auto& gap = *lamp_in(x).add_reserved_range();
    gap.set_start(2);
    gap.set_end(3);
  });
  caught("novacron.v1.Lamp: 8 was reserved and is used again", [](auto& x) {
    lamp_in(x).clear_reserved_range();
    add_field(lamp_in(x), 8, "shade", FieldDescriptorProto::TYPE_BOOL);
  });
  caught("novacron.v1.Lamp: bulb was reserved and is used again", [](auto& x) {
    lamp_in(x).clear_reserved_name();
    add_field(lamp_in(x), 3, "bulb", FieldDescriptorProto::TYPE_BOOL);
  });
  caught("novacron.v1.Lamp.watts = 2 was uint64 single and became uint64 oneof:light", [](auto& x) {
    lamp_in(x).add_oneof_decl()->set_name("light");
    lamp_in(x).mutable_field(1)->set_oneof_index(0);
  });
  caught("novacron.v1.Colour.COLOUR_RED = 1 was renumbered to 4",
         [](auto& x) { x.mutable_enum_type(0)->mutable_value(1)->set_number(4); });
  caught("novacron.v1.Colour.COLOUR_RED = 1 was removed", [](auto& x) { x.mutable_enum_type(0)->mutable_value()->RemoveLast(); });
}

SCENARIO("two fields that swap their numbers are both caught") {
  const auto all = broken_by([](auto& x) {
    lamp_in(x).mutable_field(0)->set_number(2);
    lamp_in(x).mutable_field(1)->set_number(1);
  });
  CHECK(all.size() == 2);
}

SCENARIO("a message that can no longer be sent is caught") {
  CHECK(broken(describe({"Beat", "Hello"}, {}), describe({"Hello"}, {}))
        == std::vector<std::string>{"the message Beat can no longer be said"});
}
