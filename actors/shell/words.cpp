#include "actors/shell/words.hpp"

#include <utility>

namespace novacron::shell {
namespace {

class splitting {
public:
  explicit splitting(std::string_view text) : text{text} {}

  void run() {
    while (at < text.size()) {
      const auto c = text[at];
      if (c == ' ' || c == '\t' || c == '\r') {
        ++at;
      } else if (c == '\n' || c == ';') {
        ++at;
        end_command();
      } else if (c == '#') {
        while (at < text.size() && text[at] != '\n')
          ++at;
      } else
        word();
    }
  }

  void end_command() {
    if (!words.empty())
      commands.push_back(std::exchange(words, {}));
  }

  std::vector<std::vector<std::string>> commands;
  std::vector<std::string> words;
  /// The last word was still being written when the text ended.
  bool open = false;
  std::size_t start = 0;
  char quote = 0;

private:
  void word() {
    auto out = std::string{};
    start = at;
    quote = 0;
    if (text[at] == '{')
      braces(out);
    else
      plain(out);
    open = at == text.size();
    words.push_back(std::move(out));
  }

  void plain(std::string& out) {
    if (text[at] == '\'' || text[at] == '"')
      ++start;
    for (; at < text.size(); ++at) {
      const auto c = text[at];
      if (quote == 0 && (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';'))
        return;
      if (quote == 0 && (c == '\'' || c == '"'))
        quote = c;
      else if (c == quote)
        quote = 0;
      else if (c == '\\' && quote != '\'' && at + 1 < text.size() && escapes(text[at + 1]))
        out += text[++at];
      else
        out += c;
    }
  }

  /// Inside double quotes a backslash only protects what would end or change them.
  bool escapes(char next) const { return quote == 0 || next == '"' || next == '\\'; }

  void braces(std::string& out) {
    auto depth = 0;
    auto in_text = false;
    for (; at < text.size(); ++at) {
      const auto c = text[at];
      out += c;
      if (in_text) {
        if (c == '\\' && at + 1 < text.size())
          out += text[++at];
        else if (c == '"')
          in_text = false;
      } else if (c == '"')
        in_text = true;
      else if (c == '{')
        ++depth;
      else if (c == '}' && --depth == 0) {
        ++at;
        return;
      }
    }
    quote = '{';
  }

  std::string_view text;
  std::size_t at = 0;
};

} // namespace

command_line split(std::string_view text) {
  auto s = splitting{text};
  s.run();
  auto wrong = std::string{};
  if (s.open && s.quote != 0)
    wrong = s.quote == '{' ? std::string{"a '{' is never closed"} : std::string{"a quote is never closed: "} + s.quote;
  s.end_command();
  return {std::move(s.commands), std::move(wrong)};
}

unfinished split_unfinished(std::string_view line) {
  auto s = splitting{line};
  s.run();
  auto out = unfinished{.words = std::move(s.words), .fragment = {}, .start = line.size()};
  if (s.open && !out.words.empty()) {
    out.fragment = std::move(out.words.back());
    out.words.pop_back();
    out.start = s.start;
    out.quote = s.quote;
  }
  return out;
}

} // namespace novacron::shell
