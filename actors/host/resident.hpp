#pragma once

/// Gives memory back that only the start of a process needed.

namespace novacron::host {

/// Lets go of the pages of code and constants that were touched so far: those in use come back from the page cache at
/// once, those that only the start needed (dynamic linking, static initialization, handshakes) do not. Mappings that
/// differ from their file in a single byte are left alone, so nothing can be lost.
void release_startup_code();

} // namespace novacron::host
