#pragma once

/// Help, manual page and documentation, all from the table of commands.

#include "actors/shell/commands.hpp"

#include <string>

namespace novacron::shell {

/// Help for a command, for a noun, or for everything when `topic` is empty; examples come first.
std::string help_text(const command_table& table, std::string_view topic);

/// The manual page novacron(1) in roff.
std::string man_page(const command_table& table, std::string_view version);

/// The table of commands in Markdown.
std::string markdown_page(const command_table& table);

} // namespace novacron::shell
