#pragma once

/// A picture of one move that a person can read: what each pass carried, and what the guest wrote meanwhile.

#include "messages/wire/scheduler.pb.h"

#include <string>

namespace novacron::shell {

/// A whole SVG file; needs nothing but a browser. Empty when nothing is known of its passes.
std::string draw_move(const v1::Migration& x);

} // namespace novacron::shell
