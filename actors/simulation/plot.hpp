#pragma once

/// One picture of a run that a person can read: what ran, how full it was, what was said, and what struck.

#include "actors/simulation/player.hpp"

#include <string>

namespace novacron::simulation {

/// A whole SVG file; needs nothing but a browser.
std::string plot(const outcome& x);

} // namespace novacron::simulation
