#include "actors/scheduler/training.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

using namespace novacron::scheduler;

namespace {

namespace fs = std::filesystem;

std::vector<trace_node> some_nodes() {
  auto nodes = std::vector<trace_node>{};
  for (auto i = 0; i < 15; ++i) {
    nodes.push_back({"", 96'000, 393'216, 8, "G2"});
    nodes.push_back({"", 64'000, 262'144, 2, "T4"});
  }
  return nodes;
}

history some_history(std::uint64_t seed, bool gpus = true) {
  constexpr auto shares = std::array<std::int64_t, 4>{250, 320, 500, 810};
  auto chance = std::mt19937_64{seed};
  auto found = history{"history " + std::to_string(seed), {}};
  for (auto i = 0; i < 200; ++i) {
    auto x = trace_pod{};
    x.cpu_milli = 1000 * static_cast<std::int64_t>(1 + chance() % 12);
    x.memory_mib = 1024 * static_cast<std::int64_t>(1 + chance() % 32);
    const auto kind = chance() % 10;
    const auto share = shares[chance() % shares.size()];
    if (gpus && kind > 1) {
      x.gpus = kind == 2 ? 4 : 1;
      x.gpu_milli = kind < 6 ? 1000 : share;
    }
    found.pods.push_back(x);
  }
  return found;
}

training_options quick() {
  auto options = training_options{};
  options.generations = 2;
  options.replays = 1;
  options.judgements = 4;
  return options;
}

learned_policy learn(const training_options& options, std::vector<std::string>* told = nullptr) {
  const auto nodes = some_nodes();
  return learn_policy(std::array{some_history(1), some_history(2)}, std::array{some_history(3), some_history(4)}, nodes,
                      options, [&](const std::string& line) {
                        if (told)
                          told->push_back(line);
                      });
}

} // namespace

SCENARIO("what is learned from some histories fills a cluster better on others than the default does") {
  auto told = std::vector<std::string>{};
  const auto found = learn(quick(), &told);
  CHECK(found.judged.size() == 2);
  CHECK(surpasses(found.judged));
  CHECK(found.overall().score > found.overall().against + found.overall().deviation);
  CHECK(std::ranges::count_if(told, [](const auto& x) { return x.starts_with("generation "); }) == 2);
  // Nothing of this is in a replay: it stays as it was.
  const auto usual = *policy_weights("balance");
  for (const auto each : {prefer, image, feature::spread, reserve, fresh, feature::home, price, zones})
    CHECK(found.weights[each] == usual[each]);
}

SCENARIO("one seed learns one model, however many candidates are tried at once") {
  auto options = quick();
  const auto once = model_text(learn(options));
  options.threads = 1;
  CHECK(model_text(learn(options)) == once);
  options.threads = 3;
  CHECK(model_text(learn(options)) == once);
}

SCENARIO("what is no better beyond chance does not surpass") {
  CHECK(surpasses(std::array{judgement{"a", 96, 93, 1}}));
  CHECK_FALSE(surpasses(std::array{judgement{"a", 94, 93, 1}}));
  CHECK_FALSE(surpasses(std::array{judgement{"a", 92, 93, 1}}));
  // Good as a mean, but worse on one of them.
  CHECK_FALSE(surpasses(std::array{judgement{"a", 99, 90, 1}, judgement{"b", 91, 93, 1}}));
  CHECK_FALSE(surpasses({}));
}

SCENARIO("only what replays show is learned") {
  const auto nodes = some_nodes();
  CHECK(learnable(std::array{some_history(1)}, nodes) ==
        std::vector<feature>{room, evenness, whole, usable, starved, idle});
  CHECK(learnable(std::array{some_history(1, false)}, nodes) == std::vector<feature>{room, evenness});
  auto mixed = nodes;
  mixed.push_back({"", 32'000, 65'536, 0, ""});
  CHECK(learnable(std::array{some_history(1)}, mixed)[2] == reserve);
}

SCENARIO("a history in which nobody wants a GPU is learned from by its cores") {
  auto options = quick();
  options.generations = 1;
  const auto found = learn_policy(std::array{some_history(1, false)}, std::array{some_history(2, false)}, some_nodes(),
                                  options, [](const auto&) {});
  CHECK(found.overall().score > 90);
  CHECK(found.weights[whole] == 0);
}

SCENARIO("a single file is learned from by one half and judged by the other, and what is wrong is named") {
  const auto place = fs::temp_directory_path() / "novacron-training-spec";
  fs::create_directories(place);
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream{place / name} << text;
    return (place / name).string();
  };
  auto pods = std::string{"name,cpu_milli,memory_mib,num_gpu,gpu_milli\n"};
  for (const auto& x : some_history(5).pods)
    pods += "p," + std::to_string(x.cpu_milli) + "," + std::to_string(x.memory_mib) + "," + std::to_string(x.gpus) +
            "," + std::to_string(x.gpu_milli) + "\n";
  auto options = quick();
  options.generations = 0;
  options.nodes = write("nodes.csv", "sn,cpu_milli,memory_mib,gpu,model\na,96000,393216,8,G2\nb,64000,262144,2,T4\n");
  options.history = {write("pods.csv", pods)};
  auto told = std::vector<std::string>{};
  const auto found = learn_policy(options, [&](const auto& line) { told.push_back(line); });
  CHECK(found.digest.size() == 64);
  CHECK(told.front() == "held out: pods.csv (the other half)");
  options.history = {write("bad.csv", "name\np,1000,2,x,1\n")};
  CHECK_THROWS_WITH(learn_policy(options, [](const auto&) {}), doctest::Contains("bad.csv: line 2: column 4 is \"x\""));
  options.history = {(place / "none.csv").string()};
  CHECK_THROWS_WITH(learn_policy(options, [](const auto&) {}), doctest::Contains("none.csv"));
  options.history = {write("empty.csv", "name\n")};
  CHECK_THROWS(learn_policy(options, [](const auto&) {}));
  options.history = {(place / "pods.csv").string()};
  options.against = "luck";
  CHECK_THROWS_WITH(learn_policy(options, [](const auto&) {}), doctest::Contains("no policy called luck"));
  fs::remove_all(place);
}
