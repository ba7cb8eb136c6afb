#pragma once

/// The files that machines boot from: the distribution's kernel, first files with our agent, disks made of images.

#include "actors/workload/machine.hpp"
#include "actors/workload/outcome.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace novacron::workload {

/// What share/guest/prepare unpacked: `kernel`, `modules/KIND/*.ko`, `version`.
struct guest_kernel {
  std::filesystem::path directory;
  std::string version;
};
/// Looks at `wanted`; when that is empty, at $NOVACRON_GUEST, beside the running program and in /usr/lib/novacron/guest.
std::optional<guest_kernel> find_guest_kernel(const std::filesystem::path& wanted = {});

/// An archive that a kernel unpacks before anything runs: directories (empty content, name with '/' at the end) and
/// files that may be executed.
std::string initial_archive(const std::vector<std::pair<std::string, std::string>>& files);
/// The same with the agent as its first program and the modules of a kind of machine: what the agent needs to be spoken
/// to in `modules`, what it needs for disks and for a network each in a directory below.
std::string initial_files(const guest_kernel& kernel, bool small);

/// The disk inside an image of which a machine boots as it is: the one file in its directory `disk`.
struct whole_disk {
  std::filesystem::path file;
  machine_disk::layout format = machine_disk::layout::raw;
};
std::optional<whole_disk> whole_disk_in(const std::filesystem::path& root);

/// Makes `file` a file system with the content of `root` and room for `free_bytes` more. By way of another name, so that
/// it is whole if it is there. Throws std::system_error or std::runtime_error.
void make_image_disk(const std::filesystem::path& root, const std::filesystem::path& file, std::uint64_t free_bytes);

/// Makes `file` a disk whose content is that of `below` until it is written to; `size` 0 is the size of that.
/// Throws std::runtime_error.
void make_layer(const std::filesystem::path& below, machine_disk::layout format, const std::filesystem::path& file,
                std::uint64_t size);

/// Copies the files on the disk `from`, which nobody writes to meanwhile, to the directory `into`, by way of `whole`, a
/// file as large as the disk has content.
outcome<> copy_disk_files(const std::filesystem::path& from, const std::filesystem::path& whole,
                          const std::filesystem::path& into);

/// Makes `file` a read-only disk that cloud-init finds. Throws std::runtime_error.
void make_seed(const std::vector<std::pair<std::string, std::string>>& files, const std::filesystem::path& file);

} // namespace novacron::workload
