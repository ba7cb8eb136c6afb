#pragma once

/// The page for people with a browser, as it lies in this room: it reads the interface and changes nothing.

#include <string_view>

namespace novacron::api {

extern const std::string_view page_html;
extern const std::string_view page_css;
extern const std::string_view page_js;

} // namespace novacron::api
