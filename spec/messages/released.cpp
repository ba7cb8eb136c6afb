#include "spec/messages/released.hpp"

#include "messages/language.hpp"

#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <sstream>

namespace novacron::spec {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

std::string type_of(const FieldDescriptor& x) {
  if (x.is_map())
    return "map<" + type_of(*x.message_type()->map_key()) + "," + type_of(*x.message_type()->map_value()) + ">";
  if (x.type() == FieldDescriptor::TYPE_MESSAGE)
    return x.message_type()->full_name();
  if (x.type() == FieldDescriptor::TYPE_ENUM)
    return x.enum_type()->full_name();
  return x.type_name();
}

std::string label_of(const FieldDescriptor& x) {
  if (x.is_repeated())
    return "repeated";
  if (const auto* choice = x.real_containing_oneof())
    return "oneof:" + choice->name();
  return x.has_presence() && x.type() != FieldDescriptor::TYPE_MESSAGE ? "optional" : "single";
}

void describe(const EnumDescriptor& x, std::vector<std::string>& lines) {
  for (auto i = 0; i < x.value_count(); ++i)
    lines.push_back("value " + x.full_name() + " " + std::to_string(x.value(i)->number()) + " " + x.value(i)->name());
  for (auto i = 0; i < x.reserved_range_count(); ++i)
    for (auto n = x.reserved_range(i)->start; n <= x.reserved_range(i)->end; ++n)
      lines.push_back("reserved " + x.full_name() + " " + std::to_string(n));
  for (auto i = 0; i < x.reserved_name_count(); ++i)
    lines.push_back("reserved " + x.full_name() + " " + x.reserved_name(i));
}

void describe(const Descriptor& x, std::vector<std::string>& lines) {
  if (x.options().map_entry())
    return;
  for (auto i = 0; i < x.field_count(); ++i) {
    const auto& field = *x.field(i);
    lines.push_back("field " + x.full_name() + " " + std::to_string(field.number()) + " " + field.name() + " "
                    + type_of(field) + " " + label_of(field));
  }
  for (auto i = 0; i < x.reserved_range_count(); ++i)
    for (auto n = x.reserved_range(i)->start; n < x.reserved_range(i)->end; ++n)
      lines.push_back("reserved " + x.full_name() + " " + std::to_string(n));
  for (auto i = 0; i < x.reserved_name_count(); ++i)
    lines.push_back("reserved " + x.full_name() + " " + x.reserved_name(i));
  for (auto i = 0; i < x.nested_type_count(); ++i)
    describe(*x.nested_type(i), lines);
  for (auto i = 0; i < x.enum_type_count(); ++i)
    describe(*x.enum_type(i), lines);
}

/// One line taken apart. Fields and values are alike here: a place in an owner, by number, with a name.
struct promise {
  std::string kind, owner, number, name, shape;
};

promise parse(const std::string& line) {
  auto in = std::istringstream{line};
  auto x = promise{};
  in >> x.kind >> x.owner >> x.number >> x.name;
  std::getline(in >> std::ws, x.shape);
  return x;
}

/// The places of one description, found by number or by name.
struct places {
  std::set<std::string> words;
  std::map<std::pair<std::string, std::string>, promise> by_number, by_name;

  explicit places(const std::vector<std::string>& lines) {
    for (const auto& line : lines) {
      const auto x = parse(line);
      if (x.kind == "word") {
        words.insert(x.owner);
      } else if (x.kind != "reserved") {
        by_number[{x.owner, x.number}] = x;
        by_name[{x.owner, x.name}] = x;
      }
    }
  }
};

std::optional<std::string> wrong_place(const promise& was, const places& now) {
  const auto here = was.owner + "." + was.name + " = " + was.number;
  const auto by_number = now.by_number.find({was.owner, was.number});
  const auto by_name = now.by_name.find({was.owner, was.name});
  if (by_name != now.by_name.end() && by_name->second.number != was.number)
    return here + " was renumbered to " + by_name->second.number;
  if (by_number == now.by_number.end())
    return here + " was removed";
  if (by_number->second.name != was.name)
    return here + " was renamed to " + by_number->second.name;
  if (by_number->second.shape != was.shape)
    return here + " was " + was.shape + " and became " + by_number->second.shape;
  return std::nullopt;
}

std::optional<std::string> wrong_reuse(const promise& was, const places& now) {
  const auto key = std::pair{was.owner, was.number};
  if (now.by_number.contains(key) || now.by_name.contains(key))
    return was.owner + ": " + was.number + " was reserved and is used again";
  return std::nullopt;
}

void gather(const FileDescriptor* file, std::set<const FileDescriptor*>& all) {
  if (file->package() != "novacron.v1" || !all.insert(file).second)
    return;
  for (auto i = 0; i < file->dependency_count(); ++i)
    gather(file->dependency(i), all);
}

} // namespace

std::vector<std::string> describe(const std::vector<std::string>& words, const std::vector<const FileDescriptor*>& files) {
  auto lines = std::vector<std::string>{};
  for (const auto& x : words)
    lines.push_back("word " + x);
  for (const auto* file : files) {
    for (auto i = 0; i < file->message_type_count(); ++i)
      describe(*file->message_type(i), lines);
    for (auto i = 0; i < file->enum_type_count(); ++i)
      describe(*file->enum_type(i), lines);
  }
  std::ranges::sort(lines);
  return lines;
}

std::vector<std::string> present_language() {
  auto files = std::set<const FileDescriptor*>{};
  for (const auto& x : message_names())
    gather(find_message(x)->file(), files);
  return describe(message_names(), {files.begin(), files.end()});
}

std::vector<std::string> broken(const std::vector<std::string>& released, const std::vector<std::string>& present) {
  const auto now = places{present};
  auto all = std::vector<std::string>{};
  for (const auto& line : released) {
    const auto was = parse(line);
    if (was.kind == "word" && !now.words.contains(was.owner))
      all.push_back("the message " + was.owner + " can no longer be said");
    if (was.kind == "field" || was.kind == "value")
      if (auto wrong = wrong_place(was, now))
        all.push_back(*wrong);
    if (was.kind == "reserved")
      if (auto wrong = wrong_reuse(was, now))
        all.push_back(*wrong);
  }
  return all;
}

} // namespace novacron::spec
