#pragma once

/// Routes on a stage: the actors behind them say what the spec wants.

#include "actors/api/route.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace novacron::spec {

using namespace novacron::api;
using document = nlohmann::json;

/// A world of scripted actors: path and message to answer.
struct scripted {
  std::map<std::string, std::function<caf::expected<caf::message>(const caf::message&)>> actors;
  std::vector<std::string> asked;
  std::vector<caf::message> questions;
  milliseconds patience{};
  bool leaving = false;
  world around = {
      .ask =
          [this](const auto& paths, const auto& question, auto how_long) {
            auto all = world::answers{};
            for (const auto& path : paths) {
              asked.push_back(path + " " + novacron::name_of(question));
              questions.push_back(question);
              patience = how_long;
              const auto at = actors.find(path);
              all.push_back(at == actors.end() ? caf::make_error(fault::not_found, "there is no " + path) : at->second(question));
            }
            return all;
          },
      .unique = [] { return "one"; },
      .leaving = [this] { return leaving; },
      .metrics = [] { return "# own\n"; },
      .node = "cloud-1",
      .role = "cloud",
      .version = "1.2.3",
  };

  template <class Answer>
  void says(const std::string& path, Answer answer) {
    actors[path] = [answer](const caf::message&) { return caf::expected<caf::message>{caf::make_message(answer)}; };
  }
  void fails(const std::string& path, caf::error why) {
    actors[path] = [why](const caf::message&) { return caf::expected<caf::message>{why}; };
  }

  response send(const std::string& method, const std::string& target, const std::string& body = {},
                std::map<std::string, std::string, std::less<>> headers = {}, const std::string& role = "person") {
    const auto head_text = method + " " + target + " HTTP/1.1\r\nHost: x\r\n\r\n";
    auto parsed = parse_head(head_text);
    REQUIRE(std::holds_alternative<head>(parsed));
    auto x = std::get<head>(parsed).asked;
    x.body = body;
    x.headers.merge(headers);
    x.who = {role, "somebody"};
    auto found = find_route(std::move(x), around);
    if (auto* no = std::get_if<response>(&found))
      return std::move(*no);
    const auto& c = std::get<call>(found);
    return c.through->run(c);
  }
  document get(const std::string& target) {
    const auto x = send("GET", target);
    CHECK(x.status == 200);
    return document::parse(x.body);
  }

  template <class Message>
  Message question(std::size_t number = 0) const {
    REQUIRE(questions.size() > number);
    REQUIRE(questions[number].match_elements<Message>());
    return questions[number].get_as<Message>(0);
  }
};

} // namespace novacron::spec
