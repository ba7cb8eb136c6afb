#pragma once

/// The language by name: from JSON to a message that can be sent and back, for people, HTTP and traces.

#include "messages/fault.hpp"

#include <caf/expected.hpp>
#include <caf/message.hpp>
#include <caf/type_erased_tuple.hpp>
#include <google/protobuf/message.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace caf {
class actor_system_config;
}

namespace novacron {

/// The kinds of sender that the table of trust knows; a bit each.
enum sender : std::uint8_t { nobody = 0, cloud = 1, worker = 2, person = 4 };

/// The kind of sender that a node with this role is; `nobody` for a role that does not exist.
sender sender_of_role(std::string_view role);

/// Whether the table of trust lets `who` say the message called `name` (its short name) to a node from outside.
bool permitted(std::string_view name, sender who);

/// In whose name something is said: an authenticated node and its role.
struct claim {
  std::string node;
  std::string role;
};

/// Whether the table of trust lets `who` of that kind send `x` to a node from outside; what is not of our language
/// never is. Only controllers may speak in another's name.
bool permitted(const caf::type_erased_tuple& x, sender kind, const claim& who);

/// The short names of all messages, in the order of the list.
std::vector<std::string> message_names();

/// The descriptor of the message called `name`, null when there is none.
const google::protobuf::Descriptor* find_message(std::string_view name);

/// A Protobuf message as JSON: field names as in the .proto file, empty fields included when `whole`.
std::string to_json(const google::protobuf::Message& x, bool whole = true);

/// Fills `x` from JSON. Returns what is wrong, empty when nothing is; unknown fields are wrong.
std::string from_json(std::string_view json, google::protobuf::Message& x);

/// The message called `name` with the content of `json`, ready to send; `fault::bad_request` says what is wrong.
caf::expected<caf::message> make_message(std::string_view name, std::string_view json);

/// Whether `x` is a message of our language.
bool is_word(const caf::type_erased_tuple& x);

/// The short name of what `x` holds, "" for what is not of our language.
std::string name_of(const caf::type_erased_tuple& x);

/// The content of a message of our language as JSON; "null" for an empty one or one of another language.
std::string json_of(const caf::type_erased_tuple& x);

/// Registers the language, and how its faults are worded, with an actor system.
void add_language(caf::actor_system_config& settings);

} // namespace novacron
