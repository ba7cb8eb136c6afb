#pragma once

/// A picture of how full a cluster gets while more and more is asked for, beside what others published.

#include <string>
#include <utility>
#include <vector>

namespace novacron::scheduler {

struct packing_picture {
  std::string title;
  /// Curves by name; of equal seeds, so that they can be compared.
  std::vector<std::pair<std::string, std::vector<double>>> curves;
  /// What others published for the end, by name, and the linear program that rejects nothing.
  std::vector<std::pair<std::string, double>> published;
};

/// A whole SVG file; needs nothing but a browser.
std::string plot_packing(const packing_picture& x);

} // namespace novacron::scheduler
