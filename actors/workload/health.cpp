#include "actors/workload/health.hpp"

namespace novacron::workload {

bool health::hear(bool good, instant now) {
  if (good) {
    failed_ = 0;
    verdict_ = verdict::passing;
    return false;
  }
  if (now < started_ + rules_.grace)
    return false;
  verdict_ = verdict::failing;
  return ++failed_ >= rules_.failures;
}

std::string to_string(health::verdict x) {
  switch (x) {
    case health::verdict::unknown: return "unknown";
    case health::verdict::passing: return "passing";
    case health::verdict::failing: return "failing";
  }
  return "unknown";
}

bool http_says_well(const std::string& answer) {
  // "HTTP/1.1 200 OK"
  const auto status = answer.size() >= 12 && answer.starts_with("HTTP/1.") && answer[8] == ' ' ? answer[9] : '0';
  return status == '2' || status == '3';
}

} // namespace novacron::workload
