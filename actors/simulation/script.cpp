#include "actors/simulation/script.hpp"

#include "actors/shell/parse.hpp"

#include <fmt/format.h>

#include <cctype>
#include <utility>

namespace novacron::simulation {
namespace {

/// Chosen: no scenario that people write is longer.
constexpr auto script_bytes_max = std::size_t{8} << 20;

bool is_space(char x) {
  return x == ' ' || x == '\t' || x == '\r';
}
bool is_name(char x) {
  return std::isalnum(static_cast<unsigned char>(x)) || x == '_';
}

std::string_view trimmed(std::string_view x) {
  while (!x.empty() && is_space(x.front()))
    x.remove_prefix(1);
  while (!x.empty() && is_space(x.back()))
    x.remove_suffix(1);
  return x;
}

class reader {
public:
  reader(std::string_view text, std::string file, int line) : text_{text}, file_{std::move(file)}, line_{line} {}

  script read() {
    while (at_ < text_.size())
      read_line();
    return std::move(found_);
  }

private:
  std::string_view take_line() {
    const auto end = text_.find('\n', at_);
    const auto line = text_.substr(at_, end == text_.npos ? text_.npos : end - at_);
    at_ = end == text_.npos ? text_.size() : end + 1;
    return line;
  }

  void complain(int column, std::string text) { found_.errors.push_back({{file_, line_, column}, std::move(text)}); }

  void read_line() {
    const auto line = take_line();
    auto column = std::size_t{0};
    auto current = statement{};
    while (column < line.size()) {
      const auto c = line[column];
      if (is_space(c)) {
        ++column;
      } else if (c == '#') {
        break;
      } else if (c == ';') {
        finish(current, line, column++);
      } else if (c == '{' && trimmed(line.substr(column + 1)).empty() && !current.words.empty()) {
        finish(current, line, column, true);
        read_block(found_.statements.back());
        return;
      } else if (!read_word(current, line, column)) {
        break;
      }
    }
    finish(current, line, column);
    ++line_;
  }

  bool read_word(statement& into, std::string_view line, std::size_t& column) {
    auto one = word{{}, static_cast<int>(column) + 1, false};
    auto braces = 0;
    for (; column < line.size(); ++column) {
      const auto c = line[column];
      if (braces == 0 && (is_space(c) || c == ';'))
        break;
      if (c == '"' || c == '\'') {
        const auto end = line.find(c, column + 1);
        if (end == line.npos) {
          complain(static_cast<int>(column) + 1, fmt::format("this {} has no end on its line", c));
          column = line.size();
          return false;
        }
        one.quoted = true;
        // JSON in braces keeps its quotes.
        one.text += braces > 0 ? line.substr(column, end - column + 1) : line.substr(column + 1, end - column - 1);
        column = end;
        continue;
      }
      braces += c == '{' ? 1 : c == '}' ? -1 : 0;
      one.text += c;
    }
    into.words.push_back(std::move(one));
    return true;
  }

  void finish(statement& current, std::string_view line, std::size_t end, bool block = false) {
    if (current.words.empty())
      return;
    current.where = {file_, line_, current.words.front().column};
    current.has_block = block;
    if (current.words.size() > 1) {
      const auto from = static_cast<std::size_t>(current.words[1].column) - 1;
      current.rest = trimmed(line.substr(from, end - from));
      current.rest_column = current.words[1].column;
    }
    found_.statements.push_back(std::exchange(current, {}));
  }

  void read_block(statement& of) {
    const auto opened = line_++;
    of.block_line = line_;
    auto depth = 1;
    const auto from = at_;
    while (at_ < text_.size()) {
      const auto before = at_;
      const auto line = trimmed(take_line());
      // Only lines that open or close a block count; braces inside a line are TOML's or JSON's.
      depth += line == "}" ? -1 : line.ends_with('{') && line.front() != '#' ? 1 : 0;
      ++line_;
      if (depth == 0) {
        of.block = text_.substr(from, before - from);
        return;
      }
    }
    found_.errors.push_back({{file_, opened, of.where.column},
                             fmt::format("the block of '{}' has no end: a line with }} alone", of.verb())});
  }

  std::string_view text_;
  std::string file_;
  int line_;
  std::size_t at_ = 0;
  script found_;
};

/// Replaces each $name in `text`; returns the first name that nobody knows.
std::string replace_names(std::string& text, const std::map<std::string, std::string>& variables) {
  auto out = std::string{};
  for (auto i = std::size_t{0}; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size() || !is_name(text[i + 1])) {
      out += text[i];
      continue;
    }
    auto end = i + 1;
    while (end < text.size() && is_name(text[end]))
      ++end;
    const auto name = text.substr(i + 1, end - i - 1);
    const auto found = variables.find(name);
    if (found == variables.end())
      return name;
    out += found->second;
    i = end - 1;
  }
  text = std::move(out);
  return {};
}

} // namespace

std::string to_string(const script_error& x) {
  return fmt::format("{}:{}:{}: {}", x.where.file, x.where.line, x.where.column, x.text);
}

script parse_script(std::string_view text, const std::string& file, int first_line) {
  if (text.size() > script_bytes_max) {
    auto refused = script{};
    refused.errors.push_back({{file, 1, 1}, "a scenario is at most 8 MiB long"});
    return refused;
  }
  return reader{text, file, first_line}.read();
}

std::vector<script_error> fill_in(statement& x, const std::map<std::string, std::string>& variables) {
  auto errors = std::vector<script_error>{};
  auto known = std::vector<std::string>{};
  for (const auto& [name, value] : variables)
    known.push_back(name);
  for (auto& each : x.words)
    if (const auto unknown = replace_names(each.text, variables); !unknown.empty())
      errors.push_back({{x.where.file, x.where.line, each.column},
                        fmt::format("there is no variable ${}{}", unknown, shell::did_you_mean(unknown, known))});
  if (errors.empty())
    replace_names(x.rest, variables);
  if (errors.empty() && x.has_block)
    if (const auto unknown = replace_names(x.block, variables); !unknown.empty())
      errors.push_back({x.where, fmt::format("there is no variable ${} for this block{}", unknown,
                                             shell::did_you_mean(unknown, known))});
  return errors;
}

} // namespace novacron::simulation
