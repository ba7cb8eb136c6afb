#pragma once

/// What the language promises to programs that were built earlier, as lines of text, and whether it keeps it.

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

namespace novacron::spec {

/// Every registered message with all that its definition reaches, one line per promise, sorted:
///   word NAME                                     it may be sent by this name
///   field MESSAGE NUMBER NAME TYPE LABEL          (LABEL: single, optional, repeated, or oneof:NAME)
///   value ENUM NUMBER NAME
///   reserved MESSAGE-OR-ENUM NUMBER-OR-NAME
std::vector<std::string> describe(const std::vector<std::string>& words,
                                  const std::vector<const google::protobuf::FileDescriptor*>& files);

/// The lines that describe the language as it is now.
std::vector<std::string> present_language();

/// Every promise in `released` that `present` breaks, in words; additions break nothing.
std::vector<std::string> broken(const std::vector<std::string>& released, const std::vector<std::string>& present);

} // namespace novacron::spec
