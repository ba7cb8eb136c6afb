#include "actors/workload/call_frames.hpp"

#include <charconv>
#include <system_error>

namespace novacron::workload {
namespace {

constexpr auto line_bytes_max = std::size_t{256};

std::optional<std::size_t> number(std::string_view text) {
  auto value = std::size_t{0};
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  return wrong == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

} // namespace

std::string call_frame(std::string_view body, std::chrono::milliseconds limit) {
  auto frame = "call " + std::to_string(body.size()) + ' ' + std::to_string(limit.count()) + '\n';
  return frame.append(body);
}

std::optional<lane_word> lane_reader::next() {
  using enum lane_word::kind;
  const auto end = waiting_.find('\n');
  if (!foreign_ && end == waiting_.npos && waiting_.size() < line_bytes_max)
    return {};
  const auto line = std::string_view{waiting_}.substr(0, end == waiting_.npos ? 0 : end);
  const auto head = line.size() + 1;
  auto word = lane_word{foreign};
  auto size = head;
  if (line == "ready 1") {
    word.what = ready;
  } else if (line == "late") {
    word.what = late;
  } else if (line.starts_with("failed ")) {
    word = {failed, std::string{line.substr(7)}};
  } else if (const auto bytes = line.starts_with("answer ") ? number(line.substr(7)) : std::nullopt;
             bytes && *bytes <= call_bytes_max) {
    if (waiting_.size() < head + *bytes)
      return {};
    word = {answered, waiting_.substr(head, *bytes)};
    size += *bytes;
  }
  foreign_ = foreign_ || word.what == foreign;
  if (foreign_)
    return lane_word{foreign};
  waiting_.erase(0, size);
  return word;
}

} // namespace novacron::workload
