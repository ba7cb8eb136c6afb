#include "actors/simulation/expression.hpp"

#include "actors/shell/parse.hpp"
#include "actors/shell/units.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numeric>
#include <set>

namespace novacron::simulation {

struct expression::node {
  enum class kind { constant, fact, call, unary, binary } what = kind::constant;
  value constant;
  /// Of a fact, a function or an operator.
  std::string name;
  std::vector<std::shared_ptr<const node>> parts;
};

namespace {

using node = expression::node;
using node_ptr = std::shared_ptr<const node>;

const auto functions = std::vector<std::string>{"abs", "count", "max", "mean", "min", "sum"};

struct token {
  enum class kind { number, text, name, sign, end } what = kind::end;
  std::string text;
  double number = 0;
  int column = 0;
};

bool begins_name(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_';
}
bool in_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-' || c == '/';
}

/// "95%", "10m", "64MiB", "3" as a number: shares as shares, times in seconds, sizes in bytes.
std::optional<double> number_of(const std::string& text) {
  auto end = std::size_t{0};
  auto plain = 0.0;
  try {
    plain = std::stod(text, &end);
  } catch (const std::exception&) {
    return {};
  }
  const auto unit = text.substr(end);
  if (unit.empty())
    return plain;
  if (unit == "%")
    return plain / 100;
  if (const auto time = shell::parse_duration(text))
    return static_cast<double>(*time) / 1000;
  if (const auto size = shell::parse_bytes(text))
    return static_cast<double>(*size);
  return {};
}

class parser {
public:
  parser(std::string_view text, position where, const std::vector<std::string>& known,
         std::vector<script_error>& errors)
      : text_{text}, where_{std::move(where)}, known_{known}, errors_{errors} {
    next();
  }

  node_ptr read() {
    const auto before = errors_.size();
    if (now_.what == token::kind::end)
      complain("a condition is missing, such as workloads.running == 3");
    auto found = either();
    if (errors_.size() == before && now_.what != token::kind::end)
      complain(fmt::format("'{}' is one word too many for the condition", now_.text));
    return errors_.size() == before ? found : nullptr;
  }

private:
  void complain(std::string text) {
    if (broken_)
      return;
    broken_ = true;
    errors_.push_back({{where_.file, where_.line, where_.column + now_.column}, std::move(text)});
  }

  void next() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])))
      ++at_;
    now_ = {.column = static_cast<int>(at_)};
    if (at_ == text_.size()) {
      now_.text = "the end";
      return;
    }
    const auto c = text_[at_];
    if (std::isdigit(static_cast<unsigned char>(c)))
      return take_number();
    if (begins_name(c))
      return take_name();
    if (c == '"' || c == '\'')
      return take_text(c);
    now_.what = token::kind::sign;
    const auto two = text_.substr(at_, 2);
    const auto length = two == "==" || two == "!=" || two == "<=" || two == ">=" ? 2u : 1u;
    now_.text = text_.substr(at_, length);
    at_ += length;
  }
  void take_number() {
    const auto from = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '.' || text_[at_] == '%'))
      ++at_;
    now_.text = text_.substr(from, at_ - from);
    now_.what = token::kind::number;
    if (const auto x = number_of(now_.text))
      now_.number = *x;
    else
      complain(fmt::format("'{}' is no number, share (95%), time (10m) or size (64MiB)", now_.text));
  }
  void take_name() {
    const auto from = at_;
    while (at_ < text_.size() && in_name(text_[at_]))
      ++at_;
    now_.text = text_.substr(from, at_ - from);
    now_.what = token::kind::name;
  }
  void take_text(char quote) {
    const auto end = text_.find(quote, at_ + 1);
    now_.what = token::kind::text;
    if (end == text_.npos)
      complain("this text has no end");
    now_.text = text_.substr(at_ + 1, end == text_.npos ? text_.npos : end - at_ - 1);
    at_ = end == text_.npos ? text_.size() : end + 1;
  }

  bool take_sign(std::string_view which) {
    if (now_.what == token::kind::text || now_.text != which)
      return false;
    next();
    return true;
  }

  static node_ptr make(node x) { return std::make_shared<const node>(std::move(x)); }
  static node_ptr pair(std::string name, node_ptr a, node_ptr b) {
    return make({.what = node::kind::binary, .name = std::move(name), .parts = {std::move(a), std::move(b)}});
  }

  node_ptr either() {
    auto left = both();
    while (take_sign("or"))
      left = pair("or", left, both());
    return left;
  }
  node_ptr both() {
    auto left = negation();
    while (take_sign("and"))
      left = pair("and", left, negation());
    return left;
  }
  node_ptr negation() {
    if (take_sign("not"))
      return make({.what = node::kind::unary, .name = "not", .parts = {negation()}});
    auto left = sum();
    for (const auto* sign : {"==", "!=", "<=", ">=", "<", ">"})
      if (take_sign(sign))
        return pair(sign, left, sum());
    if (now_.text == "=" && now_.what == token::kind::sign)
      complain("'=' compares nothing; did you mean '=='?");
    return left;
  }
  node_ptr sum() {
    auto left = product();
    for (;;) {
      if (take_sign("+"))
        left = pair("+", left, product());
      else if (take_sign("-"))
        left = pair("-", left, product());
      else
        return left;
    }
  }
  node_ptr product() {
    auto left = leaf();
    for (;;) {
      if (take_sign("*"))
        left = pair("*", left, leaf());
      else if (take_sign("/"))
        left = pair("/", left, leaf());
      else
        return left;
    }
  }
  node_ptr leaf() {
    const auto seen = now_;
    if (take_sign("-"))
      return make({.what = node::kind::unary, .name = "-", .parts = {leaf()}});
    if (take_sign("(")) {
      auto inner = either();
      if (!take_sign(")"))
        complain("a ')' is missing");
      return inner;
    }
    if (seen.what == token::kind::number) {
      next();
      return make({.constant = seen.number});
    }
    if (seen.what == token::kind::text) {
      next();
      return make({.constant = seen.text});
    }
    if (seen.what != token::kind::name) {
      complain(fmt::format("a fact or a number is missing before {}",
                           seen.what == token::kind::end ? "the end" : "'" + seen.text + "'"));
      return nullptr;
    }
    return name_or_call(seen);
  }
  node_ptr name_or_call(const token& seen) {
    if (at_ < text_.size() && text_[at_] == '(') {
      if (std::ranges::find(functions, seen.text) == functions.end())
        complain(fmt::format("there is no function {}{}; there are {}", seen.text,
                             shell::did_you_mean(seen.text, functions), fmt::join(functions, ", ")));
      next();
      next();
      auto inner = either();
      if (!take_sign(")"))
        complain(fmt::format("the ')' of {} is missing", seen.text));
      return make({.what = node::kind::call, .name = seen.text, .parts = {inner}});
    }
    if (!known(seen.text))
      complain(fmt::format("there is no fact '{}'{}", seen.text, shell::did_you_mean(seen.text, known_)));
    next();
    return make({.what = node::kind::fact, .name = seen.text});
  }

  /// "workload.web.running" is "workload.*.running".
  bool known(const std::string& name) const {
    return std::ranges::any_of(known_, [&](const std::string& pattern) {
      const auto star = pattern.find('*');
      if (star == pattern.npos)
        return pattern == name;
      return name.size() > pattern.size() - 1 && name.starts_with(pattern.substr(0, star)) &&
             name.ends_with(pattern.substr(star + 1));
    });
  }

  std::string_view text_;
  position where_;
  const std::vector<std::string>& known_;
  std::vector<script_error>& errors_;
  std::size_t at_ = 0;
  token now_;
  bool broken_ = false;
};

class evaluation {
public:
  evaluation(const fact_finder& facts, std::string& error) : facts_{facts}, error_{error} {}

  std::optional<value> of(const node& x) {
    switch (x.what) {
      case node::kind::constant: return x.constant;
      case node::kind::fact:
        if (auto found = facts_(x.name))
          return found;
        error_ = x.name + " cannot be known now";
        return {};
      case node::kind::call: return call(x);
      case node::kind::unary: return unary(x);
      case node::kind::binary: return binary(x);
    }
    return {};
  }

private:
  std::optional<double> number(const node& x) {
    const auto found = of(x);
    if (!found)
      return {};
    if (const auto* number = std::get_if<double>(&*found))
      return *number;
    error_ = "a number was expected in place of " + to_string(*found);
    return {};
  }
  std::optional<value> call(const node& x) {
    const auto found = of(*x.parts[0]);
    if (!found)
      return {};
    auto list = std::vector<double>{};
    if (const auto* many = std::get_if<std::vector<double>>(&*found))
      list = *many;
    else if (const auto* one = std::get_if<double>(&*found))
      list = {*one};
    const auto sum = std::accumulate(list.begin(), list.end(), 0.0);
    if (x.name == "count")
      return static_cast<double>(list.size());
    if (x.name == "sum")
      return sum;
    // Of nothing, the largest is nothing.
    if (list.empty())
      return 0.0;
    if (x.name == "max")
      return *std::ranges::max_element(list);
    if (x.name == "min")
      return *std::ranges::min_element(list);
    if (x.name == "mean")
      return sum / static_cast<double>(list.size());
    return std::abs(list.front());
  }
  std::optional<value> unary(const node& x) {
    const auto found = number(*x.parts[0]);
    if (!found)
      return {};
    return x.name == "-" ? -*found : *found == 0 ? 1.0 : 0.0;
  }
  std::optional<value> binary(const node& x) {
    if (x.name == "and" || x.name == "or") {
      const auto left = number(*x.parts[0]);
      if (!left || (*left == 0) == (x.name == "and"))
        return left ? std::optional<value>{*left} : std::nullopt;
      const auto right = number(*x.parts[1]);
      return right ? std::optional<value>{*right} : std::nullopt;
    }
    const auto left = of(*x.parts[0]);
    const auto right = left ? of(*x.parts[1]) : std::nullopt;
    if (!left || !right)
      return {};
    if (x.name == "==" || x.name == "!=")
      return (*left == *right) == (x.name == "==") ? 1.0 : 0.0;
    const auto* a = std::get_if<double>(&*left);
    const auto* b = std::get_if<double>(&*right);
    if (!a || !b) {
      error_ = fmt::format("{} {} {} compares no numbers", to_string(*left), x.name, to_string(*right));
      return {};
    }
    return arithmetic(x.name, *a, *b);
  }
  static double arithmetic(const std::string& sign, double a, double b) {
    if (sign == "+")
      return a + b;
    if (sign == "-")
      return a - b;
    if (sign == "*")
      return a * b;
    if (sign == "/")
      return b == 0 ? 0 : a / b;
    if (sign == "<")
      return a < b;
    if (sign == ">")
      return a > b;
    return sign == "<=" ? a <= b : a >= b;
  }

  const fact_finder& facts_;
  std::string& error_;
};

void collect(const node& x, std::set<std::string>& names) {
  if (x.what == node::kind::fact)
    names.insert(x.name);
  for (const auto& part : x.parts)
    if (part)
      collect(*part, names);
}

} // namespace

std::string to_string(const value& x) {
  if (const auto* number = std::get_if<double>(&x))
    return fmt::format("{:.12g}", *number);
  if (const auto* text = std::get_if<std::string>(&x))
    return "\"" + *text + "\"";
  const auto& list = std::get<std::vector<double>>(x);
  auto shown = std::vector<double>{list.begin(), list.begin() + std::min<std::ptrdiff_t>(8, std::ssize(list))};
  return fmt::format("[{:.4g}{}]", fmt::join(shown, ", "),
                     shown.size() < list.size() ? fmt::format(", ... {} in all", list.size()) : "");
}

expression expression::parse(std::string_view text, const position& where, const std::vector<std::string>& known,
                             std::vector<script_error>& errors) {
  auto found = expression{};
  found.root_ = parser{text, where, known, errors}.read();
  return found;
}

std::optional<value> expression::evaluate(const fact_finder& facts, std::string& error) const {
  return root_ ? evaluation{facts, error}.of(*root_) : std::nullopt;
}

bool expression::holds(const fact_finder& facts, std::string& error) const {
  const auto found = evaluate(facts, error);
  const auto* number = found ? std::get_if<double>(&*found) : nullptr;
  return number && *number != 0;
}

std::string expression::explain(const fact_finder& facts) const {
  auto names = std::set<std::string>{};
  if (root_)
    collect(*root_, names);
  auto text = std::string{};
  for (const auto& name : names) {
    const auto found = facts(name);
    text += fmt::format("{}{} is {}", text.empty() ? "" : ", ", name, found ? to_string(*found) : "not known");
  }
  return text;
}

} // namespace novacron::simulation
