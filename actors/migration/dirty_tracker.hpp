#pragma once

/// Which pages a guest has written to: a seam, so that specs write without a guest.

#include "actors/migration/page_set.hpp"

namespace novacron::migration {

class dirty_tracker {
public:
  virtual ~dirty_tracker() = default;
  /// Adds the pages that were written to since the last call and forgets them, in one step for each page: no write is
  /// between two calls. The first call only begins, and adds nothing of use. Throws std::system_error.
  virtual void collect(page_set& into) = 0;
};

} // namespace novacron::migration
