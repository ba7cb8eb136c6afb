#include "actors/workload/image_config.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstring>

namespace novacron::workload {
namespace {

constexpr auto path_default = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string name_of(const std::string& assignment) {
  return assignment.substr(0, assignment.find('='));
}

/// The last one of a name counts; it takes the place of the first.
void assign(std::vector<std::string>& env, const std::string& assignment) {
  const auto name = name_of(assignment);
  const auto known = std::find_if(env.begin(), env.end(), [&](const auto& x) { return name_of(x) == name; });
  if (known == env.end())
    env.push_back(assignment);
  else
    *known = assignment;
}

std::vector<std::string> environment_of(const image_config& image, const process_wish& wish) {
  auto env = std::vector<std::string>{path_default};
  for (const auto& assignment : image.env)
    if (assignment.find('=') != assignment.npos && assignment.front() != '=')
      assign(env, assignment);
  for (const auto& [name, value] : wish.env)
    assign(env, name + "=" + value);
  return env;
}

std::string absolute(const std::string& directory) {
  return directory.starts_with('/') ? directory : "/" + directory;
}

} // namespace

process_arguments arguments_of(const image_config& image, const process_wish& wish) {
  auto argv = image.entrypoint;
  const auto& rest = wish.command.empty() ? image.cmd : wish.command;
  argv.insert(argv.end(), rest.begin(), rest.end());
  return {.argv = argv,
          .env = environment_of(image, wish),
          .workdir = absolute(wish.workdir.empty() ? image.workdir : wish.workdir),
          .user = wish.user.empty() ? image.user : wish.user};
}

int stop_signal_of(const image_config& image) {
  auto text = std::string_view{image.stop_signal};
  auto number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure == std::errc{} && end == text.data() + text.size())
    return number > 0 && number <= SIGRTMAX ? number : SIGTERM;
  if (text.starts_with("SIG"))
    text.remove_prefix(3);
  for (auto i = 1; i < SIGRTMIN; ++i)
    if (const auto* abbreviation = ::sigabbrev_np(i); abbreviation != nullptr && text == abbreviation)
      return i;
  return SIGTERM;
}

} // namespace novacron::workload
