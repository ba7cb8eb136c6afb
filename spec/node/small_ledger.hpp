#pragma once

/// A ledger that keeps its records in memory and forgets them at the end of a spec.

#include "messages/ledger.hpp"

#include <caf/all.hpp>

#include <map>

namespace novacron::spec {

struct small_ledger_book {
  std::map<std::string, std::pair<std::string, std::uint64_t>> records;
  std::uint64_t index = 0;
  std::vector<ledger_watcher> watchers;
  /// Whether it answers at all.
  bool here = true;
};

inline ledger_actor::behavior_type small_ledger(ledger_actor::pointer self, std::shared_ptr<small_ledger_book> book) {
  auto refuse = [] { return caf::make_error(fault::unavailable, "the ledger is away"); };
  auto entries = [book](const std::string& prefix) {
    auto found = wire::LedgerEntries{};
    found.set_index(book->index);
    for (const auto& [key, record] : book->records)
      if (key.starts_with(prefix)) {
        auto& one = *found.add_entries();
        one.set_key(key);
        one.set_value(record.first);
        one.set_revision(record.second);
      }
    return found;
  };
  return {
      [=](const wire::LedgerCommand& x) -> caf::result<wire::LedgerApplied> {
        if (!book->here)
          return refuse();
        auto answer = wire::LedgerApplied{};
        for (const auto& op : x.ops()) {
          const auto at = book->records.find(op.key());
          if (op.conditional() && op.revision() != (at == book->records.end() ? 0 : at->second.second))
            return answer;
        }
        answer.set_applied(true);
        answer.set_index(++book->index);
        auto news = wire::LedgerChanged{};
        news.set_index(book->index);
        for (const auto& op : x.ops()) {
          if (op.remove()) {
            book->records.erase(op.key());
            news.add_removed(op.key());
            continue;
          }
          book->records[op.key()] = {op.value(), book->index};
          news.add_written()->set_key(op.key());
        }
        for (const auto& watcher : book->watchers)
          self->send(watcher, news);
        return answer;
      },
      [=](const wire::LedgerRead& x) -> caf::result<wire::LedgerEntries> {
        if (!book->here)
          return refuse();
        return entries(x.prefix());
      },
      [=](const wire::LedgerWatch& x, const ledger_watcher& watcher) {
        book->watchers.push_back(watcher);
        return entries(x.prefix());
      },
      [](const wire::LedgerStatusRequest&) { return wire::LedgerStatus{}; },
      [](const wire::LedgerAdd&) { return wire::LedgerApplied{}; },
      [](const wire::LedgerRemove&) { return wire::LedgerApplied{}; },
      [](const wire::LedgerSnapshotRequest&) { return wire::LedgerApplied{}; },
      [](const wire::LedgerBackup&) { return wire::LedgerApplied{}; },
      [](const wire::LedgerRestore&) { return wire::LedgerApplied{}; },
  };
}

} // namespace novacron::spec
