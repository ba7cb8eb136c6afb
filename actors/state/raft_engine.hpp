#pragma once

/// The replicated log. Everything that depends on the library beneath is in this file's .cpp, so that it can be
/// replaced.

#include "actors/state/ledger_server.hpp"
#include "messages/fault.hpp"
#include "messages/wire/ledger.pb.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct uv_loop_s;

namespace novacron::ledger {

/// Everything happens on the thread of the loop.
class engine {
public:
  struct hooks {
    /// An entry is committed; called in order of index.
    std::function<void(std::uint64_t index, std::string_view bytes)> apply;
    std::function<std::string()> snapshot;
    std::function<bool(std::string_view)> restore;
    /// Entries that were proposed here may or may not become committed: this voter no longer leads, or its disk failed.
    std::function<void()> doubted;
  };

  struct verdict {
    bool ok = false;
    fault kind = fault::unavailable;
    std::string text;
  };
  using decided = std::function<void(const verdict&)>;

  engine(uv_loop_s* loop, const server_options& options, hooks calls);
  /// Only after `close` was answered, or if `start` failed and `close` was answered.
  ~engine();
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  /// Loads what is on disk and takes part. Returns what is wrong, empty when nothing is.
  std::string start();
  void close(std::function<void()> done);

  bool leads() const;
  /// Leads, and nobody else has a vote: what is applied here is all there is.
  bool alone() const;
  /// The disk failed under the library: it must be closed and started again.
  bool broken() const;
  /// The name of the node that leads, empty when that is not known.
  std::string leader() const;
  std::uint64_t term() const;
  std::uint64_t applied() const;
  std::uint64_t committed() const;
  std::vector<v1::LedgerMember> members() const;
  std::uint64_t refused_peers() const;

  /// Returns the index of the first entry; the `accepted` first ones follow one another from there. `why` says what
  /// became of the others.
  std::uint64_t propose(const std::vector<std::string_view>& entries, std::size_t& accepted, verdict& why);
  /// Answers when everything that was committed anywhere before this call is applied here.
  void barrier(decided told);
  void add(const std::string& node, const std::string& address, decided told);
  void remove(const std::string& node, decided told);
  /// Takes a snapshot now; the leader's alone.
  void snapshot(decided told);
  /// Without being asked for: with the next entry.
  void snapshot_soon();
  /// Gives leadership to another voter if there is one.
  void hand_over();

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace novacron::ledger
