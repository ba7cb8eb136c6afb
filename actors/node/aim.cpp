#include "actors/node/aim.hpp"

#include <array>
#include <thread>
#include <utility>

namespace novacron::node {
namespace {

/// Chosen: a post leads to a post or a channel at most, and an answer that is given at once to one more.
constexpr auto depth_max = std::size_t{8};

/// The places of one thread. They are never freed: a reader of all places needs no lock then.
struct alignas(64) places {
  std::array<std::atomic<const void*>, depth_max> marks{};
  std::atomic<bool> taken = true;
  places* next = nullptr;
};

std::atomic<places*> all_places = nullptr;

places* take_places() {
  for (auto* x = all_places.load(std::memory_order_acquire); x; x = x->next)
    if (!x->taken.exchange(true, std::memory_order_acquire))
      return x;
  auto* made = new places{};
  made->next = all_places.load(std::memory_order_relaxed);
  while (!all_places.compare_exchange_weak(made->next, made, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return made;
}

/// A thread's places, given back at its end.
struct own_places {
  places* here = take_places();
  std::size_t depth = 0;
  ~own_places() { here->taken.store(false, std::memory_order_release); }
};

own_places& own() {
  thread_local auto mine = own_places{};
  return mine;
}

bool is_used_by(const places& x, const void* what) {
  for (const auto& mark : x.marks)
    if (mark.load(std::memory_order_seq_cst) == what)
      return true;
  return false;
}

} // namespace

aim::use::use(const aim& from) : mark_{nullptr}, found_{nullptr} {
  auto& mine = own();
  if (mine.depth == depth_max) {
    kept_ = from.get();
    found_ = kept_.get();
    return;
  }
  mark_ = &mine.here->marks[mine.depth++];
  found_ = from.current_.load(std::memory_order_acquire);
  for (;;) {
    mark_->store(found_, std::memory_order_seq_cst);
    auto* again = from.current_.load(std::memory_order_seq_cst);
    if (again == found_)
      return;
    found_ = again;
  }
}

aim::use::~use() {
  if (!mark_)
    return;
  mark_->store(nullptr, std::memory_order_release);
  --own().depth;
}

void aim::set(caf::strong_actor_ptr target) {
  const auto lock = std::lock_guard{guard_};
  const auto old = std::exchange(owned_, std::move(target));
  current_.store(owned_.get(), std::memory_order_seq_cst);
  if (!old)
    return;
  const auto* mine = own().here;
  for (const auto* x = all_places.load(std::memory_order_acquire); x; x = x->next)
    while (x != mine && is_used_by(*x, old.get()))
      std::this_thread::yield();
  // It is being used further down on our own stack: it may go with the next one.
  retired_ = is_used_by(*mine, old.get()) ? old : nullptr;
}

caf::strong_actor_ptr aim::get() const {
  const auto lock = std::lock_guard{guard_};
  return owned_;
}

} // namespace novacron::node
