#pragma once

/// The truth as a value: keys with revisions, changed only by commands, the same on every voter.

#include "messages/wire/ledger.pb.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::ledger {

namespace wire = v1;

constexpr std::uint32_t command_version = 1;
/// A command must fit into one message between nodes, with its envelope.
constexpr std::size_t command_bytes_max = (1u << 20) - 4096;
constexpr int ops_max = 4096;
constexpr std::size_t key_bytes_max = 512;
constexpr std::size_t client_bytes_max = 128;
/// Clients whose answers are remembered; the one that was silent longest is forgotten first.
constexpr std::size_t sessions_max = 16384;
/// Answers remembered for each client: as many commands may be on their way at a time and still be repeated.
constexpr std::size_t answers_max = 1024;

/// What is wrong with a command, empty when it may be proposed.
std::string refusal(const wire::LedgerCommand& command);

/// Why the leader of the term `now` does not take it, empty when it does.
std::string wrong_term(const wire::LedgerCommand& command, std::uint64_t now);

/// Parses bytes from a client or from the log; nothing when they are not a command that may be applied.
std::optional<wire::LedgerCommand> parse_command(std::string_view bytes);

class records {
public:
  struct record {
    std::string value;
    std::uint64_t revision = 0;
  };

  struct outcome {
    wire::LedgerApplied answer;
    /// What watchers are told; has no keys when nothing was changed.
    wire::LedgerChanged changed;
    /// The answer to this sequence is no longer remembered: whether it was applied is not known.
    bool forgotten = false;
  };

  /// Applies the command that stands in the log at `index`. A repetition gets the answer of the first time.
  outcome apply(std::uint64_t index, wire::LedgerCommand command);

  /// An entry of the log that is not a command counts, and changes nothing.
  void skip(std::uint64_t index) { index_ = index; }

  /// Of the last command that was applied or skipped.
  std::uint64_t index() const { return index_; }
  const std::map<std::string, record, std::less<>>& all() const { return all_; }
  /// Of keys and values.
  std::uint64_t bytes() const { return bytes_; }
  std::size_t sessions() const { return sessions_.size(); }

  wire::LedgerEntries below(std::string_view prefix) const;

  /// Version, records, answers and a checksum over all of it: the same bytes on every voter.
  std::string snapshot() const;
  /// Replaces everything; false, and nothing is changed, when the bytes are not a whole snapshot.
  bool restore(std::string_view bytes);

private:
  struct session {
    std::uint64_t index = 0;
    std::map<std::uint64_t, wire::LedgerApplied> answers;
  };

  using session_map = std::map<std::string, session, std::less<>>;

  const wire::LedgerOp* first_unmet(const wire::LedgerCommand& command) const;
  std::uint64_t revision_of(const std::string& key) const;
  void write(wire::LedgerOp& op, wire::LedgerChanged& changed);
  void remember(session_map::iterator whose, std::uint64_t sequence, const wire::LedgerApplied& answer);

  std::map<std::string, record, std::less<>> all_;
  session_map sessions_;
  /// Clients by the index of their latest command, oldest first.
  std::map<std::uint64_t, std::string> oldest_;
  std::uint64_t index_ = 0;
  std::uint64_t bytes_ = 0;
};

/// The one change that leads from `before` to `after`; its index is that of `after`.
wire::LedgerChanged difference(const std::map<std::string, records::record, std::less<>>& before,
                               const wire::LedgerEntries& after);

/// The commands that write the records of `backup` over `now`, or why they must not.
struct restoration {
  std::vector<wire::LedgerCommand> commands;
  std::string refused;
};
restoration plan_restoration(const records& now, const records& backup, const std::string& client, bool force);

} // namespace novacron::ledger
