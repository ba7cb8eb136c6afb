#pragma once

/// Turns written settings into typed ones, and keeps a note of each problem and of each setting's place.

#include "actors/node/configuration.hpp"

#include <functional>
#include <limits>

namespace novacron::node {

class settings_reader {
public:
  using take = std::function<void(const written& value, const std::string& key)>;
  struct known {
    std::string name;
    take read;
  };

  std::vector<problem> problems;
  /// Where each setting that was read stands, by its full key.
  std::map<std::string, origin> places;

  void complain(const written& value, const std::string& key, std::string text);
  /// Reads the fields of a table; a field that is not among `all` is a problem.
  void table(const written& value, const std::string& key, const std::vector<known>& all);
  void list(const written& value, const std::string& key, const std::string& accepted, const take& each);

  take text(std::string& into, std::string accepted, std::function<bool(const std::string&)> fits);
  take one_of(std::string& into, std::vector<std::string> choices);
  take boolean(bool& into);
  take duration(std::chrono::milliseconds& into, std::chrono::milliseconds low, std::chrono::milliseconds high);
  take bytes(std::optional<std::uint64_t>& into, std::uint64_t low);
  take milli(std::optional<std::uint64_t>& into, std::uint64_t low, std::uint64_t high);
  take address(std::optional<endpoint>& into);
  /// A table of names to whatever `each` reads.
  take map(std::string accepted_names, std::function<bool(const std::string&)> name_fits, take each);

private:
  void note(const written& value, const std::string& key) { places[key] = value.from; }
};

/// "64MiB", "1.5GB", "4096"; nothing when it is no size.
std::optional<std::uint64_t> parse_size(std::string_view text);
/// "100ms", "30s", "10m", "24h", "7d"; nothing when it is no length of time.
std::optional<std::chrono::milliseconds> parse_span(std::string_view text);
std::string print_size(std::uint64_t bytes);
std::string print_span(std::chrono::milliseconds x);

} // namespace novacron::node
