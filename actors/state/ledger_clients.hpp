#pragma once

/// The clients of the ledger's process: connections on its unix socket, frames in and out.

#include "messages/wire/ledger.pb.h"

#include <uv.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace novacron::ledger {

/// Whom to answer.
struct caller {
  std::uint64_t connection = 0;
  std::uint64_t call = 0;
};

class ledger_clients {
public:
  /// Told of each call that came in whole.
  using called = std::function<void(const caller&, wire::LedgerCall&)>;

  ledger_clients(uv_loop_t* loop, called tell);
  ~ledger_clients();
  ledger_clients(const ledger_clients&) = delete;
  ledger_clients& operator=(const ledger_clients&) = delete;

  /// Listens at `socket`, for this user only. Returns what went wrong.
  std::string listen(const std::filesystem::path& socket);
  /// Does nothing when the client is gone.
  void answer(const caller& who, wire::LedgerReply& reply);
  /// From now on this client is told the news.
  void watch(std::uint64_t connection);
  void tell(std::uint64_t connection, const wire::LedgerReply& news);
  void tell_watchers(const wire::LedgerReply& news);
  bool watched() const;
  /// Writes what was said in this turn. A client that lets too much pile up is cut off: it comes back and starts from
  /// the whole state.
  void flush();

private:
  struct connection;
  struct write_order {
    uv_write_t request;
    std::string bytes;
  };

  connection* find(std::uint64_t number);
  void accept();
  void drop(connection& c);
  void received(connection& c, std::string_view bytes);
  void write(connection& c);

  uv_loop_t* loop_;
  called tell_;
  uv_pipe_t listener_{};
  std::map<std::uint64_t, std::unique_ptr<connection>> connections_;
  std::uint64_t last_connection_ = 0;
};

} // namespace novacron::ledger
