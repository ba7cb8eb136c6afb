// The stream of a disk on the move: whatever comes, the target's files are what the frames before the first wrong one
// say and nothing else; the source takes any answer; and what a source sends is the same at the other end.

#include "actors/migration/channel.hpp"
#include "actors/migration/disk_stream.hpp"
#include "kernels/page.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace novacron::migration;

constexpr auto file_count = std::size_t{2};
constexpr auto head_size = std::size_t{16};
constexpr auto block_size = std::size_t{64} << 10;
/// Files that grow beyond this are not compared.
constexpr auto compared_max = std::uint64_t{1} << 20;

void must(bool holds) {
  if (!holds)
    std::abort();
}

/// Gives bytes in pieces, and keeps what is sent; once they are used up, the answers that all is well.
class fuzzed_way final : public channel {
public:
  fuzzed_way(std::span<const std::byte> bytes, std::size_t piece, bool agrees = false)
      : rest_{bytes}, piece_{piece}, agrees_{agrees} {}
  void send(std::span<const std::byte> bytes) override { sent.insert(sent.end(), bytes.begin(), bytes.end()); }
  std::size_t receive(std::span<std::byte> into) override {
    if (rest_.empty() && agrees_) {
      std::ranges::fill(into, std::byte{});
      return into.size();
    }
    const auto count = std::min({rest_.size(), into.size(), piece_});
    std::ranges::copy(rest_.first(count), into.begin());
    rest_ = rest_.subspan(count);
    return count;
  }
  bool readable() override { return true; }
  void close() noexcept override {}

  std::vector<std::byte> sent;

private:
  std::span<const std::byte> rest_;
  std::size_t piece_;
  bool agrees_;
};

/// A file in memory that has a name.
class paper {
public:
  paper() : fd_{::memfd_create("disk", MFD_CLOEXEC)} {}
  std::filesystem::path name() const { return "/proc/self/fd/" + std::to_string(fd_); }
  std::uint64_t size() const {
    struct stat x = {};
    must(::fstat(fd_, &x) == 0);
    return static_cast<std::uint64_t>(x.st_size);
  }
  void resize(std::uint64_t size) const { must(::ftruncate(fd_, static_cast<off_t>(size)) == 0); }
  void write(std::span<const std::byte> bytes, std::uint64_t at) const {
    must(::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at)) == static_cast<ssize_t>(bytes.size()));
  }
  std::string content() const {
    auto text = std::string(size(), '\0');
    must(::pread(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    return text;
  }

private:
  int fd_;
};

/// What the files are after all frames up to the first that is wrong; none where they grow too large to say.
std::optional<std::array<std::string, file_count>> model_of(std::span<const std::byte> bytes) {
  auto files = std::array<std::string, file_count>{};
  while (bytes.size() >= head_size) {
    const auto kind = std::to_integer<int>(bytes[0]);
    const auto number = novacron::kernels::load<std::uint16_t>(bytes.data() + 2);
    const auto size = novacron::kernels::load<std::uint32_t>(bytes.data() + 4);
    const auto at = novacron::kernels::load<std::uint64_t>(bytes.data() + 8);
    bytes = bytes.subspan(head_size);
    if (kind == 5)
      break;
    if (kind == 4)
      continue;
    if (kind < 1 || kind > 3 || number >= file_count || size > block_size || at > std::uint64_t{1} << 46)
      break;
    auto& file = files[number];
    if (at > compared_max)
      return {};
    if (kind == 1) {
      file.resize(at);
    } else if (kind == 3) {
      if (at < file.size())
        std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(at), std::min<std::size_t>(size, file.size() - at), '\0');
    } else {
      if (bytes.size() < size)
        break;
      if (size > 0)
        file.resize(std::max<std::size_t>(file.size(), at + size));
      std::memcpy(file.data() + at * (size > 0), bytes.data(), size);
      bytes = bytes.subspan(size);
    }
  }
  return files;
}

const std::array<paper, file_count>& papers() {
  static const auto all = std::array<paper, file_count>{};
  return all;
}

void take(std::span<const std::byte> stream, std::size_t piece) {
  auto names = std::vector<std::filesystem::path>{};
  for (const auto& each : papers())
    names.push_back(each.name());
  auto way = fuzzed_way{stream, piece};
  try {
    receive_disk(way, names);
  } catch (const migration_error&) {
    // What came before it was wrong is there.
  }
  if (const auto wanted = model_of(stream))
    for (auto i = std::size_t{0}; i < file_count; ++i)
      must(papers()[i].content() == (*wanted)[i]);
}

/// A disk that changes between two passes is the same there after the second.
void send_and_take(std::span<const std::byte> bytes) {
  static const auto ours = paper{};
  const auto at = [&](std::size_t i) { return std::to_integer<std::uint64_t>(bytes[i]) << 12; };
  ours.resize(0);
  ours.resize(at(0));
  ours.write(bytes, at(1));
  auto way = fuzzed_way{{}, 1, true};
  auto sender = disk_sender{way, {.file_count = 1}, {ours.name()}};
  sender.send_pass(false, {});
  ours.resize(at(2));
  ours.write(bytes.last(bytes.size() / 2), at(3));
  sender.send_pass(true, {});
  auto back = fuzzed_way{way.sent, 1000};
  must(read_disk_hello(back).file_count == 1);
  receive_disk(back, {papers()[0].name()});
  must(papers()[0].content() == ours.content());
}

} // namespace

/// A byte says in which pieces the rest comes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8 || size > 1 << 16)
    return 0;
  const auto bytes = std::as_bytes(std::span{data, size});
  const auto stream = bytes.subspan(1);
  take(stream, std::size_t{1} + data[0] * std::size_t{data[0]});
  send_and_take(bytes);
  auto way = fuzzed_way{stream, std::size_t{1} + data[0]};
  try {
    read_disk_hello(way);
    static const auto none = paper{};
    disk_sender{way, {}, {none.name()}}.send_pass(false, {});
  } catch (const migration_error&) {
    // No hello, or a target that says what is wrong.
  }
  return 0;
}
