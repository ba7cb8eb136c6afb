#pragma once

/// Fills a message with content that a seed decides.

#include <google/protobuf/message.h>

#include <random>

namespace novacron::spec {

/// Gives every field of `x`, and of what it holds, a value drawn from `chance`: limits, odd text, several elements.
void fill(google::protobuf::Message& x, std::mt19937_64& chance);

} // namespace novacron::spec
