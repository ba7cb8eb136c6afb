#include "actors/host/frame_guard.hpp"

namespace novacron::host {
namespace {

// The layout and the numbers are those of caf/io/basp/header.hpp and message_type.hpp; integers are big-endian.
constexpr auto direct_message = 2u;
constexpr auto routed_message = 3u;
constexpr auto operation_max = 6u;
constexpr auto named_receiver = 0x01u;
constexpr auto answer_bit = std::uint64_t{1} << 63;

std::uint64_t number(std::string_view bytes) {
  auto value = std::uint64_t{0};
  for (const unsigned char x : bytes)
    value = value << 8 | x;
  return value;
}

} // namespace

frame_finding judge_frame(std::string_view header, std::size_t payload_max,
                          const std::function<bool(const destination&)>& reaches) {
  const auto operation = number(header.substr(0, 1));
  const auto flags = number(header.substr(3, 1));
  const auto payload = static_cast<std::size_t>(number(header.substr(4, 4)));
  if (operation > operation_max)
    return {frame_verdict::cut, payload, "malformed"};
  if (payload > payload_max)
    return {frame_verdict::cut, payload, "too_large"};
  // Nodes do not pass on for one another, so whoever asks for it wants to speak in another's name.
  if (operation == routed_message)
    return {frame_verdict::cut, payload, "routed"};
  if (operation != direct_message)
    return {frame_verdict::pass, payload};
  // CAF greets the peer's own servants by name at each connection; ours are nobody else's business.
  if ((flags & named_receiver) != 0)
    return {frame_verdict::drop, payload};
  const auto whom = destination{number(header.substr(24, 8)), (number(header.substr(8, 8)) & answer_bit) != 0};
  if (!reaches(whom))
    return {frame_verdict::drop, payload, "stray"};
  return {frame_verdict::pass, payload};
}

} // namespace novacron::host
