#include "actors/workload/image_digest.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <new>

namespace novacron::workload {
namespace {

constexpr std::string_view prefix = "sha256:";
constexpr std::size_t digits = 64;

bool is_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

} // namespace

bool is_digest(std::string_view text) {
  return text.size() == prefix.size() + digits && text.starts_with(prefix) &&
         std::all_of(text.begin() + prefix.size(), text.end(), is_digit);
}

std::string_view digits_of(std::string_view digest) {
  return digest.substr(std::min(prefix.size(), digest.size()));
}

std::string digest_of(std::string_view bytes) {
  auto all = digester{};
  all.add(bytes.data(), bytes.size());
  return all.finish();
}

struct digester::state {
  EVP_MD_CTX* context = nullptr;
  ~state() { EVP_MD_CTX_free(context); }
};

digester::digester() : state_{std::make_unique<state>()} {
  state_->context = EVP_MD_CTX_new();
  if (state_->context == nullptr || EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) != 1)
    throw std::bad_alloc{};
}

digester::~digester() = default;
digester::digester(digester&&) noexcept = default;
digester& digester::operator=(digester&&) noexcept = default;

void digester::add(const void* bytes, std::size_t count) {
  EVP_DigestUpdate(state_->context, bytes, count);
}

std::string digester::finish() {
  auto raw = std::array<unsigned char, EVP_MAX_MD_SIZE>{};
  auto count = 0u;
  EVP_DigestFinal_ex(state_->context, raw.data(), &count);
  auto text = std::string{prefix};
  for (auto i = 0u; i < count; ++i) {
    constexpr auto hex = "0123456789abcdef";
    text += hex[raw[i] >> 4];
    text += hex[raw[i] & 15];
  }
  return text;
}

} // namespace novacron::workload
