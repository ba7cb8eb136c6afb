// What an usher says comes from inside a function's container, where anything may speak in its place.

#include "actors/workload/call_frames.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

using novacron::workload::lane_reader;
using novacron::workload::lane_word;

namespace {

std::vector<lane_word> read(std::string_view text, std::size_t step) {
  auto reader = lane_reader{};
  auto words = std::vector<lane_word>{};
  for (; !text.empty(); text.remove_prefix(std::min(step, text.size()))) {
    reader.take(text.substr(0, step));
    while (auto one = reader.next()) {
      words.push_back(std::move(*one));
      if (words.back().what == lane_word::kind::foreign)
        return words;
    }
  }
  return words;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = std::string_view{reinterpret_cast<const char*>(data), size};
  // However it is cut, it means the same.
  if (read(text, 1) != read(text, 7))
    std::abort();
  return 0;
}
