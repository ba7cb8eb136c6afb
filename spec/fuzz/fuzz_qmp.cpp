/// Feeds anything to the reader of a monitor's sentences, and to both readers of a guest's lines and box.

#include "actors/workload/guest/box.hpp"
#include "actors/workload/guest_channel.hpp"
#include "actors/workload/machine_plan.hpp"
#include "actors/workload/qmp.hpp"

#include <cstdlib>
#include <memory>

namespace {

using namespace novacron::workload;

/// The same lines, whatever the pieces.
void check_pieces(std::string_view text, std::size_t size) {
  auto whole = line_gatherer{64};
  auto pieces = line_gatherer{64};
  const auto expected = whole.take(text);
  auto seen = std::vector<std::string>{};
  for (auto at = std::size_t{0}; at < text.size(); at += size)
    for (auto& each : pieces.take(text.substr(at, size)))
      seen.push_back(std::move(each));
  if (seen != expected)
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = std::string_view{reinterpret_cast<const char*>(bytes), size};
  check_pieces(text, size % 7 + 1);
  auto gatherer = line_gatherer{qmp_line_bytes_max};
  for (const auto& line : gatherer.take(text)) {
    read_qmp(line);
    const auto words = guest_words(line);
    const auto again = guest_line({words.begin(), words.end()});
    if (guest_words(std::string_view{again}.substr(0, again.size() - 1)) != words)
      std::abort();
  }
  auto copy = std::string{text};
  const auto box = std::make_unique<novacron::guest::box>();
  novacron::guest::read_box(copy.data(), copy.size(), *box);
  parse_outcome(copy);
  return 0;
}
