#pragma once

/// Ctrl-C: the first stops what is being waited for, the second ends the process.

namespace novacron::shell::interrupt {

/// Takes over SIGINT for as long as the process lives. Idempotent.
void install();

/// Forgets earlier presses; called before each command.
void clear();

/// Whether Ctrl-C was pressed since the last clear().
bool pending();

/// Readable from the first press to the next clear(); -1 before install().
int descriptor();

/// Waits, but not longer than until Ctrl-C. Throws `interrupted` then.
void pause(int milliseconds);

} // namespace novacron::shell::interrupt
