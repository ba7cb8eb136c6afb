#pragma once

/// SHA-256 as images name things: "sha256:" and 64 lower-case hexadecimal digits.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace novacron::workload {

/// Whether `text` is a digest of that form; no other algorithm is accepted.
bool is_digest(std::string_view text);

/// The digits of a digest: a file name.
std::string_view digits_of(std::string_view digest);

std::string digest_of(std::string_view bytes);

/// The digest of bytes that come in pieces.
class digester {
public:
  digester();
  ~digester();
  digester(digester&&) noexcept;
  digester& operator=(digester&&) noexcept;
  void add(const void* bytes, std::size_t count);
  /// Ends it: nothing can be added after this.
  std::string finish();

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace novacron::workload
