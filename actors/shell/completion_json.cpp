#include "actors/shell/completion.hpp"

#include <google/protobuf/descriptor.h>

#include <cctype>
#include <set>

namespace novacron::shell {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

/// An object or list that is open at the end of the text.
struct level {
  /// The message whose fields may come; null in a map, and where nothing is known.
  const Descriptor* type = nullptr;
  bool list = false;
  /// What the values of a list or map are, or the value behind the last key.
  const FieldDescriptor* field = nullptr;
  bool map = false;
  bool wants_value = false;
  std::set<std::string> used;
};

class writing {
public:
  writing(const Descriptor* root, const std::string& json) : root{root}, json{json} {
    for (at = 0; at < json.size(); ++at)
      take(json[at]);
    if (!in_text) {
      start = json.size();
      while (start > 0 && (std::isalnum(static_cast<unsigned char>(json[start - 1])) || json[start - 1] == '_'))
        --start;
    }
  }

  std::vector<candidate> candidates() {
    if (levels.empty()) {
      if (json.find_first_not_of(" \t") == json.npos)
        out.push_back({"{", {}, false});
      return std::move(out);
    }
    const auto& now = levels.back();
    if (now.list || now.wants_value)
      values(now.field);
    else if (now.type)
      fields(now);
    return std::move(out);
  }

private:
  void take(char c) {
    if (in_text) {
      if (c == '\\')
        ++at;
      else if (c == '"') {
        in_text = false;
        last_text = json.substr(start, at - start);
      }
      return;
    }
    switch (c) {
      case '"':
        in_text = true;
        start = at + 1;
        break;
      case '{': open_object(); break;
      case '[': open_list(); break;
      case '}':
      case ']':
        if (!levels.empty())
          levels.pop_back();
        break;
      case ':': key(); break;
      case ',':
        if (!levels.empty() && !levels.back().list)
          levels.back().wants_value = false;
        break;
      default: break;
    }
  }

  void open_object() {
    if (levels.empty()) {
      levels.push_back({.type = root});
      return;
    }
    const auto* field = levels.back().field;
    const auto in_list_or_map = levels.back().list || levels.back().map;
    if (field && field->is_map() && !in_list_or_map)
      levels.push_back({.field = field->message_type()->map_value(), .map = true});
    else
      levels.push_back(
          {.type = field && field->type() == FieldDescriptor::TYPE_MESSAGE ? field->message_type() : nullptr});
  }

  void open_list() {
    const auto* field = levels.empty() ? nullptr : levels.back().field;
    levels.push_back({.list = true, .field = field});
  }

  void key() {
    if (levels.empty() || levels.back().list)
      return;
    auto& now = levels.back();
    now.wants_value = true;
    if (now.map)
      return;
    now.used.insert(last_text);
    now.field = now.type ? now.type->FindFieldByName(last_text) : nullptr;
  }

  void offer(const std::string& text, const std::string& help) {
    if (text.starts_with(json.substr(start)))
      out.push_back({json.substr(0, start) + text, help, false});
  }

  static std::string opening(const FieldDescriptor& x) {
    if (x.is_map())
      return "{";
    if (x.is_repeated())
      return "[";
    return x.type() == FieldDescriptor::TYPE_MESSAGE         ? "{"
           : x.cpp_type() == FieldDescriptor::CPPTYPE_STRING ? "\""
                                                             : "";
  }

  void fields(const level& now) {
    for (auto i = 0; i < now.type->field_count(); ++i) {
      const auto& x = *now.type->field(i);
      if (!now.used.contains(x.name()))
        offer((in_text ? "" : "\"") + x.name() + "\": " + opening(x), x.is_map() ? "map" : x.type_name());
    }
  }

  void values(const FieldDescriptor* field) {
    if (!field)
      return;
    if (field->type() == FieldDescriptor::TYPE_ENUM)
      for (auto i = 0; i < field->enum_type()->value_count(); ++i)
        offer((in_text ? "" : "\"") + field->enum_type()->value(i)->name() + "\"", {});
    else if (field->type() == FieldDescriptor::TYPE_BOOL && !in_text) {
      offer("true", {});
      offer("false", {});
    } else if (!in_text && start == json.size())
      if (const auto open =
              levels.back().list && field->type() == FieldDescriptor::TYPE_MESSAGE ? "{" : opening(*field);
          !open.empty())
        offer(open, {});
  }

  const Descriptor* root;
  const std::string& json;
  std::vector<level> levels;
  std::size_t at = 0;
  std::size_t start = 0;
  bool in_text = false;
  std::string last_text;
  std::vector<candidate> out;
};

} // namespace

std::vector<candidate> complete_json(std::string_view message, const std::string& json) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  const auto* type = pool->FindMessageTypeByName("novacron.v1." + std::string{message});
  if (!type || type->field_count() == 0)
    return type && json.empty() ? std::vector<candidate>{{"{}", "nothing to say", true}} : std::vector<candidate>{};
  return writing{type, json}.candidates();
}

} // namespace novacron::shell
