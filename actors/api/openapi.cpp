#include "actors/api/route.hpp"

#include <nlohmann/json.hpp>

#include <map>

namespace novacron::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using document = nlohmann::ordered_json;

/// Collects the schema of every message that is spoken of.
class schemas {
public:
  document reference(const Descriptor& x) {
    if (x.full_name().starts_with("google.protobuf."))
      return x.name() == "Struct" ? document{{"type", "object"}} : document::object();
    add(x);
    return {{"$ref", "#/components/schemas/" + x.name()}};
  }

  document all() const {
    auto out = document::object();
    for (const auto& [name, schema] : known_)
      out[name] = schema;
    return out;
  }

private:
  void add(const Descriptor& x) {
    if (!known_.emplace(x.name(), document::object()).second)
      return;
    auto fields = document::object();
    for (auto i = 0; i < x.field_count(); ++i)
      fields[x.field(i)->name()] = field(*x.field(i));
    known_[x.name()] = {{"type", "object"}, {"properties", fields}};
  }

  void add(const EnumDescriptor& x) {
    auto values = document::array();
    for (auto i = 0; i < x.value_count(); ++i)
      values.push_back(x.value(i)->name());
    known_[x.name()] = {{"type", "string"}, {"enum", values}};
  }

  document field(const FieldDescriptor& x) {
    if (x.is_map())
      return {{"type", "object"}, {"additionalProperties", single(*x.message_type()->map_value())}};
    if (x.is_repeated())
      return {{"type", "array"}, {"items", single(x)}};
    return single(x);
  }

  /// The JSON mapping of Protobuf: 64-bit integers are texts, bytes are base64.
  document single(const FieldDescriptor& x) {
    switch (x.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32: return {{"type", "integer"}, {"format", "int32"}};
      case FieldDescriptor::CPPTYPE_UINT32: return {{"type", "integer"}, {"format", "uint32"}, {"minimum", 0}};
      case FieldDescriptor::CPPTYPE_INT64: return {{"type", {"string", "integer"}}, {"format", "int64"}};
      case FieldDescriptor::CPPTYPE_UINT64: return {{"type", {"string", "integer"}}, {"format", "uint64"}};
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT: return {{"type", {"number", "string"}}, {"format", "double"}};
      case FieldDescriptor::CPPTYPE_BOOL: return {{"type", "boolean"}};
      case FieldDescriptor::CPPTYPE_ENUM:
        add(*x.enum_type());
        return {{"$ref", "#/components/schemas/" + x.enum_type()->name()}};
      case FieldDescriptor::CPPTYPE_MESSAGE: return reference(*x.message_type());
      case FieldDescriptor::CPPTYPE_STRING: break;
    }
    if (x.type() == FieldDescriptor::TYPE_BYTES)
      return {{"type", "string"}, {"contentEncoding", "base64"}};
    return {{"type", "string"}};
  }

  std::map<std::string, document> known_;
};

std::string without_stars(std::string_view pattern) {
  auto out = std::string{pattern};
  std::erase(out, '*');
  return out;
}

document parameters(const route& x) {
  auto out = document::array();
  for (auto at = x.pattern.find('{'); at != x.pattern.npos; at = x.pattern.find('{', at + 1)) {
    const auto name = without_stars(x.pattern.substr(at + 1, x.pattern.find('}', at) - at - 1));
    out.push_back({{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
  }
  for (const auto& p : x.query) {
    const auto type = p.what == parameter::kind::number ? "integer" : p.what == parameter::kind::flag ? "boolean" : "string";
    out.push_back({{"name", p.name}, {"in", "query"}, {"description", p.help}, {"schema", {{"type", type}}}});
  }
  if (x.order)
    out.push_back({{"name", "Idempotency-Key"},
                   {"in", "header"},
                   {"description", "The same key again repeats the answer and not the deed."},
                   {"schema", {{"type", "string"}, {"maxLength", 128}}}});
  if (x.conditional)
    for (const auto& [name, help] : {std::pair{"If-Match", "Only if this is still its ETag; else 412."},
                                     {"If-None-Match", "With *: only if there is none; else 412."}})
      out.push_back({{"name", name}, {"in", "header"}, {"description", help}, {"schema", {{"type", "string"}}}});
  return out;
}

document operation(const route& x, schemas& all) {
  auto content = document::object();
  if (x.answer)
    content["application/json"] = {{"schema", all.reference(*x.answer())}};
  else if (x.type == "application/json")
    content["application/json"] = {{"schema", {{"type", "object"}}}};
  if (x.type != "application/json")
    content[std::string{x.type}] = {{"schema", {{"type", "string"}}}};
  auto out = document{{"operationId", x.title}, {"summary", x.help}};
  if (x.open)
    out["security"] = document::array({document::object()});
  if (auto p = parameters(x); !p.empty())
    out["parameters"] = p;
  if (x.body)
    out["requestBody"] = {{"content", {{"application/json", {{"schema", all.reference(*x.body())}}}}}};
  if (x.raw)
    out["requestBody"] = {{"content", {{"application/octet-stream", {{"schema", {{"type", "string"}}}}}}}};
  out["responses"] = {{"200", {{"description", "Done."}, {"content", content}}},
                      {"default",
                       {{"description", "What went wrong."},
                        {"content", {{"application/problem+json", {{"schema", all.reference(*wire::Problem::descriptor())}}}}}}}};
  if (x.lasting)
    out["responses"]["202"] = {
        {"description", "It goes on; the Location header says where to ask about it."},
        {"content", {{"application/json", {{"schema", all.reference(*wire::Operation::descriptor())}}}}}};
  if (x.title == "submitWorkload")
    out["responses"]["201"] = {{"description", "The workload is new."}, {"content", content}};
  return out;
}

} // namespace

std::string openapi(std::span<const route> table, const std::string& version) {
  auto all = schemas{};
  auto paths = document::object();
  for (const auto& x : table) {
    auto method = std::string{x.method};
    for (auto& c : method)
      c = static_cast<char>(c - 'A' + 'a');
    paths[without_stars(x.pattern)][method] = operation(x, all);
  }
  return document{
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "NovaCron"},
        {"version", version},
        {"description", "Orders and questions to a NovaCron fabric. Bodies are Protobuf messages in their JSON mapping."},
        {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
      {"servers", document::array({{{"url", "/"}}})},
      {"security", document::array({{{"certificate", document::array()}}})},
      {"paths", paths},
      {"components",
       {{"securitySchemes", {{"certificate", {{"type", "mutualTLS"}, {"description", "A certificate of this fabric."}}}}},
        {"schemas", all.all()}}}}
      .dump(1);
}

} // namespace novacron::api
