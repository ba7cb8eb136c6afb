#pragma once

/// Makes every Protobuf message of `novacron.v1` something that CAF can carry, print and compare.

#include <caf/detail/stringification_inspector.hpp>
#include <caf/error.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/sec.hpp>
#include <google/protobuf/message.h>

#include <string>
#include <type_traits>

namespace novacron::v1 {

template <class Inspector, class T>
  requires std::is_base_of_v<google::protobuf::Message, T>
typename Inspector::result_type inspect(Inspector& f, T& x) {
  if constexpr (std::is_same_v<Inspector, caf::detail::stringification_inspector>) {
    auto text = x.ShortDebugString();
    return f(caf::meta::type_name(T::descriptor()->full_name().c_str()), text);
  } else if constexpr (Inspector::writes_state) {
    auto bytes = std::string{};
    if (auto failure = f(bytes))
      return failure;
    return x.ParseFromString(bytes) ? caf::error{} : caf::error{caf::sec::invalid_argument};
  } else {
    auto bytes = x.SerializeAsString();
    return f(bytes);
  }
}

} // namespace novacron::v1
