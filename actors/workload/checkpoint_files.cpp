#include "actors/workload/checkpoint_files.hpp"

#include "actors/host/files.hpp"
#include "actors/workload/machine_plan.hpp"
#include "kernels/checksum.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <span>
#include <system_error>
#include <vector>

#include <nlohmann/json.hpp>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;

constexpr auto block_bytes = std::size_t{1} << 20;
constexpr auto facts_bytes_max = std::size_t{4} << 20;
constexpr auto facts_file = "checkpoint";

/// In the directory of a machine: the files of the checkpoint, and, written last, whose they are.
constexpr auto planted_state = "restore.state";
constexpr auto planted_root = "restore.root";
constexpr auto planted_base = "restore.base";
constexpr auto planted_mark = "restore";

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error{errno, std::system_category(), what};
}

std::uint64_t sum_of(const fs::path& name) {
  const auto file = open_file(name, O_RDONLY);
  auto block = std::vector<std::byte>(block_bytes);
  auto sum = std::uint64_t{0};
  for (auto filled = std::size_t{0};;) {
    const auto count = ::read(file.get(), block.data() + filled, block.size() - filled);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      fail("cannot read " + name.string());
    filled += static_cast<std::size_t>(count);
    // Always the same blocks, however much is read at a time.
    if (filled == block.size() || (count == 0 && filled > 0)) {
      sum = kernels::checksum(std::span{block}.first(filled), sum + filled);
      filled = 0;
    }
    if (count == 0)
      return sum;
  }
}

void settle(const fs::path& name) {
  const auto file = open_file(name, O_RDONLY);
  if (::fsync(file.get()) != 0)
    fail("cannot bring " + name.string() + " to the disk");
}

void copy_range(int from, int to, off_t at, off_t end) {
  auto out = at;
  while (at < end) {
    const auto count = ::copy_file_range(from, &at, to, &out, static_cast<std::size_t>(end - at), 0);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      fail("cannot copy a disk");
    if (count == 0)
      return;
  }
}

/// Both are the same file from then on.
void link_anew(const fs::path& from, const fs::path& to) {
  fs::remove(to);
  fs::create_hard_link(from, to);
}

template <class Bytes>
std::string digits_for(const Bytes& bytes) {
  constexpr auto digits = "0123456789abcdef";
  auto text = std::string{};
  for (const unsigned char each : bytes) {
    text += digits[each >> 4];
    text += digits[each & 15];
  }
  return text;
}

std::string bytes_from(const std::string& digits) {
  auto bytes = std::string{};
  for (auto i = std::size_t{0}; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

} // namespace

std::uint64_t allocated_bytes(const fs::path& file) {
  struct stat facts = {};
  return ::stat(file.c_str(), &facts) == 0 ? static_cast<std::uint64_t>(facts.st_blocks) * 512 : 0;
}

void copy_disk(const fs::path& from, const fs::path& to) {
  const auto source = open_file(from, O_RDONLY);
  const auto target = open_file(to, O_WRONLY | O_CREAT | O_TRUNC);
  if (::ioctl(target.get(), FICLONE, source.get()) == 0)
    return;
  struct stat facts = {};
  if (::fstat(source.get(), &facts) != 0 || ::ftruncate(target.get(), facts.st_size) != 0)
    fail("cannot make a copy of a disk");
  for (auto at = off_t{0}; (at = ::lseek(source.get(), at, SEEK_DATA)) >= 0;) {
    const auto end = ::lseek(source.get(), at, SEEK_HOLE);
    copy_range(source.get(), target.get(), at, end);
    at = end;
  }
  // ENXIO: nothing but a hole follows.
  if (errno != ENXIO)
    fail("cannot read a disk");
}

void write_checkpoint(const fs::path& directory, checkpoint_facts& facts) {
  const auto state = directory / checkpoint_state_file;
  const auto root = directory / machine_root_file;
  facts.state_sum = sum_of(state);
  facts.disk_sum = sum_of(root);
  facts.shown.set_size_bytes(allocated_bytes(state) + allocated_bytes(root));
  settle(state);
  settle(root);
  const auto& x = facts;
  const auto text = json{{"shown", digits_for(x.shown.SerializeAsString())},
                         {"tenant", x.ground.tenant},
                         {"monitor", x.ground.monitor},
                         {"processor", x.ground.processor},
                         {"guest", x.ground.guest},
                         {"shape", x.shape},
                         {"stamp_khz", x.stamp_khz},
                         {"state", x.state_sum},
                         {"disk", x.disk_sum}};
  host::replace_file(directory / facts_file, text.dump(1) + "\n", true);
}

std::optional<checkpoint_facts> read_checkpoint(const fs::path& directory) {
  const auto text = host::read_file(directory / facts_file, facts_bytes_max);
  const auto x = text ? json::parse(*text, nullptr, false) : json{};
  try {
    auto found = checkpoint_facts{};
    x.at("tenant").get_to(found.ground.tenant);
    x.at("monitor").get_to(found.ground.monitor);
    x.at("processor").get_to(found.ground.processor);
    x.at("guest").get_to(found.ground.guest);
    x.at("shape").get_to(found.shape);
    x.at("stamp_khz").get_to(found.stamp_khz);
    x.at("state").get_to(found.state_sum);
    x.at("disk").get_to(found.disk_sum);
    if (!found.shown.ParseFromString(bytes_from(x.at("shown").get<std::string>())))
      return {};
    return found;
  } catch (const std::exception&) {
    // Whatever is in that file, it is not what was written there.
    return {};
  }
}

std::string find_damage(const fs::path& directory, const checkpoint_facts& facts) {
  try {
    if (sum_of(directory / checkpoint_state_file) != facts.state_sum)
      return "its memory is not what was written down";
    if (sum_of(directory / machine_root_file) != facts.disk_sum)
      return "its disk is not what was written down";
    if (!fs::exists(directory / machine_base_file))
      return "the disk of its image is gone";
  } catch (const std::system_error& problem) {
    return problem.what();
  }
  return {};
}

void plant_checkpoint(const fs::path& directory, const checkpoint_facts& facts, const fs::path& place) {
  fs::remove(place / planted_mark);
  link_anew(directory / checkpoint_state_file, place / planted_state);
  link_anew(directory / machine_root_file, place / planted_root);
  link_anew(directory / machine_base_file, place / planted_base);
  host::replace_file(place / planted_mark, facts.shown.name() + "\n" + facts.shown.instance() + "\n");
}

std::optional<planted_checkpoint> planted_in(const fs::path& place) {
  const auto text = host::read_file(place / planted_mark);
  const auto first = text ? text->find('\n') : std::string::npos;
  const auto second = first != std::string::npos ? text->find('\n', first + 1) : std::string::npos;
  if (second == std::string::npos)
    return {};
  return planted_checkpoint{text->substr(0, first), text->substr(first + 1, second - first - 1)};
}

descriptor begin_from_planted(const fs::path& place) {
  auto state = open_file(place / planted_state, O_RDONLY);
  const auto part = place / "root.part";
  copy_disk(place / planted_root, part);
  link_anew(place / planted_base, place / machine_base_file);
  fs::rename(part, place / machine_root_file);
  return state;
}

void forget_planted(const fs::path& place) {
  auto error = std::error_code{};
  // Without the mark nothing begins from the rest.
  for (const auto* each : {planted_mark, planted_state, planted_root, planted_base})
    fs::remove(place / each, error);
}

} // namespace novacron::workload
