#pragma once

/// The HTTP interface of a virtual fabric, so that the shell talks to it as to a real one.

#include "actors/api/operations.hpp"
#include "actors/api/route.hpp"
#include "actors/api/server.hpp"
#include "actors/simulation/player.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

namespace novacron::simulation {

/// Virtual time stands while nobody asks anything, and passes until there is an answer when somebody does.
class reception {
public:
  /// Opens its door in a directory of its own. Throws std::system_error.
  reception(player& of, std::string version);
  ~reception();
  reception(const reception&) = delete;
  reception& operator=(const reception&) = delete;

  std::string socket() const { return (home_ / "api.sock").string(); }
  /// What the wall clocks of the virtual fabric show, milliseconds.
  std::int64_t wall_ms();
  /// To be held by whoever else lets time pass.
  std::mutex& turn() { return turn_; }

private:
  api::response answer(api::request asked);

  player& of_;
  std::mutex turn_;
  std::filesystem::path home_;
  api::world around_;
  api::operations lasting_;
  std::uint64_t orders_ = 0;
  std::uint64_t names_ = 0;
  std::unique_ptr<api::server> served_;
};

} // namespace novacron::simulation
