#include "actors/state/ledger_server.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <functional>
#include <map>
#include <string_view>

namespace novacron::ledger {
namespace {

bool read_number(const std::string& text, std::uint64_t& into) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
  return problem == std::errc{} && end == text.data() + text.size();
}

} // namespace

std::vector<std::string> arguments_of(const server_options& o) {
  return {"--node=" + o.node,
          "--address=" + o.address,
          "--directory=" + o.directory.string(),
          "--socket=" + o.socket.string(),
          "--trust=" + o.trust.string(),
          "--bootstrap=" + std::to_string(o.bootstrap ? 1 : 0),
          "--election-ms=" + std::to_string(o.election_ms),
          "--heartbeat-ms=" + std::to_string(o.heartbeat_ms),
          "--snapshot-entries=" + std::to_string(o.snapshot_entries),
          "--free-bytes-min=" + std::to_string(o.free_bytes_min),
          "--segment-bytes=" + std::to_string(o.segment_bytes)};
}

int ledger_server_main(int argc, char** argv) {
  auto given = std::map<std::string, std::string, std::less<>>{};
  for (auto i = 1; i < argc; ++i) {
    const auto text = std::string_view{argv[i]};
    const auto equals = text.find('=');
    if (!text.starts_with("--") || equals == text.npos) {
      std::fprintf(stderr, "ledger-server: %s is not understood\n", argv[i]);
      return 2;
    }
    given[std::string{text.substr(2, equals - 2)}] = text.substr(equals + 1);
  }
  auto options = server_options{};
  auto take = [&](std::string_view name, auto& into) {
    const auto found = given.find(name);
    if (found == given.end())
      return true;
    using type = std::remove_reference_t<decltype(into)>;
    auto good = true;
    if constexpr (std::is_integral_v<type>) {
      auto number = std::uint64_t{0};
      good = read_number(found->second, number);
      into = static_cast<type>(number);
    } else {
      into = found->second;
    }
    given.erase(found);
    return good;
  };
  // Each of them, so that what is left was not known.
  const auto all = {take("node", options.node),
                    take("address", options.address),
                    take("directory", options.directory),
                    take("socket", options.socket),
                    take("trust", options.trust),
                    take("bootstrap", options.bootstrap),
                    take("election-ms", options.election_ms),
                    take("heartbeat-ms", options.heartbeat_ms),
                    take("snapshot-entries", options.snapshot_entries),
                    take("free-bytes-min", options.free_bytes_min),
                    take("segment-bytes", options.segment_bytes)};
  const auto good = std::ranges::all_of(all, std::identity{});
  if (!good || !given.empty() || options.node.empty() || options.directory.empty() || options.socket.empty()) {
    std::fprintf(stderr, "ledger-server: --node, --directory and --socket are needed%s%s\n",
                 given.empty() ? "" : "; unknown: --", given.empty() ? "" : given.begin()->first.c_str());
    return 2;
  }
  return ledger_server_main(options);
}

} // namespace novacron::ledger
