#include "actors/shell/completion.hpp"

#include <algorithm>

namespace novacron::shell {
namespace {

class completing {
public:
  completing(const command_table& table, const std::string& fragment, const name_source& names)
      : table{table}, fragment{fragment}, names{names} {}

  std::vector<candidate> run(const std::vector<std::string>& words) {
    auto at = std::size_t{0};
    const auto* found = choose(words, at);
    if (!found)
      return std::move(out);
    auto arguments = std::vector<std::string>{};
    auto only_words = false;
    for (; at < words.size(); ++at) {
      const auto& word = words[at];
      if (!only_words && word == "--")
        only_words = true;
      else if (!only_words && word.starts_with('-') && word.size() > 1) {
        const auto* x = flag_of(*found, word);
        if (x && !x->value.empty() && word.find('=') == word.npos) {
          if (at + 1 == words.size()) {
            values(x->is, x->choices, {}, {});
            return std::move(out);
          }
          ++at;
        }
      } else {
        arguments.push_back(word);
        const auto next = arguments.size();
        if (next < found->arguments.size() && found->arguments[next].rest && found->arguments[next].is == kind::command)
          return run({words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end()});
      }
    }
    if (fragment.starts_with('-') && !only_words)
      flags(*found);
    else
      argument_of(*found, arguments);
    return std::move(out);
  }

private:
  /// The command that the words name; null when that is what is being completed.
  const command* choose(const std::vector<std::string>& words, std::size_t& at) {
    while (at < words.size() && words[at].starts_with('-') && !words[at].starts_with("--role")) {
      const auto* x = flag_of({}, words[at]);
      const auto needs_value = x && !x->value.empty() && words[at].find('=') == std::string::npos;
      if (needs_value && at + 1 == words.size()) {
        values(x->is, x->choices, {}, {});
        return nullptr;
      }
      at += needs_value ? 2 : 1;
    }
    if (at == words.size()) {
      if (fragment.starts_with('-'))
        flags({});
      else
        first_words();
      return nullptr;
    }
    const auto& first = words[at];
    if (first.starts_with("--role"))
      return table.find("--role");
    if (first == "help") {
      at == words.size() - 1 ? first_words() : verbs(words.back());
      return nullptr;
    }
    ++at;
    if (table.is_noun(first) && at == words.size()) {
      verbs(first);
      return nullptr;
    }
    if (at < words.size())
      if (const auto* both = table.find(first + " " + words[at])) {
        ++at;
        return both;
      }
    return table.find(first);
  }

  void offer(const std::string& text, const std::string& help, bool whole = true) {
    if (text.starts_with(fragment))
      out.push_back({text, help, whole});
  }

  void first_words() {
    for (const auto* x : table.shortcuts())
      if (x->path != "--role")
        offer(x->path, x->summary);
    for (const auto& x : table.nouns())
      offer(x.name, x.summary);
    for (const auto& [word, summary] : table.foreign())
      offer(word, summary);
    offer("help", "help for a command");
  }

  void verbs(const std::string& noun) {
    for (const auto* x : table.below(noun))
      offer(x->path.substr(noun.size() + 1), x->summary);
  }

  const flag* flag_of(const command& x, const std::string& word) const {
    const auto name =
        word.starts_with("--") ? word.substr(2, word.find('=') == word.npos ? word.npos : word.find('=') - 2) : "";
    for (const auto* group : {&x.flags, &common_flags()})
      for (const auto& f : *group)
        if (word.starts_with("--") ? f.name == name : f.letter != 0 && f.letter == word.back())
          return &f;
    return nullptr;
  }

  void flags(const command& x) {
    const auto equals = fragment.find('=');
    if (equals != fragment.npos) {
      if (const auto* f = flag_of(x, fragment))
        values(f->is, f->choices, {}, fragment.substr(0, equals + 1));
      return;
    }
    for (const auto* group : {&x.flags, &common_flags()})
      for (const auto& f : *group)
        offer("--" + f.name + (f.value.empty() ? "" : "="), f.help, f.value.empty());
  }

  void values(kind is, const std::vector<std::string>& choices, const std::string& context, const std::string& before) {
    for (const auto& x : choices)
      offer(before + x, {});
    if (is == kind::file) {
      for (const auto& x : names(is, fragment.substr(before.size())))
        offer(before + x, {}, !x.ends_with('/'));
      return;
    }
    if (is != kind::text && is != kind::number && is != kind::duration && is != kind::choice)
      for (const auto& x : names(is, context))
        offer(before + x, {});
  }

  void argument_of(const command& x, const std::vector<std::string>& given) {
    if (x.arguments.empty())
      return;
    const auto& last = x.arguments.back();
    if (given.size() >= x.arguments.size() && !last.many)
      return;
    const auto& wanted = x.arguments[std::min(given.size(), x.arguments.size() - 1)];
    if (wanted.is == kind::json) {
      for (auto& c : complete_json(given.back(), fragment))
        out.push_back(std::move(c));
      return;
    }
    if (wanted.is == kind::command)
      return first_words();
    values(wanted.is, wanted.choices, given.empty() ? std::string{} : given.back(), {});
  }

  const command_table& table;
  const std::string& fragment;
  const name_source& names;
  std::vector<candidate> out;
};

constexpr auto bash_script = R"(# Completion of novacron for bash.
_novacron() {
  local line word text=${COMP_LINE:0:COMP_POINT} current=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  # bash takes words apart at "=" and ":", and puts in only what follows them.
  [[ $current == [=:] ]] && current=
  word=${text##*[[:space:]]}
  word=${word%"$current"}
  while IFS= read -r line; do
    line=${line%%$'\t'*}
    COMPREPLY+=("${line#"$word"}")
  done < <("${COMP_WORDS[0]}" __complete --line "$text" 2>/dev/null)
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -o default -F _novacron novacron
)";

constexpr auto zsh_script = R"(#compdef novacron
# Completion of novacron for zsh.
_novacron() {
  local -a found lines
  local line
  lines=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in "${lines[@]}"; do
    [[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  if (( ${#found} )); then
    _describe 'novacron' found
  else
    _files
  fi
}
if [[ $funcstack[1] == _novacron ]]; then
  _novacron "$@"
else
  compdef _novacron novacron
fi
)";

constexpr auto fish_script = R"(# Completion of novacron for fish.
function __novacron_complete
  set -l before (commandline -opc)
  set -l now (commandline -ct)
  novacron __complete $before[2..-1] "$now" 2>/dev/null
end
complete -c novacron -a '(__novacron_complete)'
)";

} // namespace

std::vector<candidate> complete(const command_table& table, const std::vector<std::string>& words,
                                const std::string& fragment, const name_source& names) {
  return completing{table, fragment, names}.run(words);
}

std::string completion_script(std::string_view shell) {
  return shell == "zsh" ? zsh_script : shell == "fish" ? fish_script : bash_script;
}

} // namespace novacron::shell
