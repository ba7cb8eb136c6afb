#pragma once

/// How much of what was written to a file is certain to stay on the disk.

#include <cstdint>

namespace novacron::workload {

/// One sync at a time, however slow the disk is; what is written meanwhile needs one more.
class settling {
public:
  /// The number of what is in the file. What a former life wrote may not be settled.
  std::uint64_t written() const { return written_; }
  bool settled(std::uint64_t number) const { return number <= settled_; }
  /// It has to be written once more: after a failed sync the kernel forgets what it could not write, and a later one
  /// succeeds without it.
  bool lost() const { return lost_; }

  void wrote() {
    ++written_;
    lost_ = false;
  }
  void lose() { lost_ = true; }
  /// Whether a sync shall begin; `ended` has to follow.
  bool begin() {
    if (under_way_ || settled(written_))
      return false;
    under_way_ = true;
    begun_ = written_;
    return true;
  }
  void ended(bool good) {
    under_way_ = false;
    if (good)
      settled_ = begun_;
    else
      lost_ = true;
  }

private:
  std::uint64_t written_ = 1;
  std::uint64_t settled_ = 0;
  std::uint64_t begun_ = 0;
  bool under_way_ = false;
  bool lost_ = false;
};

} // namespace novacron::workload
