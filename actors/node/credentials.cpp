#include "actors/node/credentials.hpp"

#include "actors/host/log.hpp"
#include "actors/host/secure_file.hpp"
#include "actors/host/tls.hpp"
#include "actors/node/authority.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <sstream>
#include <system_error>

namespace novacron::node {
namespace {

std::string must_read(const std::filesystem::path& path) {
  auto content = host::read_small_file(path);
  if (!content)
    throw std::system_error{ENOENT, std::system_category(), "cannot open " + path.string()};
  return std::move(*content);
}

/// A directory that only its owner may look into.
void make_directory(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path))
    return;
  std::filesystem::create_directories(path);
  ::chmod(path.c_str(), 0700);
}

std::filesystem::path deny_file(const std::filesystem::path& directory) {
  return directory / "denied";
}

} // namespace

duration until_renewal(const host::identity& held, host::wall_time now, double chance, const renewal_config& settings) {
  const auto issued = std::min(held.not_before + host::certificate_backdate, held.not_after);
  const auto life = held.not_after - issued;
  const auto share = 0.5 + settings.spread * (2 * chance - 1);
  const auto due = issued + std::chrono::duration_cast<host::wall_time::duration>(life * share);
  return std::max(duration{due - now}, duration{0});
}

duration until_retry(std::uint32_t failures, double chance, const renewal_config& settings) {
  constexpr auto doublings_max = 20u;
  auto longest = settings.delay_first * (1ull << std::min(failures > 0 ? failures - 1 : 0, doublings_max));
  longest = std::min<duration>(longest, settings.delay_last);
  // At least half of it: a retry at once would meet the same trouble.
  return std::chrono::duration_cast<duration>(longest * (0.5 + chance / 2));
}

void lay_authority(const std::filesystem::path& directory, const std::string& fabric, host::wall_time now) {
  const auto files = host::trust_files_in(directory);
  if (std::filesystem::exists(files.authority_key) && std::filesystem::exists(files.authority))
    return;
  make_directory(directory);
  const auto made = host::make_authority(fabric, now);
  // The key last: an authority is there only when both are.
  host::write_atomically(files.authority, made.certificate);
  host::write_atomically(files.authority_key, made.key, 0600);
}

host::key_and_certificate read_authority(const std::filesystem::path& directory) {
  const auto files = host::trust_files_in(directory);
  return {must_read(files.authority_key), must_read(files.authority)};
}

void lay_certificate(const std::filesystem::path& authority_directory, const std::filesystem::path& directory,
                     const std::string& name, const std::string& role, host::wall_time now, std::chrono::seconds life) {
  const auto authority = read_authority(authority_directory);
  const auto files = host::trust_files_in(directory);
  const auto is_good = [&, ours = host::read_small_file(files.authority) == authority.certificate](auto when) {
    return ours && look_at_credentials(directory, name, role, when).ready;
  };
  if (is_good(now + life / 2))
    return;
  try {
    make_directory(directory);
    auto granted = v1::Certificate{};
    granted.set_authority(authority.certificate);
    granted.set_certificate(host::issue(authority, request_with_own_key(directory, name, role), name, role, now, life));
    keep_certificate(directory, granted, name, role, now);
  } catch (const std::system_error& problem) {
    // A node on a full disk goes on with what it has, and renews while it runs.
    if (!is_good(now))
      throw;
    host::log_warn("credentials", "cannot renew the certificate yet: {}", problem.what());
  }
}

readiness look_at_credentials(const std::filesystem::path& directory, const std::string& name, const std::string& role,
                              host::wall_time now) {
  try {
    const auto files = host::trust_files_in(directory);
    const auto certificate = must_read(files.certificate);
    const auto found = host::judge(certificate, must_read(files.authority), now);
    if (found.why != host::refusal::none)
      return {false, files.certificate.string() + ": " + found.text};
    if (found.who.name != name || found.who.role != role)
      return {false, files.certificate.string() + " is for " + found.who.role + '/' + found.who.name};
    if (!host::belongs_to(must_read(files.key), certificate))
      return {false, files.key.string() + " is not the key of the certificate"};
    return {true, {}};
  } catch (const std::exception& problem) {
    return {false, problem.what()};
  }
}

std::string request_with_own_key(const std::filesystem::path& directory, const std::string& name,
                                 const std::string& role) {
  make_directory(directory);
  const auto files = host::trust_files_in(directory);
  if (!std::filesystem::exists(files.key))
    host::write_atomically(files.key, host::make_key(), 0600);
  return host::make_request(must_read(files.key), name, role);
}

host::identity keep_certificate(const std::filesystem::path& directory, const v1::Certificate& granted,
                                const std::string& name, const std::string& role, host::wall_time now) {
  const auto files = host::trust_files_in(directory);
  const auto found = host::judge(granted.certificate(), granted.authority(), now);
  if (found.why != host::refusal::none)
    throw host::certificate_error{"the certificate that was granted is no good: " + found.text};
  if (found.who.name != name || found.who.role != role)
    throw host::certificate_error{"the certificate that was granted is for " + found.who.role + '/' + found.who.name};
  if (!host::belongs_to(must_read(files.key), granted.certificate()))
    throw host::certificate_error{"the certificate that was granted is for another key"};
  host::write_atomically(files.authority, granted.authority());
  if (!granted.authority_key().empty())
    host::write_atomically(files.authority_key, granted.authority_key(), 0600);
  host::write_atomically(files.certificate, granted.certificate());
  return found.who;
}

void keep_deny_list(const std::filesystem::path& directory, const std::set<std::string>& serials) {
  auto text = std::string{};
  for (const auto& serial : serials)
    text += serial + '\n';
  host::write_atomically(deny_file(directory), text, 0600);
}

std::set<std::string> read_deny_list(const std::filesystem::path& directory) {
  constexpr auto bytes_max = std::size_t{16} << 20;
  auto lines = std::istringstream{host::read_small_file(deny_file(directory), bytes_max).value_or("")};
  auto serials = std::set<std::string>{};
  for (auto line = std::string{}; std::getline(lines, line);)
    if (is_serial(line))
      serials.insert(line);
  return serials;
}

} // namespace novacron::node
