// Precompiled: the headers that make a file with actors slow to compile.
#include "messages/registry.hpp"

#include <caf/all.hpp>
