#pragma once

/// The rules of the house, as a function from files to what is wrong with them.

#include <string>
#include <vector>

namespace novacron::spec {

/// A file by its path from the root of the house.
struct house_file {
  std::string path;
  std::string text;
};

/// Everything in `files` that breaks a rule: "path:line: what, and what to do instead".
std::vector<std::string> house_faults(const std::vector<house_file>& files);

} // namespace novacron::spec
