#include "actors/migration/disk_stream.hpp"

#include "kernels/checksum.hpp"
#include "kernels/page.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace novacron::migration {
namespace {

constexpr auto block_size = std::uint64_t{64} << 10;
constexpr auto magic = std::array{std::byte{'N'}, std::byte{'V'}, std::byte{'M'}, std::byte{'D'}};
/// Kind, file, place, size.
constexpr auto head_size = std::size_t{16};
constexpr auto file_size_max = std::uint64_t{1} << 46;

enum kind : std::uint8_t { resize = 1, data = 2, zeros = 3, pass_end = 4, last_end = 5 };

class opened {
public:
  opened(const std::filesystem::path& name, int flags) : fd_{::open(name.c_str(), flags | O_CLOEXEC)} {
    if (fd_ < 0)
      throw migration_error{"the disk " + name.filename().string() + " cannot be opened: " + std::strerror(errno)};
  }
  ~opened() { ::close(fd_); }
  opened(const opened&) = delete;
  opened& operator=(const opened&) = delete;
  [[nodiscard]] int get() const { return fd_; }

private:
  int fd_;
};

void receive_all(channel& way, std::span<std::byte> into) {
  while (!into.empty()) {
    const auto count = way.receive(into);
    if (count == 0)
      throw migration_error{"the other host has closed the stream of the disk"};
    into = into.subspan(count);
  }
}

bool is_zero(std::span<const std::byte> x) {
  return std::ranges::all_of(x, [](auto each) { return each == std::byte{0}; });
}

std::uint64_t sum_of(std::span<const std::byte> x) {
  return is_zero(x) ? 0 : std::max<std::uint64_t>(1, kernels::checksum(x));
}

[[noreturn]] void fail_writing() {
  throw migration_error{std::string{"the disk of the target cannot be written: "} + std::strerror(errno)};
}

void write_all(int fd, std::span<const std::byte> bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const auto count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      fail_writing();
    at += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void write_zeros(int fd, std::uint64_t at, std::uint64_t size) {
  if (::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at), static_cast<off_t>(size)) ==
      0)
    return;
  static constexpr auto none = std::array<std::byte, block_size>{};
  write_all(fd, std::span{none}.first(size), at);
}

/// What the target says after each pass: nothing, or why it cannot go on.
void answer(channel& way, std::string_view trouble) {
  auto size = std::array<std::byte, 2>{};
  kernels::store(size.data(), static_cast<std::uint16_t>(std::min<std::size_t>(trouble.size(), 1000)));
  way.send(size);
  way.send(std::as_bytes(std::span{trouble}.first(std::min<std::size_t>(trouble.size(), 1000))));
}

void await_answer(channel& way) {
  auto size = std::array<std::byte, 2>{};
  receive_all(way, size);
  auto words = std::string(std::min<std::size_t>(kernels::load<std::uint16_t>(size.data()), 1000), '\0');
  receive_all(way, std::as_writable_bytes(std::span{words}));
  if (!words.empty())
    throw refusal{words};
}

} // namespace

disk_sender::disk_sender(channel& way, const disk_hello& hello, std::vector<std::filesystem::path> files) : way_{way} {
  for (auto& each : files)
    files_.push_back({.path = std::move(each)});
  auto head = std::array<std::byte, 24>{};
  std::ranges::copy(magic, head.begin());
  std::ranges::copy(hello.token, head.begin() + 4);
  kernels::store(head.data() + 20, hello.stream_count);
  kernels::store(head.data() + 22, static_cast<std::uint16_t>(files_.size()));
  way_.send(head);
}

void disk_sender::say(std::uint8_t kind, std::uint16_t number, std::uint64_t at, std::uint32_t size) {
  auto head = std::array<std::byte, head_size>{};
  head[0] = std::byte{kind};
  kernels::store(head.data() + 2, number);
  kernels::store(head.data() + 4, size);
  kernels::store(head.data() + 8, at);
  way_.send(head);
  bytes_ += head.size();
}

void disk_sender::send_file(std::uint16_t number, file& what, const std::stop_token& cancel) {
  const auto from = opened{what.path, O_RDONLY};
  struct stat about = {};
  if (::fstat(from.get(), &about) != 0)
    throw migration_error{"a disk of the guest cannot be looked at"};
  const auto size = static_cast<std::uint64_t>(about.st_size);
  say(resize, number, size, 0);
  what.size = size;
  what.sums.resize((size + block_size - 1) / block_size);
  auto block = std::vector<std::byte>(block_size);
  const auto send_block = [&](std::size_t index, std::span<const std::byte> bytes) {
    const auto sum = sum_of(bytes);
    if (std::exchange(what.sums[index], sum) == sum)
      return;
    say(sum == 0 ? zeros : data, number, index * block_size, static_cast<std::uint32_t>(bytes.size()));
    if (sum == 0)
      return;
    way_.send(bytes);
    bytes_ += bytes.size();
  };
  for (auto index = std::size_t{0}; index < what.sums.size(); ++index) {
    if (cancel.stop_requested())
      throw migration_error{"it was cancelled"};
    const auto at = index * block_size;
    const auto next = ::lseek(from.get(), static_cast<off_t>(at), SEEK_DATA);
    if (next < 0 && errno != ENXIO)
      throw migration_error{"a disk of the guest cannot be looked through"};
    // In a hole only what was something before is news.
    if (next < 0 || static_cast<std::uint64_t>(next) >= at + block_size) {
      const auto until = next < 0 ? what.sums.size() : static_cast<std::uint64_t>(next) / block_size;
      for (; index < until; ++index)
        if (what.sums[index] != 0)
          send_block(index, std::vector<std::byte>(std::min(block_size, size - index * block_size)));
      --index;
      continue;
    }
    const auto wanted = std::min(block_size, size - at);
    auto count = std::size_t{0};
    while (count < wanted) {
      const auto more = ::pread(from.get(), block.data() + count, wanted - count, static_cast<off_t>(at + count));
      if (more < 0 && errno == EINTR)
        continue;
      if (more <= 0)
        throw migration_error{"a disk of the guest cannot be read"};
      count += static_cast<std::size_t>(more);
    }
    send_block(index, std::span{block}.first(count));
  }
}

void disk_sender::send_pass(bool last, const std::stop_token& cancel) {
  for (auto i = std::size_t{0}; i < files_.size(); ++i)
    if (!files_[i].constant || !std::exchange(files_[i].sent, true))
      send_file(static_cast<std::uint16_t>(i), files_[i], cancel);
  say(last ? last_end : pass_end, 0, 0, 0);
  await_answer(way_);
}

disk_hello read_disk_hello(channel& way) {
  auto head = std::array<std::byte, 24>{};
  receive_all(way, head);
  if (!std::ranges::equal(std::span{head}.first(4), magic))
    throw migration_error{"who connected did not begin with the disk"};
  auto x = disk_hello{.stream_count = kernels::load<std::uint16_t>(head.data() + 20),
                      .file_count = kernels::load<std::uint16_t>(head.data() + 22)};
  std::ranges::copy(std::span{head}.subspan(4, 16), x.token.begin());
  return x;
}

namespace {

void take_passes(channel& way, const std::vector<std::filesystem::path>& names) {
  auto files = std::vector<std::unique_ptr<opened>>{};
  for (const auto& each : names) {
    files.push_back(std::make_unique<opened>(each, O_WRONLY));
    if (::ftruncate(files.back()->get(), 0) != 0)
      fail_writing();
  }
  auto block = std::vector<std::byte>(block_size);
  for (;;) {
    auto head = std::array<std::byte, head_size>{};
    receive_all(way, head);
    const auto what = static_cast<kind>(head[0]);
    const auto number = kernels::load<std::uint16_t>(head.data() + 2);
    const auto size = kernels::load<std::uint32_t>(head.data() + 4);
    const auto at = kernels::load<std::uint64_t>(head.data() + 8);
    if (what == pass_end || what == last_end) {
      // What the guest was told is on its disk is there too when it was decided that it runs here.
      for (const auto& each : files)
        if (::fdatasync(each->get()) != 0)
          fail_writing();
      answer(way, {});
      if (what == last_end)
        return;
      continue;
    }
    if (number >= files.size() || size > block_size || at > file_size_max)
      throw migration_error{"the stream of the disk is damaged"};
    const auto fd = files[number]->get();
    if (what == resize) {
      if (::ftruncate(fd, static_cast<off_t>(at)) != 0)
        fail_writing();
    } else if (what == zeros) {
      write_zeros(fd, at, size);
    } else if (what == data) {
      receive_all(way, std::span{block}.first(size));
      write_all(fd, std::span{block}.first(size), at);
    } else {
      throw migration_error{"the stream of the disk is damaged"};
    }
  }
}

} // namespace

void receive_disk(channel& way, const std::vector<std::filesystem::path>& files) {
  try {
    take_passes(way, files);
  } catch (const migration_error& problem) {
    try {
      answer(way, problem.what());
    } catch (const migration_error&) {
      // A source that cannot be told sees the end of the stream.
    }
    throw;
  }
}

} // namespace novacron::migration
