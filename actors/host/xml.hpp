#pragma once

/// What text needs to stand in XML, as in the pictures that are drawn.

#include <string>
#include <string_view>

namespace novacron::host {

inline std::string xml_escaped(std::string_view text) {
  auto out = std::string{};
  for (const auto c : text)
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  return out;
}

} // namespace novacron::host
