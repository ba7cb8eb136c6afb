#pragma once

/// What the specs of the real ledger share: a directory that goes away, certificates, patience.

#include "actors/host/certificate.hpp"
#include "actors/state/voter_group.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace spec {

namespace fs = std::filesystem;
using namespace novacron;
namespace wire = novacron::v1;
using namespace std::chrono_literals;

inline const auto program = std::vector<std::string>{"/proc/self/exe", "ledger-server"};

struct directory {
  fs::path path = fs::temp_directory_path() /
                  ("novacron-ledger-" + std::to_string(::getpid()) + "-" + host::to_hex(host::random_bytes(4)));
  directory() { fs::create_directories(path); }
  ~directory() {
    auto problem = std::error_code{};
    fs::remove_all(path, problem);
  }
};

/// Certificates for voters, and for others who would like to be.
struct authority {
  host::key_and_certificate root = host::make_authority("spec", std::chrono::system_clock::now());

  void issue(const fs::path& where, const std::string& name, const std::string& role,
             std::chrono::seconds life = std::chrono::hours{1}, std::chrono::seconds from_now = {}) const {
    fs::create_directories(where);
    const auto key = host::make_key();
    const auto now = std::chrono::system_clock::now() + from_now;
    std::ofstream{where / "ca.pem"} << root.certificate;
    std::ofstream{where / "cert.pem"} << host::issue(root, host::make_request(key, name, role), name, role, now, life);
    std::ofstream{where / "key.pem"} << key;
  }
};

/// Whether it becomes true in time.
template <class F>
bool eventually(F&& holds, duration limit = 30s) {
  for (const auto end = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < end;
       std::this_thread::sleep_for(10ms))
    if (holds())
      return true;
  return holds();
}

inline bool put(ledger::voter_group& group, const std::string& key, const std::string& value, duration limit = 10s) {
  auto hint = std::size_t{0};
  const auto done = group.propose(ledger::put(key, value), limit, hint);
  INFO(done.text);
  return done.ok && done.value.applied();
}

inline int count(ledger::voter_group& group, const std::string& prefix) {
  auto hint = std::size_t{0};
  const auto found = group.read(prefix, 10s, hint);
  return found.ok ? found.value.entries_size() : -1;
}

} // namespace spec
