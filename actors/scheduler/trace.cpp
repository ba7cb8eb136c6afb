#include "actors/scheduler/trace.hpp"

#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace novacron::scheduler {
namespace {

/// Chosen: far above any node, far below what would overflow a sum.
constexpr auto number_max = std::int64_t{1} << 40;

std::vector<std::string_view> split(std::string_view line) {
  auto fields = std::vector<std::string_view>{};
  for (;;) {
    const auto comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == line.npos)
      return fields;
    line.remove_prefix(comma + 1);
  }
}

class row {
public:
  row(std::string_view line, std::size_t number) : fields_{split(line)}, number_{number} {}

  std::size_t line() const { return number_; }
  std::size_t columns() const { return fields_.size(); }
  std::string text(std::size_t at) const { return at < fields_.size() ? std::string{fields_[at]} : std::string{}; }
  std::int64_t number(std::size_t at, std::int64_t most = number_max) const {
    auto value = std::int64_t{-1};
    const auto field = at < fields_.size() ? fields_[at] : std::string_view{};
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc{} || end != field.data() + field.size() || value < 0 || value > most)
      throw std::runtime_error{"line " + std::to_string(number_) + ": column " + std::to_string(at + 1) + " is \"" +
                               std::string{field.substr(0, 40)} + "\"; a number from 0 to " + std::to_string(most) +
                               " is wanted"};
    return value;
  }

private:
  std::vector<std::string_view> fields_;
  std::size_t number_;
};

template <class Take>
void each_row(std::string_view text, Take take) {
  for (auto number = std::size_t{1}; !text.empty(); ++number) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text = end == text.npos ? std::string_view{} : text.substr(end + 1);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (number > 1 && !line.empty())
      take(row{line, number});
  }
}

} // namespace

std::vector<trace_node> parse_trace_nodes(std::string_view text) {
  auto nodes = std::vector<trace_node>{};
  each_row(text, [&](const row& x) {
    nodes.push_back({x.text(0), x.number(1), x.number(2), x.number(3, 255), x.text(4)});
  });
  return nodes;
}

std::vector<trace_pod> parse_trace_pods(std::string_view text) {
  auto pods = std::vector<trace_pod>{};
  each_row(text, [&](const row& x) {
    auto pod = trace_pod{x.text(0), x.number(1), x.number(2), x.number(3, 255), x.number(4, 1000), x.text(5), -1, -1};
    if (x.columns() > 9) {
      pod.created = x.number(8);
      pod.deleted = x.number(9);
      if (pod.deleted < pod.created)
        throw std::runtime_error{"line " + std::to_string(x.line()) + ": " + pod.name + " ends before it begins"};
    }
    if (pod.gpus == 0)
      pod.gpu_milli = 0;
    else if (pod.gpus > 1)
      pod.gpu_milli = 1000;
    pods.push_back(std::move(pod));
  });
  return pods;
}

} // namespace novacron::scheduler
