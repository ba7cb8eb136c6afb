#include "actors/host/resolver.hpp"

#include "actors/host/files.hpp"
#include "actors/host/netlink.hpp"

#include <sstream>

namespace novacron::host {
namespace {

constexpr auto servers_max = std::size_t{3};
constexpr auto file_max = std::size_t{64 << 10};

/// Not on 127.0.0.0/8, and not "this host" (0.0.0.0).
bool is_beyond(const std::string& server) {
  const auto address = parse_ipv4(server);
  return address && address->address >> 24 != 127 && address->address != 0;
}

resolver read_resolver(const char* name) {
  return parse_resolver(read_file(name, file_max).value_or(""));
}

} // namespace

resolver parse_resolver(const std::string& text) {
  auto found = resolver{};
  auto in = std::istringstream{text};
  for (auto line = std::string{}; std::getline(in, line);) {
    auto words = std::istringstream{line};
    auto key = std::string{}, value = std::string{};
    words >> key >> value;
    if (key == "nameserver" && is_beyond(value) && found.servers.size() < servers_max)
      found.servers.push_back(value);
    else if ((key == "search" || key == "options") && !value.empty())
      found.lines.push_back(line);
  }
  return found;
}

resolver find_resolver() {
  auto found = read_resolver("/etc/resolv.conf");
  if (found.servers.empty())
    found.servers = read_resolver("/run/systemd/resolve/resolv.conf").servers;
  return found;
}

std::string to_text(const resolver& x) {
  auto text = std::string{};
  for (const auto& server : x.servers)
    text += "nameserver " + server + '\n';
  for (const auto& line : x.lines)
    text += line + '\n';
  return text;
}

} // namespace novacron::host
