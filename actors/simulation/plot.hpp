#pragma once

/// One picture of a run that a person can read: what ran, how full it was, what was said, and what struck.

#include "actors/simulation/player.hpp"

#include <filesystem>
#include <string>

namespace novacron::simulation {

/// A whole SVG file; needs nothing but a browser.
std::string plot(const outcome& x);

/// Writes a picture to `file`, whole or not at all where that is a plain file. Returns what went wrong; empty when
/// nothing did.
std::string keep_plot(const std::filesystem::path& file, const std::string& picture);

} // namespace novacron::simulation
