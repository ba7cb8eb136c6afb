// Feeds arbitrary bytes to the configuration as nodes.toml, and as the value of every flag.

#include "actors/node/configuration.hpp"

#include <cstdlib>

namespace node = novacron::node;

namespace {

/// What was accepted must hold what the rest of the program relies on.
void check(const node::resolved& x) {
  if (!x.problems.empty())
    return;
  for (const auto& one : x.settings.nodes)
    if (one.name.empty() || one.role.empty() || !one.data_dir.is_absolute() || (one.listen && one.listen->port == 0) ||
        (!one.is_controller() && one.ledger))
      std::abort();
  if (x.settings.self && *x.settings.self >= x.settings.nodes.size())
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, std::size_t count) {
  const auto text = std::string{reinterpret_cast<const char*>(bytes), count};
  const auto file = node::layer_from_toml("nodes.toml", text);
  const auto once = node::resolve({file}, "/data");
  check(once);
  for (const auto& one : once.problems)
    if (node::to_string(one).empty())
      std::abort();
  if (node::resolve({file}, "/data").problems.size() != once.problems.size())
    std::abort();
  constexpr auto flag_length_max = std::size_t{64};
  if (count > flag_length_max)
    return 0;
  auto flags = std::map<std::string, std::string>{};
  for (const auto& [key, variable] : node::single_settings())
    flags[key] = text;
  check(node::resolve({node::layer_from_flags(flags)}, "/data"));
  return 0;
}
