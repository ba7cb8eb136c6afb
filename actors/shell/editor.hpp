#pragma once

/// A line of input from a person: editing, history with search, completion.

#include "actors/shell/completion.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace novacron::shell {

class editor {
public:
  /// Candidates for a line up to the cursor: where the word begins that they replace, and they.
  struct offer {
    std::size_t start = 0;
    std::vector<candidate> candidates;
  };

  editor(std::filesystem::path history_file, std::function<std::string()> prompt,
         std::function<offer(const std::string& line)> completer);
  ~editor();
  editor(const editor&) = delete;
  editor& operator=(const editor&) = delete;

  enum class event { line, interrupted, ended };
  /// Reads one line, without its end, into `line`, and remembers it.
  event read(std::string& line);

private:
  struct inner;
  std::unique_ptr<inner> in;
};

/// What pressing Tab adds to the line: the rest of the only candidate, or of what all have in common.
std::string completed(const std::string& fragment, const std::vector<candidate>& candidates);

} // namespace novacron::shell
