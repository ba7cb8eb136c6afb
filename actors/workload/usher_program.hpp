#pragma once

/// The program that takes calls inside a function's container, which novacron carries along.

#include <string_view>

namespace novacron::workload {

std::string_view usher_program();

} // namespace novacron::workload
