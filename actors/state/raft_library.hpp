#pragma once

/// The log library's headers, which are C, made fit for C++. Only for raft_engine.cpp and bare_raft.cpp.

#include <uv.h>

#include <cassert>
#include <cstdarg>
#include <cstdbool>
#include <cstddef>
#include <cstdint>
#include <cstdio>

// Since 0.18 the headers assert at file scope on the sizes of unnamed structs, which C++ does not let them define there.
// What they assert about the library's own layout holds for whoever compiled it.
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wkeyword-macro"
#endif
#pragma push_macro("static_assert")
#undef static_assert
#define static_assert(...)
extern "C" {
#include <raft.h>
#include <raft/uv.h>
}
#pragma pop_macro("static_assert")
#if defined(__clang__)
#pragma clang diagnostic pop
#endif
