#include "actors/workload/restart_policy.hpp"

#include <algorithm>

namespace novacron::workload {

std::optional<duration> restart_policy::ended(int exit_code, duration lasted) {
  const auto wanted = rules_.restart == when::always || (rules_.restart == when::on_failure && exit_code != 0);
  if (!wanted || (rules_.limit > 0 && restarts_ >= rules_.limit))
    return {};
  if (lasted >= rules_.calm)
    in_a_row_ = 0;
  auto delay = std::min(rules_.delay, rules_.delay_max);
  for (auto i = 0u; i < in_a_row_ && delay < rules_.delay_max; ++i)
    delay = std::min(delay * 2, rules_.delay_max);
  ++in_a_row_;
  ++restarts_;
  return delay;
}

} // namespace novacron::workload
