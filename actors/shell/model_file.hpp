#pragma once

/// The file that `policy train` writes and `policy set --model` reads: weights of placement, and what they were judged
/// by.

#include "messages/wire/http.pb.h"

#include <string>
#include <string_view>
#include <vector>

namespace novacron::shell {

struct model_file {
  v1::PolicyOrder order;
  /// All that is wrong, each with file, line, key, value and what is accepted. The order counts only without errors.
  std::vector<std::string> errors;
};

/// Never throws and reads nothing but `text`; `file` is only for the errors.
model_file parse_model(std::string_view text, std::string_view file);

} // namespace novacron::shell
