#pragma once

/// Work that may take longer than a request: it goes on when nobody waits for it any more, and can be asked about.

#include "actors/api/http.hpp"
#include "messages/wire/http.pb.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace novacron::api {

class operations {
public:
  struct config {
    /// At once; each takes a thread.
    std::size_t running_max = 8;
    /// Ended ones that are remembered.
    std::size_t ended_max = 100;
    /// The wall clock in milliseconds.
    std::function<std::int64_t()> now;
  };
  using work = std::function<response()>;

  explicit operations(config settings);
  /// Waits for what runs: whatever it asks must have been told to give up.
  ~operations();
  operations(const operations&) = delete;
  operations& operator=(const operations&) = delete;

  /// Begins `what` and waits so long for its end: its own answer, or 202 with the operation. The same `id` again is the
  /// same operation.
  response run(const std::string& id, const std::string& title, work what, std::chrono::milliseconds patience);

  /// How it does, at its end at the latest after `patience`; nothing when there is none called so.
  std::optional<v1::Operation> find(const std::string& id, std::chrono::milliseconds patience);

  /// Those that run and those that are remembered, the oldest first.
  v1::OperationList list();

private:
  struct entry {
    v1::Operation shown;
    std::optional<response> answer;
    std::thread thread;
  };

  std::shared_ptr<entry> look_up(const std::string& id) const;
  void forget_old();

  const config settings_;
  std::mutex guard_;
  std::condition_variable ended_;
  std::list<std::shared_ptr<entry>> all_;
};

} // namespace novacron::api
