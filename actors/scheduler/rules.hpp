#pragma once

/// Rules between workloads and nodes: expressions over labels, taints, and what tolerates them.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::scheduler {

using labels = std::map<std::string, std::string>;

/// What a label must be: one of `values`, none of them, there, not there, or a number above or below the one value.
struct label_rule {
  enum class relation : std::uint8_t { in, not_in, exists, absent, above, below };
  std::string key;
  relation is = relation::exists;
  std::vector<std::string> values;
};

/// What a taint does: lets nothing new in, only when there is no other node, or also moves off what is there.
enum class taint_effect : std::uint8_t { refuse, avoid, evict };

struct taint {
  std::string key;
  std::string value;
  taint_effect effect = taint_effect::refuse;

  friend bool operator==(const taint&, const taint&) = default;
};

/// An empty key, value or effect matches any.
struct toleration {
  std::string key;
  std::string value;
  std::string effect;
};

/// Whether the rule holds of these labels. One that is not there is in nothing and neither above nor below anything.
bool holds(const label_rule& x, const labels& of);
/// "gpu in a100, h100".
std::string in_words(const label_rule& x);

bool tolerates(const std::vector<toleration>& all, const taint& x);
/// "gpu=only".
std::string in_words(const taint& x);
std::string_view to_string(taint_effect x);
std::string_view to_string(label_rule::relation x);

} // namespace novacron::scheduler
