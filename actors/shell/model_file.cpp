#include "actors/shell/model_file.hpp"

#include "actors/shell/toml_reader.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace novacron::shell {
namespace {

using key = toml_reader::key;

/// Chosen: the longest that `policy train` writes is a hundredth of it.
constexpr auto bytes_max = std::size_t{64} << 10;
constexpr auto weight_most = 1000.0;

/// Which features there are is known to the fabric; here it is enough that they are named and numbers.
void weights(toml_reader& from, const toml::table& source, const std::string& where, v1::PolicyOrder& x) {
  for (const auto& [name, node] : source)
    from.real({node, where + std::string{name.str()}}, -weight_most, weight_most,
              [&](auto v) { (*x.mutable_weights())[std::string{name.str()}] = v; });
}

void digest(toml_reader& from, const toml_reader::place& at, v1::Training& x) {
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  from.text(at, [&](std::string v) {
    if (v.size() == 64 && std::ranges::all_of(v, hex))
      x.set_history(std::move(v));
    else
      from.complain(at, "64 hexadecimal digits");
  });
}

} // namespace

model_file parse_model(std::string_view text, std::string_view file) {
  auto found = model_file{};
  if (text.size() > bytes_max) {
    found.errors.push_back(fmt::format("{} has {} bytes; a model has at most {}", file, text.size(), bytes_max));
    return found;
  }
  auto from = toml_reader{file, found.errors};
  const auto source = from.parse(text);
  if (!source)
    return found;
  auto& training = *found.order.mutable_training();
  const auto percent = [&](auto set) { return [&from, set](auto at) { from.real(at, 0, 100, set); }; };
  from.read(
      *source, "",
      {{"format", [&](auto at) { from.whole(at, 1, 1, [](auto) {}); }},
       {"history", [&](auto at) { digest(from, at, training); }},
       {"against", [&](auto at) { from.text(at, [&](auto v) { training.set_against(std::move(v)); }); }},
       {"score", percent([&](auto v) { training.set_score(v); })},
       {"score_against", percent([&](auto v) { training.set_score_against(v); })},
       {"deviation", percent([&](auto v) { training.set_deviation(v); })},
       {"runs",
        [&](auto at) {
          from.whole(at, 2, 1'000'000, [&](auto v) { training.set_runs(static_cast<std::uint32_t>(v)); });
        }},
       {"weights", [&](auto at) { from.table(at, [&](auto& t, auto p) { weights(from, t, p, found.order); }); }}});
  for (const auto* name : {"format", "history", "against", "score", "score_against", "deviation", "runs", "weights"})
    if (!source->contains(name))
      from.miss(*source, "", name, "take a file that `policy train` wrote");
  if (found.errors.empty() && found.order.weights().empty())
    from.miss(*source, "weights.", "room", "take a file that `policy train` wrote");
  return found;
}

} // namespace novacron::shell
