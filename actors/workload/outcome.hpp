#pragma once

/// What a driver answers: a value, or why there is none.

#include "messages/fault.hpp"

#include <functional>
#include <string>
#include <utility>
#include <variant>

namespace novacron::workload {

/// Why something was not done.
struct trouble {
  fault kind = fault::unspecified;
  std::string text;
};

struct nothing {};

template <class T = nothing>
class outcome {
public:
  outcome(T value) : content_{std::move(value)} {}
  outcome(trouble why) : content_{std::move(why)} {}

  explicit operator bool() const { return content_.index() == 0; }
  T& operator*() { return std::get<0>(content_); }
  const T& operator*() const { return std::get<0>(content_); }
  T* operator->() { return &std::get<0>(content_); }
  const T* operator->() const { return &std::get<0>(content_); }
  [[nodiscard]] const trouble& why() const { return std::get<1>(content_); }

private:
  std::variant<T, trouble> content_;
};

/// Is called once with the answer, on any thread; it must be short.
template <class T = nothing>
using then = std::function<void(outcome<T>)>;

} // namespace novacron::workload
