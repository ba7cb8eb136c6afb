/// Feeds anything to the reader of workload files, to the splitter of shell lines, and to the parser of commands.

#include "actors/shell/completion.hpp"
#include "actors/shell/parse.hpp"
#include "actors/shell/words.hpp"
#include "actors/shell/workload_file.hpp"

#include <cstdlib>

namespace {

using namespace novacron::shell;

void read_line(std::string_view text) {
  static const auto commands = command_table{};
  for (const auto& words : split(text).commands)
    parse(commands, words);
  const auto now = split_unfinished(text.substr(0, 200));
  complete(commands, now.words, now.fragment, [](kind, const std::string&) { return std::vector<std::string>{"edge-1"}; });
  complete_json("Submit", std::string{text.substr(0, 200)});
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = std::string_view{reinterpret_cast<const char*>(bytes), size};
  const auto found = parse_workloads(text, "fuzz");
  // Either it is wrong, or it holds workloads; never both.
  if (!found.errors.empty() && !found.workloads.empty())
    std::abort();
  read_line(text);
  return 0;
}
