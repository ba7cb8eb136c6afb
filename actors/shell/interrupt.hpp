#pragma once

/// What ends waiting from outside: Ctrl-C (the first stops what is waited for, the second the process), or a reader of
/// our output that has gone.

namespace novacron::shell::interrupt {

/// Takes over SIGINT for as long as the process lives. Idempotent.
void install();

/// Forgets earlier presses; called before each command.
void clear();

/// Whether Ctrl-C was pressed since the last clear().
bool pending();

/// Waits until `events` happen on `descriptor` (-1: none), at most so long, and returns what happened: 0 when time is
/// up. Throws `interrupted` on Ctrl-C, `reader_gone` when nobody reads our standard output any more.
short wait(int descriptor, short events, int milliseconds);

void pause(int milliseconds);

/// Whether whoever read our standard output has gone, as in `novacron logs -f web.0 | head -1`.
bool reader_is_gone();

} // namespace novacron::shell::interrupt
