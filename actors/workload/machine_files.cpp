#include "actors/workload/machine_files.hpp"

#include "actors/host/files.hpp"
#include "actors/host/process.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

extern "C" const char novacron_guest_begin[];
extern "C" const char novacron_guest_end[];

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;

/// Chosen: an image of tens of GiB is copied in that time also on a slow disk.
constexpr auto tool_patience = std::chrono::minutes{20};

void run_tool(std::vector<std::string> words, const char* package) {
  const auto name = words.front();
  try {
    const auto done = host::run({.argv = std::move(words)}, tool_patience);
    if (done.how.code != 0)
      throw std::runtime_error{name + " failed: " + (done.timed_out ? "it took too long" : done.err)};
  } catch (const std::system_error&) {
    throw std::runtime_error{fmt::format("{} is not installed (apt-get install {})", name, package)};
  }
}

/// Header of the "newc" format of cpio: numbers of eight hexadecimal digits.
std::string entry_header(std::size_t number, unsigned mode, std::size_t size, std::size_t name_size) {
  auto text = std::string{"070701"};
  for (const auto x : {number, std::size_t{mode}, std::size_t{0}, std::size_t{0}, std::size_t{1}, std::size_t{0}, size,
                       std::size_t{0}, std::size_t{0}, std::size_t{0}, std::size_t{0}, name_size + 1, std::size_t{0}})
    text += fmt::format("{:08x}", x);
  return text;
}

void pad(std::string& x) {
  x.resize((x.size() + 3) / 4 * 4);
}

/// Of the names of modules in the order to load them in, those that are for disks, or those that are not.
std::vector<fs::path> modules_in(const fs::path& from, bool for_disks) {
  auto names = std::vector<fs::path>{};
  for (const auto& each : fs::directory_iterator{from})
    if (each.path().filename().string().ends_with("virtio_blk.ko") == for_disks)
      names.push_back(each.path());
  std::ranges::sort(names);
  return names;
}

void add_modules(std::vector<std::pair<std::string, std::string>>& files, const std::vector<fs::path>& from,
                 const std::string& to) {
  files.emplace_back(to + "/", "");
  for (const auto& each : from)
    files.emplace_back(to + "/" + each.filename().string(), host::read_file(each).value_or(""));
}

std::uint64_t content_bytes(const fs::path& root) {
  auto sum = std::uint64_t{0};
  constexpr auto block = std::uint64_t{4096};
  for (const auto& each : fs::recursive_directory_iterator{root})
    sum += each.is_regular_file() && !each.is_symlink() ? (each.file_size() / block + 1) * block : block;
  return sum;
}

} // namespace

std::optional<guest_kernel> find_guest_kernel(const fs::path& wanted) {
  auto places = std::vector<fs::path>{};
  auto error = std::error_code{};
  if (!wanted.empty()) {
    places.push_back(wanted);
  } else {
    if (const auto* told = std::getenv("NOVACRON_GUEST"); told != nullptr && *told != 0)
      places.emplace_back(told);
    const auto program = fs::read_symlink("/proc/self/exe", error).parent_path();
    // Programs of the build lie one or two folders below the place where bootstrap puts it.
    for (const auto& each : {program, program.parent_path(), program.parent_path().parent_path()})
      places.push_back(each / "guest");
    places.emplace_back("/usr/lib/novacron/guest");
  }
  for (const auto& each : places)
    if (const auto version = host::read_file(each / "version"); version && fs::exists(each / "kernel", error))
      return guest_kernel{fs::canonical(each), version->substr(0, version->find('\n'))};
  return {};
}

std::string initial_archive(const std::vector<std::pair<std::string, std::string>>& files) {
  auto all = std::string{};
  auto number = std::size_t{0};
  const auto add = [&](const std::string& name, unsigned mode, const std::string& content) {
    all += entry_header(++number, mode, content.size(), name.size()) + name + '\0';
    pad(all);
    all += content;
    pad(all);
  };
  for (const auto& [name, content] : files) {
    const auto directory = name.ends_with('/');
    add(directory ? name.substr(0, name.size() - 1) : name, directory ? 0040755 : 0100755, content);
  }
  add("TRAILER!!!", 0, "");
  return all;
}

std::string initial_files(const guest_kernel& kernel, bool small) {
  auto files = std::vector<std::pair<std::string, std::string>>{{"dev/", ""},
                                                                {"init", {novacron_guest_begin, novacron_guest_end}}};
  const auto own = kernel.directory / "modules" / (small ? "mmio" : "pci");
  add_modules(files, modules_in(own, false), "modules");
  add_modules(files, modules_in(own, true), "modules/disk");
  add_modules(files, modules_in(kernel.directory / "modules" / "network", false), "modules/network");
  return initial_archive(files);
}

std::optional<whole_disk> whole_disk_in(const fs::path& root) {
  auto error = std::error_code{};
  auto found = std::vector<fs::path>{};
  for (const auto& each : fs::directory_iterator{root / "disk", error})
    if (each.is_regular_file() && !each.is_symlink())
      found.push_back(each.path());
  if (found.size() != 1)
    return {};
  const auto layered = host::read_file(found.front(), 4).value_or("") == "QFI\xfb";
  return whole_disk{found.front(), layered ? machine_disk::layout::layered : machine_disk::layout::raw};
}

void make_image_disk(const fs::path& root, const fs::path& file, std::uint64_t free_bytes) {
  const auto part = fs::path{file.string() + ".part"};
  auto error = std::error_code{};
  fs::remove(part, error);
  const auto content = content_bytes(root);
  // An eighth for the tables of the file system.
  const auto kib = (content + content / 8 + free_bytes + (32u << 20)) / 1024;
  run_tool({"mke2fs", "-q", "-F", "-t", "ext4", "-d", root, "-m", "0", "-J", "size=4", "-E",
            "root_owner=0:0,lazy_itable_init=1,nodiscard", "-O", "^orphan_file,^metadata_csum_seed", part,
            fmt::format("{}k", kib)},
           "e2fsprogs");
  fs::rename(part, file);
}

void make_layer(const fs::path& below, machine_disk::layout format, const fs::path& file, std::uint64_t size) {
  auto words = std::vector<std::string>{"qemu-img", "create", "-q",
                                        "-f",       "qcow2",  "-b",
                                        below,      "-F",     format == machine_disk::layout::layered ? "qcow2" : "raw",
                                        file};
  if (size > 0)
    words.push_back(std::to_string(size));
  run_tool(std::move(words), "qemu-utils");
}

outcome<> copy_disk_files(const fs::path& from, const fs::path& whole, const fs::path& into) {
  // Its own program reads the disk, not this kernel: what a guest has written must not be mounted here. The machine has
  // it open, and stands still.
  run_tool({"qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", from, whole}, "qemu-utils");
  const auto copied =
      host::run({.argv = {"debugfs", "-R", fmt::format("rdump / \"{}\"", into.string()), whole}}, tool_patience);
  if (copied.how.code != 0 || copied.timed_out || fs::is_empty(into))
    return trouble{fault::storage, "the files on its disk cannot be copied: " + copied.err};
  auto error = std::error_code{};
  fs::remove_all(into / "lost+found", error);
  return nothing{};
}

void make_seed(const std::vector<std::pair<std::string, std::string>>& files, const fs::path& file) {
  const auto out = std::unique_ptr<archive, decltype(&archive_write_free)>{archive_write_new(), archive_write_free};
  const auto check = [&](int code) {
    if (code < ARCHIVE_WARN)
      throw std::runtime_error{fmt::format("cannot write {}: {}", file.string(), archive_error_string(out.get()))};
  };
  check(archive_write_set_format_iso9660(out.get()));
  check(archive_write_set_options(out.get(), "volume-id=cidata,rockridge=useful,joliet"));
  check(archive_write_open_filename(out.get(), file.c_str()));
  for (const auto& [name, content] : files) {
    const auto entry =
        std::unique_ptr<archive_entry, decltype(&archive_entry_free)>{archive_entry_new(), archive_entry_free};
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    check(archive_write_header(out.get(), entry.get()));
    if (archive_write_data(out.get(), content.data(), content.size()) != static_cast<la_ssize_t>(content.size()))
      check(ARCHIVE_FATAL);
  }
  check(archive_write_close(out.get()));
}

} // namespace novacron::workload
