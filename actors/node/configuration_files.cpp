#include "actors/host/secure_file.hpp"
#include "actors/node/configuration.hpp"

#include <unistd.h>

#include <cstdlib>
#include <system_error>

namespace novacron::node {
namespace {

std::filesystem::path home_below(const char* variable, const char* usual) {
  if (const auto* given = std::getenv(variable); given != nullptr && *given == '/')
    return given;
  const auto* home = std::getenv("HOME");
  return std::filesystem::path{home == nullptr || *home == '\0' ? "/" : home} / usual;
}

std::map<std::string, std::string> own_environment() {
  auto all = std::map<std::string, std::string>{};
  for (auto** one = ::environ; one != nullptr && *one != nullptr; ++one) {
    const auto text = std::string_view{*one};
    const auto equals = text.find('=');
    if (text.starts_with("NOVACRON_") && equals != text.npos)
      all.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return all;
}

layer layer_from_file(const std::filesystem::path& path, bool required) {
  const auto complaint = [&](std::string text) {
    return layer{.settings = {.is = written::kind::table}, .problems = {{{path.string()}, {}, {}, std::move(text)}}};
  };
  try {
    const auto text = host::read_small_file(path, (1u << 20) + 1);
    if (text)
      return layer_from_toml(path.string(), *text);
    return required ? complaint("there is no such file") : layer{.settings = {.is = written::kind::table}};
  } catch (const std::system_error& error) {
    return complaint(error.code().message());
  }
}

} // namespace

std::vector<layer> usual_layers(const std::map<std::string, std::string>& flags,
                                const std::filesystem::path& config_file) {
  return {layer_from_flags(flags), layer_from_environment(own_environment()),
          layer_from_file(config_file.empty() ? "nodes.toml" : config_file, !config_file.empty()),
          layer_from_file(home_below("XDG_CONFIG_HOME", ".config") / "novacron" / "nodes.toml", false),
          layer_from_file("/etc/novacron/nodes.toml", false)};
}

std::filesystem::path usual_data_root() {
  // Where commands look for a fabric, too: one variable moves all that this machine keeps.
  if (const auto* given = std::getenv("NOVACRON_STATE"); given != nullptr && *given != '\0')
    return std::filesystem::absolute(given);
  return ::geteuid() == 0 ? "/var/lib/novacron" : home_below("XDG_STATE_HOME", ".local/state") / "novacron";
}

} // namespace novacron::node
