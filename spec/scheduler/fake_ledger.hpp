#pragma once

/// A ledger in memory, and the actors through which controllers speak to it.

#include "messages/ledger.hpp"

#include <caf/all.hpp>

#include <map>
#include <string>

namespace novacron::spec {

/// What all controllers share, and who leads.
struct ledger_book {
  std::uint64_t index = 0;
  std::uint64_t term = 0;
  std::string leader;
  std::map<std::string, wire::LedgerEntry> records;
  std::map<std::string, std::pair<std::uint64_t, wire::LedgerApplied>> answered;
  std::map<std::string, ledger_watcher> watcher_of;
  /// How many of the next commands are carried out without an answer.
  int answers_lost = 0;
  std::uint64_t commands = 0;
  std::uint64_t refused = 0;

  /// Applies a command as the state machine does; the change for the watchers comes back.
  wire::LedgerChanged apply(const wire::LedgerCommand& x, wire::LedgerApplied* result) {
    auto change = wire::LedgerChanged{};
    auto& [sequence, answer] = answered[x.client()];
    if (x.sequence() <= sequence) {
      *result = answer;
      return change;
    }
    ++commands;
    result->set_index(++index);
    result->set_applied(true);
    change.set_index(index);
    for (const auto& op : x.ops()) {
      const auto found = records.find(op.key());
      const auto revision = found == records.end() ? 0 : found->second.revision();
      if (op.conditional() && revision != op.revision()) {
        ++refused;
        result->set_applied(false);
        result->set_key(op.key());
        result->set_revision(revision);
        break;
      }
    }
    if (result->applied())
      for (const auto& op : x.ops()) {
        if (op.remove()) {
          records.erase(op.key());
          change.add_removed(op.key());
          continue;
        }
        auto& record = records[op.key()];
        record.set_key(op.key());
        record.set_value(op.value());
        record.set_revision(index);
        *change.add_written() = record;
      }
    sequence = x.sequence();
    answer = *result;
    return change;
  }

  wire::LedgerEntries read(const std::string& prefix) const {
    auto all = wire::LedgerEntries{};
    all.set_index(index);
    for (const auto& [key, record] : records)
      if (key.starts_with(prefix))
        *all.add_entries() = record;
    return all;
  }

  /// Another node leads from now on; empty: nobody.
  void lead(const std::string& node) {
    leader = node;
    ++term;
    for (const auto& [name, watcher] : watcher_of) {
      auto news = wire::LedgerLed{};
      news.set_leader(node);
      news.set_term(term);
      news.set_here(name == node);
      caf::anon_send(watcher, news);
    }
  }
};

/// The ledger as the controller on `node` sees it.
inline ledger_actor::behavior_type fake_ledger(ledger_actor::pointer self, ledger_book* book, std::string node) {
  const auto unused = [] { return caf::make_error(fault::unsupported, "not in this play"); };
  return {
    [=](const wire::LedgerCommand& x) -> caf::result<wire::LedgerApplied> {
      if (book->leader != node)
        return caf::make_error(fault::not_leader, book->leader);
      if (x.term() != 0 && x.term() != book->term)
        return caf::make_error(fault::conflict, "another term");
      auto result = wire::LedgerApplied{};
      const auto change = book->apply(x, &result);
      if (change.written_size() + change.removed_size() > 0)
        for (const auto& [name, watcher] : book->watcher_of)
          self->send(watcher, change);
      if (book->answers_lost > 0) {
        --book->answers_lost;
        return self->make_response_promise<wire::LedgerApplied>();
      }
      return result;
    },
    [=](const wire::LedgerRead& x) -> caf::result<wire::LedgerEntries> {
      if (x.linearizable() && book->leader != node)
        return caf::make_error(fault::not_leader, book->leader);
      return book->read(x.prefix());
    },
    [=](const wire::LedgerWatch& x, const ledger_watcher& who) {
      book->watcher_of[node] = who;
      return book->read(x.prefix());
    },
    [=](const wire::LedgerStatusRequest&) -> caf::result<wire::LedgerStatus> { return unused(); },
    [=](const wire::LedgerAdd&) -> caf::result<wire::LedgerApplied> { return unused(); },
    [=](const wire::LedgerRemove&) -> caf::result<wire::LedgerApplied> { return unused(); },
    [=](const wire::LedgerSnapshotRequest&) -> caf::result<wire::LedgerApplied> { return unused(); },
    [=](const wire::LedgerBackup&) -> caf::result<wire::LedgerApplied> { return unused(); },
    [=](const wire::LedgerRestore&) -> caf::result<wire::LedgerApplied> { return unused(); },
  };
}

} // namespace novacron::spec
