#include "actors/node/policy_training.hpp"

#include "actors/host/files.hpp"
#include "actors/scheduler/training.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace novacron::node {
namespace {

/// What the user asked for cannot be meant; exit code 2.
struct misused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void add_files(std::string_view list, std::vector<std::string>& to) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    if (comma != 0)
      to.emplace_back(list.substr(0, comma));
    list = comma == list.npos ? std::string_view{} : list.substr(comma + 1);
  }
}

double real(const shell::invocation& x, const char* flag, double otherwise, double least, double most) {
  if (!x.has(flag))
    return otherwise;
  const auto text = x.get(flag);
  auto value = 0.0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (wrong != std::errc{} || end != text.data() + text.size() || !(value >= least && value <= most))
    throw misused{fmt::format("--{} is '{}', but must be a number from {} to {}", flag, text, least, most)};
  return value;
}

std::uint32_t count(const shell::invocation& x, const char* flag, std::uint32_t otherwise, std::uint32_t least,
                    std::uint32_t most) {
  const auto value = x.number(flag, otherwise);
  if (value < least || value > most)
    throw misused{fmt::format("--{} is {}, but must be from {} to {}", flag, value, least, most)};
  return static_cast<std::uint32_t>(value);
}

scheduler::training_options options_of(const shell::invocation& x) {
  auto options = scheduler::training_options{};
  for (const auto& list : x.all("history"))
    add_files(list, options.history);
  options.history.insert(options.history.end(), x.arguments.begin(), x.arguments.end());
  for (const auto& list : x.all("held-out"))
    add_files(list, options.held_out);
  options.nodes = x.get("nodes");
  if (options.history.empty() || options.nodes.empty())
    throw misused{"policy train needs --history=FILE,... (pods) and --nodes=FILE"};
  // Not found out only after an hour of learning.
  const auto directory = std::filesystem::absolute(x.get("out", ".")).parent_path();
  if (!std::filesystem::is_directory(directory))
    throw misused{fmt::format("--out is '{}', but there is no directory {}", x.get("out"), directory.string())};
  options.against = x.get("against", options.against);
  options.demand = real(x, "demand", options.demand, 0.1, 10);
  options.seconds = real(x, "seconds", options.seconds, 0, 1e6);
  options.generations = count(x, "generations", options.generations, 0, 10'000);
  options.replays = count(x, "replays", options.replays, 1, 100);
  options.judgements = count(x, "seeds", options.judgements, 2, 1000);
  options.threads = count(x, "threads", std::clamp(std::thread::hardware_concurrency(), 1u, 64u), 1, 64);
  options.seed = static_cast<std::uint64_t>(x.number("seed", 1));
  return options;
}

nlohmann::ordered_json in_json(const scheduler::learned_policy& x, bool better) {
  const auto judged = [](const auto& all) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& each : all)
      list.push_back(
          {{"file", each.name}, {"score", each.score}, {"against", each.against}, {"deviation", each.deviation}});
    return list;
  };
  auto weights = nlohmann::ordered_json::object();
  for (auto i = std::size_t{0}; i < scheduler::feature_count; ++i)
    weights[std::string{to_string(static_cast<scheduler::feature>(i))}] = x.weights[i];
  return {{"better", better},
          {"against", x.against},
          {"judged", judged(x.judged)},
          {"best_known", x.best_known},
          {"judged_best_known", judged(x.judged_best)},
          {"weights", weights}};
}

void in_words(const std::string& against, const std::vector<scheduler::judgement>& judged) {
  for (const auto& x : judged)
    std::cout << fmt::format("{}: {:.3f} %, {} {:.3f} % (deviation {:.3f}), {:+.3f}\n", x.name, x.score, against,
                             x.against, x.deviation, x.score - x.against);
}

} // namespace

int run_policy_train(const shell::invocation& x) {
  try {
    const auto options = options_of(x);
    const auto found =
        scheduler::learn_policy(options, [](const std::string& line) { std::cerr << line << std::endl; });
    const auto better = scheduler::surpasses(found.judged);
    if (x.get("output") == "json") {
      std::cout << in_json(found, better).dump(2) << "\n";
    } else {
      in_words(found.against, found.judged);
      if (found.best_known != found.against)
        in_words(found.best_known, found.judged_best);
    }
    if (!better) {
      std::cerr << fmt::format("novacron: it is no better than {} beyond chance; {} stays\n", found.against,
                               found.against);
      return 1;
    }
    if (x.has("out"))
      host::replace_file(x.get("out"), scheduler::model_text(found));
    return 0;
  } catch (const misused& problem) {
    std::cerr << "novacron: " << problem.what() << "\nTry: novacron policy train --help\n";
    return 2;
  } catch (const std::exception& problem) {
    std::cerr << "novacron: " << problem.what() << "\n";
    return 1;
  }
}

} // namespace novacron::node
