#pragma once

/// Conditions over what the fabric is like: `workloads.running == 10000 and max(host.cpu) <= 95%`.

#include "actors/simulation/script.hpp"

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace novacron::simulation {

/// A number, a text, or a list of numbers. Truth is a number: 0 is false.
using value = std::variant<double, std::string, std::vector<double>>;

/// Says what a name stands for; nothing when there is no such fact.
using fact_finder = std::function<std::optional<value>(const std::string& name)>;

class expression {
public:
  struct node;
  expression() = default;

  /// What it is now; nothing, and why in `error`, when a fact cannot be had.
  std::optional<value> evaluate(const fact_finder& facts, std::string& error) const;
  /// Whether it holds.
  bool holds(const fact_finder& facts, std::string& error) const;
  /// The facts it speaks of and their values, for the words of a failed expectation: "workloads.running is 9".
  std::string explain(const fact_finder& facts) const;
  explicit operator bool() const { return root_ != nullptr; }

  /// Reads one; `known` are the names of facts, those with a `*` for any word in their place.
  static expression parse(std::string_view text, const position& where, const std::vector<std::string>& known,
                          std::vector<script_error>& errors);

private:
  std::shared_ptr<const node> root_;
};

/// "1", "0.5", "\"cloud-1\"", "[1, 2]".
std::string to_string(const value& x);

} // namespace novacron::simulation
