#pragma once

/// What commands of the fabric have in common: ask, and show the answer as it is wanted.

#include "actors/shell/session.hpp"
#include "actors/shell/views.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

namespace novacron::shell {

/// The answer as the command line wants it; `show` writes it for people.
template <class Show>
int emit(session& with, const std::string& body, Show show) {
  switch (with.output.as) {
    case format::json:
      // The same JSON, laid out when a person reads it.
      with.out << (with.terminal ? pretty_json(body) : body) << (body.ends_with('\n') ? "" : "\n");
      break;
    case format::yaml: with.out << to_yaml(body); break;
    default: show();
  }
  return 0;
}

template <class Message, class MakeTable>
int list(session& with, const std::string& path, MakeTable make) {
  const auto body = with.fabric().get(path);
  return emit(with, body, [&] {
    const auto found = make(read<Message>(body));
    // A person sees at once that nothing is there; a script gets the same as always.
    if (found.rows.empty() && with.terminal)
      with.err << "there is no " << (found.noun.empty() ? "such thing" : found.noun) << " yet\n";
    else
      print(with.out, found, with.output);
  });
}

/// A list that is not whole says so.
template <class Message>
void say_unanswered(const Message& x, session& with) {
  for (const auto& node : x.unanswered())
    with.err << fmt::format("{} gave no answer: what it has is missing here\n", harmless(node));
}

template <class Message, class Show>
int show(session& with, const std::string& path, const std::string& name, Show show) {
  const auto body = with.fabric().get(path);
  return emit(with, body, [&] {
    if (with.output.quiet || with.output.as == format::name)
      with.out << name << '\n';
    else
      show(read<Message>(body));
  });
}

/// An order whose answer only says that it was done.
inline int order(session& with, std::string_view method, const std::string& path, const nlohmann::json& body,
                 const std::string& said, std::optional<std::uint64_t> revision = {}) {
  const auto answer = with.fabric().order(method, path, body.is_null() ? std::string{} : body.dump(), revision);
  if (with.output.as == format::json || with.output.as == format::yaml)
    return emit(with, answer, [] {});
  if (!with.output.quiet)
    with.err << said << '\n';
  return 0;
}

inline std::string below(const char* noun, const std::string& name) {
  return fmt::format("/v1/{}/{}", noun, url_encode(name));
}

inline std::string with_node(const std::string& path, const std::string& node) {
  return node.empty() ? path : path + "?node=" + url_encode(node);
}

/// The revision that --if-revision expects, if it is there.
inline std::optional<std::uint64_t> expected_revision(const invocation& what) {
  if (!what.has("if-revision"))
    return std::nullopt;
  return static_cast<std::uint64_t>(what.number("if-revision", 0));
}

} // namespace novacron::shell
