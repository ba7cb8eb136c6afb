#pragma once

/// `novacron policy train`: learns weights of placement from files, and writes a model when they surpass the default.

#include "actors/shell/parse.hpp"

namespace novacron::node {

int run_policy_train(const shell::invocation& x);

} // namespace novacron::node
