#include "actors/state/bare_raft.hpp"

#include "actors/state/raft_library.hpp"

#include <chrono>
#include <cstring>
#include <future>
#include <stdexcept>
#include <thread>
#include <utility>

namespace novacron::ledger {
namespace {
using monotonic = std::chrono::steady_clock;
double seconds(monotonic::duration x) { return std::chrono::duration<double>(x).count(); }
} // namespace

struct bare_raft::state {
  uv_loop_t loop{};
  uv_async_t wake{};
  raft_uv_transport transport{};
  raft_io io{};
  raft_fsm fsm{};
  struct raft raft {};
  std::thread thread;

  struct run {
    std::size_t left = 0;
    std::size_t open = 0;
    std::size_t outstanding = 0;
    std::size_t bytes = 0;
    std::vector<double> took;
    std::promise<void> done;
  };
  run* current = nullptr;
  bool over = false;

  struct entry {
    struct raft_apply request {};
    state* here = nullptr;
    monotonic::time_point begun;
  };

  void propose() {
    auto* e = new entry{{}, this, monotonic::now()};
    e->request.data = e;
    auto buffer = raft_buffer{raft_malloc(current->bytes), current->bytes};
    std::memset(buffer.base, 7, buffer.len);
    const auto rc = raft_apply(&raft, &e->request, &buffer, 1, [](struct raft_apply* r, int, void*) {
      const auto done = std::unique_ptr<entry>{static_cast<entry*>(r->data)};
      done->here->committed(monotonic::now() - done->begun);
    });
    if (rc != 0)
      throw std::runtime_error{raft_strerror(rc)};
    --current->left;
    ++current->open;
  }

  void committed(monotonic::duration took) {
    current->took.push_back(seconds(took));
    --current->open;
    if (current->left > 0)
      propose();
    else if (current->open == 0)
      std::exchange(current, nullptr)->done.set_value();
  }
};

bare_raft::bare_raft(const std::filesystem::path& directory) : state_{std::make_unique<state>()} {
  auto& s = *state_;
  std::filesystem::create_directories(directory);
  uv_loop_init(&s.loop);
  s.fsm.version = 1;
  s.fsm.apply = [](raft_fsm*, const raft_buffer*, void** result) {
    *result = nullptr;
    return 0;
  };
  s.fsm.snapshot = [](raft_fsm*, raft_buffer**, unsigned*) -> int { return RAFT_NOMEM; };
  s.fsm.restore = [](raft_fsm*, raft_buffer* b) {
    raft_free(b->base);
    return 0;
  };
#ifdef RAFT_VERSION_NUMBER
  s.transport.version = 1;
#endif
  raft_uv_tcp_init(&s.transport, &s.loop);
  raft_uv_init(&s.io, &s.loop, directory.c_str(), &s.transport);
  // Nobody connects to it: any free port will do.
  raft_init(&s.raft, &s.io, &s.fsm, 1, "127.0.0.1:0");
  auto first = raft_configuration{};
  raft_configuration_init(&first);
  raft_configuration_add(&first, 1, "127.0.0.1:0", RAFT_VOTER);
  raft_bootstrap(&s.raft, &first);
  raft_configuration_close(&first);
  raft_set_snapshot_threshold(&s.raft, 1u << 30);
  if (const auto rc = raft_start(&s.raft))
    throw std::runtime_error{std::string{"bare raft: "} + raft_errmsg(&s.raft) + " " + raft_strerror(rc)};
  s.wake.data = &s;
  uv_async_init(&s.loop, &s.wake, [](uv_async_t* a) {
    auto& here = *static_cast<state*>(a->data);
    if (here.over)
      return uv_stop(a->loop);
    for (auto i = here.current ? std::exchange(here.current->outstanding, 0) : 0; i > 0; --i)
      here.propose();
  });
  s.thread = std::thread{[&s] { uv_run(&s.loop, UV_RUN_DEFAULT); }};
}

bare_raft::~bare_raft() {
  state_->over = true;
  uv_async_send(&state_->wake);
  state_->thread.join();
}

std::vector<double> bare_raft::commit(std::size_t count, std::size_t outstanding, std::size_t bytes, double& total) {
  auto now = state::run{};
  now.left = count;
  now.outstanding = std::min(count, outstanding);
  now.bytes = bytes;
  auto done = now.done.get_future();
  const auto begun = monotonic::now();
  state_->current = &now;
  uv_async_send(&state_->wake);
  done.wait();
  total = seconds(monotonic::now() - begun);
  return std::move(now.took);
}

} // namespace novacron::ledger
