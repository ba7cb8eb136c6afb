/// The guest of migration benches: fills memory, dirties some of it at a steady rate, counts aloud, and can say whether
/// any of it was lost. It is all that runs in its machine, or a program among others where it is given words.
///
/// Words of its own, or of the kernel's command line: wl.fill=MiB of memory that stays as it is, wl.ws=MiB that is written to,
/// wl.rate=pages per second. Every 40 ms it prints "CNT <n> <pages dirtied>"; to the line "sum" it answers
/// "SUM <checksum of what stays> bad=<pages that are not as written> of <pages looked at> dirtied=<pages>", and with
/// wl.sum=SECONDS it says that by itself so often, and does not count.

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr auto page_size = std::size_t{4096};
constexpr auto page_words = page_size / 8;

std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

struct chance {
  std::uint64_t state;
  std::uint64_t next() { return mixed(state += 0x9E3779B97F4A7C15u); }
};

struct page {
  std::array<std::uint64_t, page_words> words;
};

void make_records(page& to, chance& from) {
  for (auto i = std::size_t{0}; i < page_words; i += 8) {
    const auto x = from.next();
    to.words[i] = 0x5245434f52443a00u;
    to.words[i + 1] = x & 0xffff;
    to.words[i + 2] = 0x00007f0000000000u | (x >> 20 & 0xfffff0);
    to.words[i + 3] = 1;
    to.words[i + 4] = x >> 48 & 0x3f;
    to.words[i + 5] = 0;
    to.words[i + 6] = 0x2020202020202020u;
    to.words[i + 7] = from.next() & 0xffffffff;
  }
}

void make_pointers(page& to, chance& from) {
  for (auto& word : to.words)
    word = 0x00007f3a00000000u | (from.next() & 0x3fffff0);
}

void make_log(page& to, chance& from) {
  static const std::array<const char*, 4> verbs{"accepted connection from", "closed session of", "wrote segment of",
                                                "could not reach"};
  auto* at = reinterpret_cast<char*>(to.words.data());
  auto left = page_size;
  while (left > 0) {
    std::array<char, 128> line;
    const auto x = from.next();
    const auto size =
        std::snprintf(line.data(), line.size(), "2024-03-%02u 12:%02u:%02u.%03u INFO server[%u]: %s 10.0.%u.%u\n",
                      unsigned(x % 28 + 1), unsigned(x >> 8) % 60, unsigned(x >> 16) % 60, unsigned(x >> 20) % 1000,
                      unsigned(x >> 32) % 5000, verbs[x >> 50 & 3], unsigned(x >> 40) % 256, unsigned(x >> 48) % 256);
    const auto part = static_cast<std::size_t>(size) < left ? static_cast<std::size_t>(size) : left;
    std::memcpy(at, line.data(), part);
    at += part;
    left -= part;
  }
}

void make_random(page& to, chance& from) {
  for (auto& word : to.words)
    word = from.next();
}

/// The mix that was found on measured guests: 25 % zero, 15 % random, 30 % records, 10 % pointers, 10 % log lines, 10 %
/// copies of 64 pages.
void fill(page* pages, std::size_t count) {
  auto from = chance{1};
  for (auto i = std::size_t{0}; i < count; ++i) {
    const auto kind = from.next() % 100;
    if (kind < 25)
      continue;
    if (kind < 40)
      make_random(pages[i], from);
    else if (kind < 70)
      make_records(pages[i], from);
    else if (kind < 80)
      make_pointers(pages[i], from);
    else if (kind < 90)
      make_log(pages[i], from);
    else {
      auto copy = chance{from.next() % 64 + 1000};
      make_records(pages[i], copy);
    }
  }
}

/// What was done to a page: how often it was written as a whole, and how often a word of it since then.
struct history {
  std::uint32_t wholes = 0;
  std::uint32_t words = 0;
};

void write_whole(page& to, std::size_t number, std::uint32_t wholes) {
  auto from = chance{mixed(number) + wholes};
  make_records(to, from);
}

void write_word(page& to, std::size_t number, const history& x) {
  const auto value = mixed(number << 32 ^ std::uint64_t{x.wholes} << 16 ^ x.words);
  to.words[value % page_words] = value;
}

class workload {
public:
  workload(std::size_t fill_mib, std::size_t set_mib)
      : still_{pages_of(fill_mib)}, still_count_{fill_mib << 8}, set_{pages_of(set_mib)},
        set_count_{set_mib << 8}, done_{static_cast<history*>(std::calloc(set_count_ + 1, sizeof(history)))} {
    fill(still_, still_count_);
    for (auto i = std::size_t{0}; i < set_count_; ++i)
      write_whole(set_[i], i, done_[i].wholes);
  }

  void dirty() {
    if (set_count_ == 0)
      return;
    const auto x = order_.next();
    const auto at = x % set_count_;
    auto& done = done_[at];
    if ((x >> 40) % 5 == 0) {
      done = {done.wholes + 1, 0};
      write_whole(set_[at], at, done.wholes);
    } else {
      ++done.words;
      write_word(set_[at], at, done);
    }
    ++dirtied_;
  }
  std::uint64_t dirtied() const { return dirtied_; }

  void sum() const {
    auto checksum = std::uint64_t{0};
    for (auto i = std::size_t{0}; i < still_count_; ++i)
      for (const auto word : still_[i].words)
        checksum = (checksum << 5 | checksum >> 59) * 0x9E3779B97F4A7C15u ^ word;
    auto bad = 0ul;
    for (auto i = std::size_t{0}; i < set_count_; ++i)
      bad += !as_written(i);
    std::printf("SUM %016lx bad=%lu of %zu dirtied=%lu\n", static_cast<unsigned long>(checksum), bad, set_count_,
                static_cast<unsigned long>(dirtied_));
    std::fflush(stdout);
  }

private:
  static page* pages_of(std::size_t mib) {
    if (mib == 0)
      return nullptr;
    auto* const at = ::mmap(nullptr, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
      std::puts("the guest has too little memory for its workload");
      std::exit(1);
    }
    return static_cast<page*>(at);
  }

  bool as_written(std::size_t number) const {
    static page wanted;
    write_whole(wanted, number, done_[number].wholes);
    for (auto x = history{done_[number].wholes, 1}; x.words <= done_[number].words; ++x.words)
      write_word(wanted, number, x);
    return std::memcmp(&wanted, &set_[number], page_size) == 0;
  }

  page* still_;
  std::size_t still_count_;
  page* set_;
  std::size_t set_count_;
  history* done_;
  chance order_{7};
  std::uint64_t dirtied_ = 0;
};

std::size_t word_of(const char* line, const char* name, std::size_t otherwise) {
  const auto* const at = std::strstr(line, name);
  return at == nullptr ? otherwise : std::strtoul(at + std::strlen(name), nullptr, 10);
}

std::uint64_t milliseconds() {
  auto now = timespec{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}

/// Lines come as they are sent, and are not sent back.
void set_terminal() {
  auto now = termios{};
  if (::tcgetattr(0, &now) != 0)
    return;
  ::cfmakeraw(&now);
  now.c_oflag |= OPOST | ONLCR;
  ::tcsetattr(0, TCSANOW, &now);
}

/// Whether the line "sum" came.
bool asked() {
  static std::array<char, 64> line;
  static auto size = std::size_t{0};
  auto waiting = pollfd{0, POLLIN, 0};
  auto found = false;
  while (::poll(&waiting, 1, 0) > 0) {
    auto letter = char{};
    if (::read(0, &letter, 1) != 1)
      break;
    if (letter != '\n' && letter != '\r') {
      line[size] = letter;
      size = (size + 1) % (line.size() - 1);
      continue;
    }
    line[size] = 0;
    found = found || std::strcmp(line.data(), "sum") == 0;
    size = 0;
  }
  return found;
}

void join(int count, char** words, std::array<char, 4096>& into) {
  for (auto i = 1; i < count; ++i) {
    std::strncat(into.data(), words[i], into.size() - std::strlen(into.data()) - 2);
    std::strcat(into.data(), " ");
  }
}

/// It is the first program of its machine, and has /proc to make.
void read_kernel_words(std::array<char, 4096>& into) {
  ::mkdir("/proc", 0755);
  ::mount("proc", "/proc", "proc", 0, nullptr);
  const auto file = ::open("/proc/cmdline", O_RDONLY);
  if (file < 0 || ::read(file, into.data(), into.size() - 1) < 0)
    std::puts("the guest cannot read its command line");
  ::close(file);
}

} // namespace

int main(int count, char** words) {
  static std::array<char, 4096> line;
  if (count > 1)
    join(count, words, line);
  else
    read_kernel_words(line);
  set_terminal();
  const auto rate = word_of(line.data(), "wl.rate=", 0);
  const auto sum_every = word_of(line.data(), "wl.sum=", 0) * 1000;
  auto work = workload{word_of(line.data(), "wl.fill=", 176), word_of(line.data(), "wl.ws=", 64)};
  std::puts("READY");
  constexpr auto tick = std::uint64_t{5};
  constexpr auto beat = std::uint64_t{40};
  auto then = milliseconds();
  auto owed = std::uint64_t{0};
  auto since = std::uint64_t{0};
  for (auto n = std::uint64_t{0};;) {
    ::usleep(tick * 1000);
    const auto now = milliseconds();
    // After a standstill it does not catch up: what was owed for more than a beat is forgotten.
    const auto passed = now - then < beat ? now - then : beat;
    then = now;
    owed += passed * rate;
    for (; owed >= 1000; owed -= 1000)
      work.dirty();
    since += passed;
    if (sum_every > 0 && since >= sum_every) {
      since = 0;
      work.sum();
    } else if (sum_every == 0 && since >= beat) {
      since -= beat;
      std::printf("CNT %lu %lu\n", static_cast<unsigned long>(++n), static_cast<unsigned long>(work.dirtied()));
      std::fflush(stdout);
    }
    if (asked())
      work.sum();
  }
}
