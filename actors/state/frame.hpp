#pragma once

/// Messages on a stream: a 32-bit length, little endian, then the bytes of one message.

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace novacron::ledger {

/// What a client may send in one frame, and what it may be sent.
constexpr std::size_t call_bytes_max = 2u << 20;
constexpr std::size_t reply_bytes_max = 1u << 30;

inline void put_frame(std::string& out, const google::protobuf::MessageLite& x) {
  const auto size = x.ByteSizeLong();
  const auto at = out.size();
  out.resize(at + 4 + size);
  for (auto i = 0u; i < 4; ++i)
    out[at + i] = static_cast<char>(size >> (8 * i));
  x.SerializePartialToArray(out.data() + at + 4, static_cast<int>(size));
}

/// Takes frames off the front of a buffer.
class frames {
public:
  frames(std::string_view bytes, std::size_t size_max) : bytes_{bytes}, size_max_{size_max} {}

  /// The next whole frame, nothing when there is none yet or the stream is bad.
  std::optional<std::string_view> next() {
    if (bytes_.size() - at_ < 4)
      return {};
    auto size = std::size_t{0};
    for (auto i = 0u; i < 4; ++i)
      size |= static_cast<std::size_t>(static_cast<unsigned char>(bytes_[at_ + i])) << (8 * i);
    bad_ = size > size_max_;
    if (bad_ || bytes_.size() - at_ - 4 < size)
      return {};
    const auto frame = bytes_.substr(at_ + 4, size);
    at_ += 4 + size;
    return frame;
  }

  std::size_t taken() const { return at_; }
  bool bad() const { return bad_; }

private:
  std::string_view bytes_;
  std::size_t size_max_;
  std::size_t at_ = 0;
  bool bad_ = false;
};

} // namespace novacron::ledger
