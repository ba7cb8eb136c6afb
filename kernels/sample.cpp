#include "kernels/sample.hpp"

#include "kernels/page.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

namespace novacron::kernels {
namespace {

/// splitmix64: small, and the same everywhere.
struct chance {
  std::uint64_t state;
  std::uint64_t next() {
    auto x = state += 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
  }
  std::uint64_t below(std::uint64_t limit) { return next() % limit; }
};

using page = std::span<std::byte>;

void fill_random(page x, chance& dice) {
  for (auto at = std::size_t{0}; at < x.size(); at += 8)
    store(x.data() + at, dice.next());
}

/// A table of objects: a rising number, a kind, a pointer, a short name, a count, and room that nobody uses yet.
void fill_records(page x, chance& dice) {
  static constexpr auto names =
      std::array{"worker", "session", "account", "inode", "socket", "request", "index", "page"};
  const auto first = dice.below(1u << 24);
  const auto heap = 0x00007F0000000000 + (dice.below(1u << 16) << 20);
  for (auto at = std::size_t{0}; at < x.size(); at += 64) {
    auto* record = x.data() + at;
    store(record, first + at / 64);
    store(record + 8, static_cast<std::uint32_t>(dice.below(6)));
    store(record + 12, static_cast<std::uint32_t>(dice.below(2)));
    store(record + 16, heap + (dice.below(1u << 16) << 4));
    auto text = std::array<char, 24>{};
    std::snprintf(text.data(), text.size(), "%s-%u", names[dice.below(names.size())],
                  static_cast<unsigned>(dice.below(1000)));
    std::memcpy(record + 24, text.data(), text.size());
    store(record + 48, dice.below(1u << 20));
  }
}

void fill_pointers(page x, chance& dice) {
  const auto heap = 0xFFFF888000000000 + (dice.below(1u << 12) << 24);
  for (auto at = std::size_t{0}; at < x.size(); at += 8)
    store(x.data() + at, dice.below(4) == 0 ? std::uint64_t{0} : heap + (dice.below(1u << 14) << 6));
}

void fill_log(page x, chance& dice) {
  static constexpr auto what = std::array{"GET /api/v1/items/%u HTTP/1.1 200", "connection from 10.0.%u.17 closed",
                                          "flushed %u pages in 3 ms", "cache miss for key user:%u:profile"};
  auto clock = dice.below(86400);
  auto text = std::string{};
  while (text.size() < x.size()) {
    clock += dice.below(3);
    auto line = std::array<char, 160>{};
    auto size = std::snprintf(line.data(), line.size(), "2024-05-%02u %02u:%02u:%02u info [%u] ",
                              static_cast<unsigned>(clock % 28 + 1), static_cast<unsigned>(clock / 3600 % 24),
                              static_cast<unsigned>(clock / 60 % 60), static_cast<unsigned>(clock % 60),
                              static_cast<unsigned>(dice.below(32)));
    text.append(line.data(), static_cast<std::size_t>(size));
    const auto number = static_cast<unsigned>(dice.below(100000));
    switch (dice.below(4)) {
      case 0: size = std::snprintf(line.data(), line.size(), what[0], number); break;
      case 1: size = std::snprintf(line.data(), line.size(), what[1], number % 256); break;
      case 2: size = std::snprintf(line.data(), line.size(), what[2], number % 512); break;
      default: size = std::snprintf(line.data(), line.size(), what[3], number); break;
    }
    text.append(line.data(), static_cast<std::size_t>(size)).push_back('\n');
  }
  std::memcpy(x.data(), text.data(), x.size());
}

void fill_template(page x, std::uint64_t which) {
  auto dice = chance{which + 0xC0DE};
  which % 2 == 0 ? fill_records(x, dice) : fill_log(x, dice);
}

/// `share` is a number below 100.
void fill_content(page x, std::uint64_t share, chance& dice) {
  if (share < 15)
    fill_random(x, dice);
  else if (share < 45)
    fill_records(x, dice);
  else if (share < 55)
    fill_pointers(x, dice);
  else
    fill_log(x, dice);
}

} // namespace

std::vector<std::byte> sample_memory(std::size_t page_count, std::uint64_t seed) {
  auto memory = std::vector<std::byte>(page_count * page_size);
  auto dice = chance{seed};
  for (auto i = std::size_t{0}; i < page_count; ++i) {
    const auto x = page{memory}.subspan(i * page_size, page_size);
    const auto share = dice.below(100);
    if (share < 65)
      fill_content(x, share, dice);
    else if (share < 75)
      fill_template(x, dice.below(64));
  }
  return memory;
}

std::vector<std::byte> sample_content(std::size_t page_count, std::uint64_t seed) {
  auto memory = std::vector<std::byte>(page_count * page_size);
  auto dice = chance{seed};
  for (auto i = std::size_t{0}; i < page_count; ++i)
    fill_content(page{memory}.subspan(i * page_size, page_size), dice.below(65), dice);
  return memory;
}

void sample_write(std::span<std::byte> page, std::uint64_t seed) {
  auto dice = chance{seed};
  if (dice.below(5) == 0)
    fill_random(page, dice);
  else
    store(page.data() + 8 * dice.below(page.size() / 8), dice.next());
}

} // namespace novacron::kernels
