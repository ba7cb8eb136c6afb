#include "spec/messages/any_content.hpp"

#include <google/protobuf/descriptor.h>

#include <array>
#include <limits>
#include <string>

namespace novacron::spec {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

template <class T>
T any_number(std::mt19937_64& chance) {
  switch (chance() % 4) {
    case 0: return std::numeric_limits<T>::min();
    case 1: return std::numeric_limits<T>::max();
    case 2: return static_cast<T>(chance() % 100);
    default: return static_cast<T>(chance());
  }
}

double any_real(std::mt19937_64& chance) {
  constexpr auto odd = std::array{0.0, -0.0, 0.1, 1e300, 5e-324, -1.5, 1.0 / 3};
  return odd[chance() % odd.size()];
}

std::string any_text(std::mt19937_64& chance) {
  constexpr auto odd = std::array{"", "edge-1", "a \"quoted\" word", "line\nbreak\ttab", "gr\xc3\xbc\xc3\x9f", "\xf0\x9f\x9a\x80",
                                  "</script>", "..\\..", "{\"json\": [1]}", "\x01\x7f"};
  return std::string{odd[chance() % odd.size()]} + std::string(chance() % 3 == 0 ? chance() % 500 : 0, 'x');
}

std::string any_bytes(std::mt19937_64& chance) {
  auto bytes = std::string(chance() % 300, '\0');
  for (auto& x : bytes)
    x = static_cast<char>(chance());
  return bytes;
}

/// Sets (or, of a list, adds) one value of the field.
void put(Message& x, const FieldDescriptor& field, std::mt19937_64& chance) {
  const auto& r = *x.GetReflection();
  const auto set = [&](auto one, auto add, auto&& value) {
    if (field.is_repeated())
      (r.*add)(&x, &field, std::forward<decltype(value)>(value));
    else
      (r.*one)(&x, &field, std::forward<decltype(value)>(value));
  };
  using R = google::protobuf::Reflection;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: return set(&R::SetInt32, &R::AddInt32, any_number<std::int32_t>(chance));
    case FieldDescriptor::CPPTYPE_INT64: return set(&R::SetInt64, &R::AddInt64, any_number<std::int64_t>(chance));
    case FieldDescriptor::CPPTYPE_UINT32: return set(&R::SetUInt32, &R::AddUInt32, any_number<std::uint32_t>(chance));
    case FieldDescriptor::CPPTYPE_UINT64: return set(&R::SetUInt64, &R::AddUInt64, any_number<std::uint64_t>(chance));
    case FieldDescriptor::CPPTYPE_DOUBLE: return set(&R::SetDouble, &R::AddDouble, any_real(chance));
    case FieldDescriptor::CPPTYPE_FLOAT: return set(&R::SetFloat, &R::AddFloat, static_cast<float>(chance() % 1000) / 8);
    case FieldDescriptor::CPPTYPE_BOOL: return set(&R::SetBool, &R::AddBool, chance() % 2 == 0);
    case FieldDescriptor::CPPTYPE_ENUM:
      return set(&R::SetEnumValue, &R::AddEnumValue,
                 field.enum_type()->value(static_cast<int>(chance() % static_cast<unsigned>(field.enum_type()->value_count())))->number());
    case FieldDescriptor::CPPTYPE_STRING: {
      auto text = field.type() == FieldDescriptor::TYPE_BYTES ? any_bytes(chance) : any_text(chance);
      return set(&R::SetString, &R::AddString, std::move(text));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return fill(field.is_repeated() ? *r.AddMessage(&x, &field) : *r.MutableMessage(&x, &field), chance);
  }
}

/// A map holds a key once; two equal ones would not come back from JSON.
void put_entry(Message& x, const FieldDescriptor& field, std::mt19937_64& chance, int number) {
  auto& entry = *x.GetReflection()->AddMessage(&x, &field);
  const auto& key = *field.message_type()->map_key();
  put(entry, *field.message_type()->map_value(), chance);
  if (key.cpp_type() == FieldDescriptor::CPPTYPE_STRING)
    entry.GetReflection()->SetString(&entry, &key, any_text(chance) + std::to_string(number));
  else
    put(entry, key, chance);
}

} // namespace

void fill(Message& x, std::mt19937_64& chance) {
  const auto& type = *x.GetDescriptor();
  for (auto i = 0; i < type.field_count(); ++i) {
    const auto& field = *type.field(i);
    const auto count = field.is_repeated() ? static_cast<int>(chance() % 4) : 1;
    for (auto n = 0; n < count; ++n)
      field.is_map() ? put_entry(x, field, chance, n) : put(x, field, chance);
  }
}

} // namespace novacron::spec
