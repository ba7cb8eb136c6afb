#include "actors/node/bench_decisions.hpp"

#include "actors/scheduler/bench_batch.hpp"
#include "actors/scheduler/bench_reassignment.hpp"
#include "actors/scheduler/bench_window.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace novacron::node {
namespace {

using figures = std::vector<host::figure>;

figures reassignment_bench(const shell::invocation& flags) {
  const auto files = flags.get("reassign");
  const auto comma = files.find(',');
  if (comma == std::string::npos)
    throw std::runtime_error{"--reassign=" + files + " should name two files: MODEL,ASSIGNMENT"};
  auto options = scheduler::reassignment_options{};
  options.model = files.substr(0, comma);
  options.initial = files.substr(comma + 1);
  options.out = flags.get("out");
  if (flags.has("seconds"))
    options.seconds = std::stod(flags.get("seconds"));
  options.steps = static_cast<std::uint64_t>(flags.number("steps", 0));
  options.threads = static_cast<unsigned>(flags.number("threads", options.threads));
  options.seed = static_cast<std::uint64_t>(flags.number("seed", 1));
  return scheduler::bench_reassignment(options);
}

figures window_bench(const shell::invocation& flags) {
  auto options = scheduler::window_options{};
  options.file = flags.get("window");
  options.mode = flags.get("mode", options.mode);
  options.out = flags.get("out");
  options.seed = static_cast<std::uint64_t>(flags.number("seed", 1));
  if (flags.has("make"))
    scheduler::make_windows(options.file, static_cast<std::size_t>(flags.number("make", 0)), options.seed);
  return scheduler::bench_window(options);
}

} // namespace

std::optional<figures> bench_decisions(const shell::invocation& flags) {
  if (flags.has("reassign"))
    return reassignment_bench(flags);
  if (flags.has("window"))
    return window_bench(flags);
  if (flags.has("swf"))
    return scheduler::bench_batch(flags.get("swf"));
  return {};
}

} // namespace novacron::node
