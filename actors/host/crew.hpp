#pragma once

/// A few threads for work that blocks on the disk or the kernel.

#include <functional>
#include <memory>

namespace novacron::host {

/// Work is begun in the order in which it was given; two pieces may run at the same time.
class crew {
public:
  explicit crew(unsigned threads = 2);
  /// Without threads of its own: `give` hands the work to whoever runs it, as the virtual world does.
  explicit crew(std::function<void(std::function<void()>)> runner);
  ~crew();
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;

  /// After `end` it is dropped.
  void give(std::function<void()> work);

  /// Waits for what runs; what has not begun is dropped. To be called, once, before anything goes that the work uses or
  /// that gives work; the destructor does what is left of it.
  void end();

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace novacron::host
