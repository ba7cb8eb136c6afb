#pragma once

/// Speaks with the agent inside a guest: the host's end of the lines in guest/lines.hpp.

#include "actors/host/loop.hpp"
#include "actors/workload/driver.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::workload {

/// A line of these words, its line feed included.
std::string guest_line(const std::vector<std::string_view>& words);
/// The words of a line without its line feed.
std::vector<std::string> guest_words(std::string_view line);

/// Functions may be called from any thread. Sessions end with the channel.
class guest_channel {
public:
  virtual ~guest_channel() = default;
  /// Whether the agent has answered.
  [[nodiscard]] virtual bool up() const = 0;
  virtual void send(const std::vector<std::string_view>& words) = 0;
  /// Has the guest's root stand still with everything on its disk, or go on. Not while it stands still already.
  virtual void hold(bool held, then<> done) = 0;
  /// Tells a guest that was restored who it is from now on: a box, see guest/box.hpp.
  virtual void renew(const std::string& box, then<> done) = 0;
  virtual void exec(const exec_order& what, then<std::shared_ptr<exec_process>> done) = 0;
};

/// Connects to the socket `name` in `directory`, again and again until the agent answers there; then calls `up` once, on
/// the loop's thread. Dropping the channel ends that.
std::shared_ptr<guest_channel> open_guest_channel(host::loop& loop, const std::filesystem::path& directory,
                                                  const std::string& name, std::function<void()> up);

} // namespace novacron::workload
