#pragma once

/// The disks of machines, made of images once and shared by all that use them.

#include "actors/workload/driver.hpp"
#include "actors/workload/machine_files.hpp"
#include "actors/workload/machine_plan.hpp"

#include <mutex>

namespace novacron::workload {

/// Functions may be called from any thread; they block for as long as copying an image takes.
class machine_images {
public:
  /// Keeps what it makes in `<data>/machine-images/`.
  machine_images(const std::filesystem::path& data, const std::filesystem::path& guest);

  [[nodiscard]] bool has_kernel() const { return kernel_.has_value(); }
  /// The kernel and the first files (which it makes), and the rate of the processor's time stamps.
  machine_host facts();

  /// Makes `root.disk` in the machine's directory, if it is not there: over the disk inside the image if it is a `whole`
  /// one, else over a file system made of the image. `bytes` is the size that was asked for; 0 for the usual.
  void make_root(const std::filesystem::path& directory, const image_root& image, const std::optional<whole_disk>& whole,
                 std::uint64_t bytes);

  /// Deletes file systems that no machine uses, but for the latest few.
  void tidy();

private:
  std::filesystem::path directory_;
  std::optional<guest_kernel> kernel_;
  std::mutex guard_;
};

/// What of the processor decides what a guest may do, also where it has the one of the host.
std::string describe_processor();

/// How many time stamps of the processor pass in a millisecond; 0 where there are none. Takes 20 ms.
std::uint64_t measure_stamp_khz();

/// Puts an empty file of the same size in the place of the image's disk, which others have as well; its content is to
/// come from elsewhere. Throws std::system_error.
void make_empty_base(const std::filesystem::path& directory);

} // namespace novacron::workload
