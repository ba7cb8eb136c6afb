#pragma once

/// The guest at either end of a migration, as the engine wants it: a seam, so that specs move memory without a machine.

#include "actors/migration/page_set.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>

namespace novacron::migration {

/// Where the guest runs. All functions may throw; then the attempt is over.
class source_guest {
public:
  virtual ~source_guest() = default;
  virtual std::span<const std::byte> memory() const = 0;
  /// Adds the pages that hold anything.
  virtual void add_populated(page_set& into) const = 0;
  /// When this returns, nothing writes to the memory any more.
  virtual void stop() = 0;
  /// The guest goes on as if it had not been stopped, whatever has happened to its state since then.
  virtual void resume() = 0;
  /// Gives the state of all devices, but not the memory, to `take` in pieces. The guest is stopped and stays so.
  virtual void save(const std::function<void(std::span<const std::byte>)>& take) = 0;
};

/// Where it shall run.
class target_guest {
public:
  virtual ~target_guest() = default;
  virtual std::span<std::byte> memory() const = 0;
  /// Makes all memory zero.
  virtual void clear() = 0;
  /// Writes whole pages that were not written to since then, if there is a cheaper way than memory().
  virtual void fill(std::size_t offset, std::span<const std::byte> pages) {
    std::ranges::copy(pages, memory().subspan(offset).begin());
  }
  /// With all memory in place: takes the devices' state. The guest could run now, and does not.
  virtual void load(std::span<const std::byte> state) = 0;
  /// The guest runs when this returns.
  virtual void run() = 0;
  /// Forgets the guest: after this it does not run here. Called in any state but after run().
  virtual void discard() noexcept = 0;
};

} // namespace novacron::migration
