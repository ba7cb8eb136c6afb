#pragma once

/// What a cache keeps, and the one inside the process: the values that were used last, up to a number of bytes.

#include "messages/vocabulary.hpp"

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>

namespace novacron::cache {

struct item {
  std::string value;
  /// The ledger index that the value was derived from.
  std::uint64_t index = 0;
};

struct found {
  std::optional<item> what;
  /// There was one, but derived from before what was asked for.
  bool stale = false;
};

/// What is found may be used for somebody who has seen the ledger at `index_min`.
found judge(std::optional<item> kept, std::uint64_t index_min);

class embedded {
public:
  struct config {
    /// Of keys, values and what it takes to find them.
    std::size_t bytes_max = 32u << 20;
  };

  explicit embedded(config settings) : settings_{settings} {}

  found get(const std::string& key, std::uint64_t index_min, instant now);
  /// A value derived from an older index than the kept one is dropped. `life` 0 means until room is needed.
  void put(const std::string& key, item what, duration life, instant now);
  void erase(const std::string& key);

  std::size_t bytes() const { return bytes_; }
  std::size_t size() const { return kept_.size(); }

private:
  struct kept {
    std::string key;
    item what;
    std::optional<instant> end;
  };
  using place = std::list<kept>::iterator;

  void drop(place which);

  config settings_;
  /// Used last in front.
  std::list<kept> order_;
  std::map<std::string, place, std::less<>> kept_;
  std::size_t bytes_ = 0;
};

} // namespace novacron::cache
