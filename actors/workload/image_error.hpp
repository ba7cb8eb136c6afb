#pragma once

/// Why an image is refused.

#include <stdexcept>
#include <string>

namespace novacron::workload {

enum class image_problem {
  /// There is no image of that name or digest.
  not_found,
  /// What it is made of is not what it says it is: a digest or size is wrong, a file is missing or malformed.
  corrupt,
  /// It tries what no honest image does: leaves its root, or is larger than allowed.
  hostile,
  /// What was asked for makes no sense: a name that is none, a path that is no image.
  bad_request,
  /// The image is for another kind of machine, or compressed in a way we do not read.
  unsupported,
  /// The disk is full or failed.
  storage,
};

/// `what()` names the blob, file or entry at fault.
struct image_error : std::runtime_error {
  image_error(image_problem kind, const std::string& text) : std::runtime_error{text}, problem{kind} {}
  image_problem problem;
};

/// A failed system call as an image_error, by `errno`: no space, quota and I/O errors are `storage`, as is the rest.
image_error storage_error(const std::string& what, int code);

} // namespace novacron::workload
