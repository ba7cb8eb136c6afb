#include "actors/workload/machine_images.hpp"

#include "actors/host/files.hpp"
#include "actors/workload/image_digest.hpp"
#include "actors/workload/machine_driver.hpp"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include <fmt/format.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;

/// Room of a machine for what it writes, when it did not ask for any. It takes what it uses only.
constexpr auto usual_bytes = std::uint64_t{1} << 30;
/// Chosen: file systems without a machine that are kept, because the next start would make them again.
constexpr auto unused_max = std::size_t{8};

[[maybe_unused]] std::uint64_t nanoseconds() {
  auto now = timespec{};
  ::clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

/// The image store calls a directory by what is in it; of any other nobody knows that, or for how long.
std::string content_of(const fs::path& root) {
  const auto name = root.filename().string();
  return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == name.npos ? name : "";
}

} // namespace

std::string describe_processor() {
  const auto text = host::read_file("/proc/cpuinfo").value_or("");
  auto found = std::string{};
  for (const auto* key : {"model name", "flags"})
    if (const auto at = text.find(key); at != text.npos)
      found += text.substr(at, text.find('\n', at) - at) + "\n";
  return digest_of(found);
}

std::uint64_t measure_stamp_khz() {
#if defined(__x86_64__)
  const auto begin = nanoseconds();
  const auto first = __rdtsc();
  std::this_thread::sleep_for(std::chrono::milliseconds{20});
  const auto passed = nanoseconds() - begin;
  return (__rdtsc() - first) * 1'000'000 / std::max<std::uint64_t>(1, passed);
#else
  return 0;
#endif
}

machine_images::machine_images(const fs::path& data, const fs::path& guest)
    : directory_{data / "machine-images"}, kernel_{find_guest_kernel(guest)} {
  fs::create_directories(directory_);
  directory_ = fs::canonical(directory_);
  // What was being made when the node was killed; nobody makes anything yet.
  auto error = std::error_code{};
  auto halves = std::vector<fs::path>{};
  for (const auto& each : fs::directory_iterator{directory_})
    if (each.path().extension() == ".part")
      halves.push_back(each.path());
  for (const auto& each : halves)
    fs::remove(each, error);
}

machine_host machine_images::facts() {
  auto found = machine_host{.stamp_khz = measure_stamp_khz()};
  if (!kernel_)
    return found;
  found.kernel = kernel_->directory / "kernel";
  found.small_files = directory_ / "small.cpio";
  found.whole_files = directory_ / "whole.cpio";
  auto all = digester{};
  const auto add = [&](const std::string& bytes) { all.add(bytes.data(), bytes.size()); };
  for (const auto small : {true, false}) {
    const auto files = initial_files(*kernel_, small);
    host::replace_file(small ? found.small_files : found.whole_files, files);
    add(files);
  }
  add(fmt::format("{} {}", kernel_->version, fs::file_size(found.kernel)));
  found.guest = all.finish();
  return found;
}

void machine_images::make_root(const fs::path& directory, const image_root& image,
                               const std::optional<whole_disk>& whole, std::uint64_t bytes) {
  const auto root = directory / machine_root_file;
  if (fs::exists(root))
    return;
  const auto part = directory / "root.part";
  if (whole) {
    make_layer(whole->file, whole->format, part, bytes);
    return fs::rename(part, root);
  }
  const auto base = directory / machine_base_file;
  const auto room = bytes > 0 ? bytes : usual_bytes;
  const auto content = content_of(image.root);
  if (content.empty()) {
    make_image_disk(image.root, base, room);
  } else {
    const auto lock = std::lock_guard{guard_};
    const auto shared = directory_ / (content + "-" + std::to_string(room) + ".ext4");
    if (!fs::exists(shared))
      make_image_disk(image.root, shared, room);
    auto error = std::error_code{};
    fs::remove(base, error);
    fs::create_hard_link(shared, base);
    fs::last_write_time(shared, fs::file_time_type::clock::now());
  }
  // By its name alone: the directory may be moved.
  make_layer(machine_base_file, machine_disk::layout::raw, part, 0);
  fs::rename(part, root);
}

void machine_images::tidy() {
  const auto lock = std::lock_guard{guard_};
  auto unused = std::vector<std::pair<fs::file_time_type, fs::path>>{};
  for (const auto& each : fs::directory_iterator{directory_})
    if (each.path().extension() == ".ext4" && each.hard_link_count() == 1)
      unused.emplace_back(each.last_write_time(), each.path());
  std::ranges::sort(unused);
  auto error = std::error_code{};
  for (auto i = std::size_t{0}; i + unused_max < unused.size(); ++i)
    fs::remove(unused[i].second, error);
}

void make_empty_base(const fs::path& directory) {
  const auto base = directory / machine_base_file;
  if (!fs::exists(base))
    return;
  const auto size = fs::file_size(base);
  const auto part = directory / "base.part";
  host::replace_file(part, {});
  fs::resize_file(part, size);
  fs::rename(part, base);
}

std::vector<std::string> machine_lacks(const machine_settings& settings) {
  auto lacks = std::vector<std::string>{};
  if (const auto lack = settings.monitor->lack(); !lack.empty())
    lacks.push_back("no virtual machines and no sandboxes: " + lack);
  else if (!find_guest_kernel(settings.guest))
    lacks.emplace_back("no sandboxes: there is no kernel for guests (share/guest/prepare makes one)");
  return lacks;
}

} // namespace novacron::workload
