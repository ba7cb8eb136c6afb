#pragma once

/// One request on its way through a route, and all that a route may ask of the world.

#include "actors/api/http.hpp"
#include "actors/api/operations.hpp"
#include "messages/language.hpp"
#include "messages/registry.hpp"
#include "messages/vocabulary.hpp"
#include "messages/wire/http.pb.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace novacron::api {

using milliseconds = std::chrono::milliseconds;

/// What the routes need from outside. Every function may be called from several threads at once.
struct world {
  using answers = std::vector<caf::expected<caf::message>>;
  /// Asks all `actors` the same at the same time, and waits for their answers, at most for `patience`.
  std::function<answers(const std::vector<std::string>& actors, const caf::message& question, milliseconds patience)> ask;
  /// A text that nobody had before.
  std::function<std::string()> unique;
  /// True once this node is about to stop.
  std::function<bool()> leaving;
  /// The metrics of this node, for when nobody else can give them.
  std::function<std::string()> metrics;
  /// The record of orders and refusals on this node, and whether it is whole, as JSON; null where there is none.
  std::function<std::string(std::uint64_t after, std::size_t limit)> audit_entries = nullptr;
  std::function<std::string()> audit_verdict = nullptr;
  std::string node;
  std::string role;
  std::string version;
  std::string fabric = {};
  /// Where what lasts goes on; null where nothing may.
  operations* lasting = nullptr;
  /// Calls of functions that are on their way through here.
  std::shared_ptr<std::atomic<unsigned>> calls = std::make_shared<std::atomic<unsigned>>(0u);
};

struct route;

/// The HTTP status that says the same as `x`, and the name of `x` in a problem.
unsigned status_of(fault x);
std::string_view name_of(fault x);
response problem(const caf::error& x);
response json(const google::protobuf::Message& x, unsigned status = 200);

/// Whether `text` can be the name of a node, workload, instance or session.
bool is_name(std::string_view text);

struct call {
  request asked;
  const route* through = nullptr;
  const world* around = nullptr;
  /// What stood for {workload} and the like in the path, decoded.
  std::map<std::string, std::string, std::less<>> names;

  const std::string& name(std::string_view of) const;
  /// Query parameters; they were checked to be what the route says.
  std::string text(std::string_view parameter) const;
  std::int64_t number(std::string_view parameter) const;
  bool flag(std::string_view parameter) const;

  /// The time that `wait_ms` gives, within reason.
  milliseconds wait() const;
  /// The revision that the caller expects, from If-Match or If-None-Match: 0 means that there must be none.
  caf::expected<std::optional<std::uint64_t>> expected_revision() const;

  /// Gives an order the identity that the caller chose, or a new one.
  void sign(wire::Order& x) const;

  /// The body as a message.
  template <class T>
  caf::expected<T> body() const {
    auto x = T{};
    if (auto wrong = from_json(asked.body, x); !wrong.empty())
      return caf::make_error(fault::bad_request, T::descriptor()->name() + ": " + wrong);
    return x;
  }

  /// Asks an actor, if the table of trust lets the caller.
  template <class Answer, class Question>
  caf::expected<Answer> ask(const std::string& actor, const Question& question, milliseconds more = {}) const {
    return std::move(ask_all<Answer>({actor}, question, more).front());
  }

  /// Asks several actors at the same time; the answers are in their order.
  template <class Answer, class Question>
  std::vector<caf::expected<Answer>> ask_all(const std::vector<std::string>& actors, const Question& question,
                                             milliseconds more = {}) const {
    auto all = std::vector<caf::expected<Answer>>{};
    for (auto& x : ask_raw(actors, Question::descriptor()->name(), caf::make_message(question), more)) {
      if (!x)
        all.emplace_back(std::move(x.error()));
      else if (x->template match_elements<Answer>())
        all.emplace_back(x->template get_as<Answer>(0));
      else
        all.emplace_back(caf::make_error(fault::unspecified, "the actor gave another answer than it promises"));
    }
    return all;
  }

  /// Asks an actor and answers with what it said.
  template <class Answer, class Question>
  response relay(const std::string& actor, const Question& question, milliseconds more = {}) const {
    const auto answer = ask<Answer>(actor, question, more);
    return answer ? json(*answer) : problem(answer.error());
  }

private:
  world::answers ask_raw(const std::vector<std::string>& actors, const std::string& name, const caf::message& question,
                         milliseconds more) const;
};

} // namespace novacron::api
