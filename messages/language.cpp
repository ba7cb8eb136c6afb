#include "messages/language.hpp"

#include "messages/registry.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/all.hpp>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <array>
#include <typeinfo>

namespace novacron {
namespace {

struct word {
  std::string_view name;
  std::uint8_t allowed;
  const google::protobuf::Descriptor* (*descriptor)();
  caf::expected<caf::message> (*from_json)(std::string_view);
  const google::protobuf::Message* (*look)(const caf::type_erased_tuple&);
  const std::type_info* type;
  bool (*speaks_for)(const caf::type_erased_tuple&, const claim&);
};

template <class T>
caf::expected<caf::message> parse(std::string_view json) {
  auto x = T{};
  if (auto wrong = from_json(json, x); !wrong.empty())
    return caf::make_error(fault::bad_request, std::move(wrong));
  return caf::make_message(std::move(x));
}

template <class T>
const google::protobuf::Message* look(const caf::type_erased_tuple& x) {
  return &x.get_as<T>(0);
}

bool speaks(const std::string& node, const std::string& role, const claim& who) {
  return node == who.node && (role.empty() || role == who.role);
}

/// Whether `x` speaks in the name of `who`, or in nobody's.
template <class T>
bool speaks_for(const caf::type_erased_tuple& x, const claim& who) {
  if constexpr (std::is_same_v<T, v1::NodeReport> || std::is_same_v<T, v1::ReportChange> ||
                std::is_same_v<T, v1::SettleMove>)
    return speaks(x.get_as<T>(0).node(), {}, who);
  else if constexpr (std::is_same_v<T, v1::CertificateRequest> || std::is_same_v<T, v1::CertificateRenewal>)
    return speaks(x.get_as<T>(0).name(), x.get_as<T>(0).role(), who);
  else
    return true;
}

const auto words = std::array{
#define NOVACRON_WORD(message, permitted)                                                                              \
  word{#message, permitted, &v1::message::descriptor, &parse<v1::message>, &look<v1::message>,   \
       &typeid(v1::message), &speaks_for<v1::message>},
  NOVACRON_MESSAGES(NOVACRON_WORD)
#undef NOVACRON_WORD
};

const word* find(std::string_view name) {
  static const auto sorted = [] {
    auto all = words;
    std::ranges::sort(all, {}, &word::name);
    return all;
  }();
  if (name.starts_with("novacron.v1."))
    name.remove_prefix(12);
  const auto at = std::ranges::lower_bound(sorted, name, {}, &word::name);
  return at != sorted.end() && at->name == name ? &*at : nullptr;
}

/// The word that `x` says, null when it is not of our language. Asked for each message that crosses a relay, while
/// others may wait for it: a type has one address in the program, so neither names nor buckets are looked through.
const word* find(const caf::type_erased_tuple& x) {
  constexpr auto places = std::size_t{1024};
  static_assert(places > 4 * words.size());
  auto place_of = [](const std::type_info* type) { return reinterpret_cast<std::uintptr_t>(type) / 16 % places; };
  static const auto table = [&] {
    auto all = std::array<const word*, places>{};
    for (const auto& candidate : words) {
      auto at = place_of(candidate.type);
      while (all[at])
        at = (at + 1) % places;
      all[at] = &candidate;
    }
    return all;
  }();
  if (x.size() == 0)
    return nullptr;
  const auto* type = x.type(0).second;
  for (auto at = place_of(type); table[at]; at = (at + 1) % places)
    if (table[at]->type == type)
      return table[at];
  return nullptr;
}

std::string fault_message(std::uint8_t code, const caf::message& context) {
  auto text = std::string{to_string(static_cast<fault>(code))};
  if (context.size() > 0 && context.match_element<std::string>(0))
    text += ": " + context.get_as<std::string>(0);
  return text;
}

} // namespace

sender sender_of_role(std::string_view role) {
  if (role == "cloud" || role == "hybrid")
    return cloud;
  if (role == "edge" || role == "gpu" || role == "storage" || role == "gateway")
    return worker;
  if (role == "person")
    return person;
  return nobody;
}

bool permitted(std::string_view name, sender who) {
  const auto* found = find(name);
  return found && (found->allowed & who) != 0;
}

bool permitted(const caf::type_erased_tuple& x, sender kind, const claim& who) {
  const auto* found = find(x);
  return found && (found->allowed & kind) != 0 && (kind == cloud || found->speaks_for(x, who));
}

std::vector<std::string> message_names() {
  auto names = std::vector<std::string>{};
  for (const auto& x : words)
    names.emplace_back(x.name);
  return names;
}

const google::protobuf::Descriptor* find_message(std::string_view name) {
  const auto* found = find(name);
  return found ? found->descriptor() : nullptr;
}

std::string to_json(const google::protobuf::Message& x, bool whole) {
  auto options = google::protobuf::util::JsonPrintOptions{};
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = whole;
  auto text = std::string{};
  const auto status = google::protobuf::util::MessageToJsonString(x, &text, options);
  return status.ok() ? text : "null";
}

std::string from_json(std::string_view json, google::protobuf::Message& x) {
  if (json.find_first_not_of(" \t\r\n") == json.npos)
    return {};
  const auto status = google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, &x);
  return status.ok() ? std::string{} : std::string{status.message()};
}

caf::expected<caf::message> make_message(std::string_view name, std::string_view json) {
  const auto* found = find(name);
  if (!found)
    return caf::make_error(fault::not_found, "there is no message called " + std::string{name});
  return found->from_json(json);
}

bool is_word(const caf::type_erased_tuple& x) {
  return find(x) != nullptr;
}

std::string name_of(const caf::type_erased_tuple& x) {
  const auto* which = find(x);
  return which ? std::string{which->name} : std::string{};
}

std::string json_of(const caf::type_erased_tuple& x) {
  const auto* which = find(x);
  return which ? to_json(*which->look(x)) : "null";
}

fault_text explain(const caf::error& x) {
  auto detail = std::string{};
  if (x.context().size() > 0 && x.context().match_element<std::string>(0))
    detail = x.context().get_as<std::string>(0);
  if (x.category() == caf::atom("novacron"))
    return {static_cast<fault>(x.code()), detail.empty() ? to_string(static_cast<fault>(x.code())) : detail};
  if (x == caf::sec::request_timeout)
    return {fault::timeout, "no answer in time"};
  if (x == caf::sec::request_receiver_down || x.category() == caf::atom("exit"))
    return {fault::unavailable, "the receiver is gone"};
  if (x == caf::sec::unexpected_message)
    return {fault::bad_request, "the actor does not understand this message"};
  return {fault::unspecified, caf::to_string(x)};
}

void add_language(caf::actor_system_config& settings) {
  // A peer's broken bytes become a fault; Protobuf need not also write about them to standard error.
  google::protobuf::SetLogHandler(nullptr);
  settings.add_message_types<caf::id_block::novacron>();
  settings.add_error_category(caf::atom("novacron"), [](std::uint8_t code, caf::atom_value, const caf::message& context) {
    return fault_message(code, context);
  });
}

} // namespace novacron
