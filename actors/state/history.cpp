#include "actors/state/history.hpp"

#include "messages/wire/ledger.pb.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <map>
#include <random>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace novacron::ledger {
namespace {

using content = operation::content;

/// After Wing and Gong: place one of the operations that begin before any unplaced one ends, go on, step back when
/// stuck. After Lowe: never visit the same (placed operations, content) twice.
class search {
public:
  search(std::vector<const operation*> operations, std::uint64_t& steps, std::uint64_t steps_max)
      : operations_{std::move(operations)}, steps_{steps}, steps_max_{steps_max} {
    link();
  }

  verdict::kind run() {
    auto* at = head_.next;
    // Of the operations whose outcome nobody knows, the next to try once `at` is an end.
    auto unknown = std::size_t{0};
    while (returns_ > 0) {
      if (++steps_ > steps_max_)
        return verdict::kind::undecided;
      if (at == head_.next && unknown == 0 && absorb()) {
        at = head_.next;
      } else if (at->call) {
        at = try_place(at->operation, at) ? head_.next : at->next;
        unknown = 0;
      } else if (place_unknown(unknown, *at)) {
        at = head_.next;
        unknown = 0;
      } else {
        // An operation ended unplaced and nothing helps: something that was placed before was wrong.
        remember_farthest(*at);
        if (placed_.empty())
          return verdict::kind::violated;
        auto last = take_back();
        while (last.absorbed && !placed_.empty())
          last = take_back();
        if (last.absorbed)
          return verdict::kind::violated;
        at = last.at ? last.at->next : first_end();
        unknown = last.at ? 0 : last.unknown + 1;
      }
    }
    return verdict::kind::linearizable;
  }

  std::string reason() const {
    auto text = std::to_string(farthest_) + " of " + std::to_string(operations_.size()) + " operations can be explained";
    if (stuck_)
      text += "; not this one: " + to_line(*stuck_) + " while the key held " + (held_.there ? held_.text : "nothing");
    return text;
  }

private:
  struct event {
    bool call = false;
    std::size_t operation = 0;
    event* before = nullptr;
    event* next = nullptr;
    event* match = nullptr;
  };

  struct step_taken {
    /// Null for one of the unknown.
    event* at;
    std::size_t unknown;
    content before;
    /// There was no choice.
    bool absorbed = false;
  };

  struct memory {
    std::uint64_t low, high;
    bool operator==(const memory&) const = default;
  };
  struct memory_hash {
    std::size_t operator()(const memory& x) const { return x.low; }
  };

  static bool step(const operation& x, content& now) {
    switch (x.what) {
      case operation::kind::read: return x.value == now;
      case operation::kind::write: now = x.value; return true;
      case operation::kind::remove: now = {}; return true;
      case operation::kind::cas:
        if (x.how == operation::result::fail)
          return now != x.expect;
        if (now != x.expect)
          return false;
        now = x.value;
        return true;
    }
    return false;
  }

  void link() {
    struct moment {
      std::int64_t time;
      bool call;
      std::size_t operation;
    };
    auto moments = std::vector<moment>{};
    for (auto i = std::size_t{0}; i < operations_.size(); ++i) {
      // What may happen any time later never ends, and need not be placed at all.
      if (operations_[i]->how == operation::result::unknown) {
        unknown_.push_back(i);
        continue;
      }
      moments.push_back({operations_[i]->begin, true, i});
      moments.push_back({operations_[i]->end, false, i});
    }
    unknown_placed_.resize(unknown_.size());
    // At the same time a begin counts as before an end: the two overlap.
    std::sort(moments.begin(), moments.end(), [](const moment& a, const moment& b) {
      return std::tuple{a.time, !a.call, a.operation} < std::tuple{b.time, !b.call, b.operation};
    });
    events_.resize(moments.size());
    auto begins = std::vector<event*>(operations_.size());
    auto* last = &head_;
    for (auto i = std::size_t{0}; i < moments.size(); ++i) {
      auto& e = events_[i];
      e.call = moments[i].call;
      e.operation = moments[i].operation;
      e.before = last;
      last->next = &e;
      last = &e;
      if (e.call) {
        begins[e.operation] = &e;
      } else {
        begins[e.operation]->match = &e;
        ++returns_;
      }
    }
    auto chance = std::mt19937_64{20260727};
    for (auto i = std::size_t{0}; i < operations_.size(); ++i)
      marks_.push_back({chance(), chance()});
  }

  /// The set of placed operations is kept as the exclusive-or of 128 random bits for each of them.
  bool first_visit(std::size_t operation, const content& then) {
    const auto text = std::hash<std::string>{}(then.text) * 2 + (then.there ? 1 : 0);
    const auto mixed = text * 0x9e3779b97f4a7c15u;
    return seen_.insert({set_.low ^ marks_[operation].low ^ text, set_.high ^ marks_[operation].high ^ mixed}).second;
  }

  static void unlink(event& e) {
    e.before->next = e.next;
    if (e.next)
      e.next->before = e.before;
  }

  static void relink(event& e) {
    e.before->next = &e;
    if (e.next)
      e.next->before = &e;
  }

  void flip(std::size_t operation) {
    set_.low ^= marks_[operation].low;
    set_.high ^= marks_[operation].high;
  }

  /// What changes nothing and is possible now may as well happen now: no other order needs to be tried.
  bool absorb() {
    for (auto* e = head_.next; e && e->call; e = e->next) {
      const auto& x = *operations_[e->operation];
      auto next = now_;
      const auto changes = x.what != operation::kind::read && (x.what != operation::kind::cas || x.how == operation::result::ok);
      if (changes || !step(x, next))
        continue;
      put(e, std::move(next));
      placed_.back().absorbed = true;
      return true;
    }
    return false;
  }

  void put(event* at, content next) {
    placed_.push_back({at, 0, std::exchange(now_, std::move(next))});
    flip(at->operation);
    unlink(*at);
    unlink(*at->match);
    --returns_;
  }

  bool try_place(std::size_t operation, event* at) {
    auto next = now_;
    if (!step(*operations_[operation], next) || !first_visit(operation, next))
      return false;
    put(at, std::move(next));
    return true;
  }

  /// Tries the unknown from `from` on. Only where it makes possible what is not possible now: anywhere else it could
  /// as well happen later or never, so nothing is missed and 2^n orders are saved.
  bool place_unknown(std::size_t from, const event& end) {
    for (auto u = from; u < unknown_.size(); ++u) {
      const auto& x = *operations_[unknown_[u]];
      auto next = now_;
      if (unknown_placed_[u] || x.begin > operations_[end.operation]->end || !step(x, next) || !helps(next) ||
          !first_visit(unknown_[u], next))
        continue;
      placed_.push_back({nullptr, u, std::exchange(now_, std::move(next))});
      flip(unknown_[u]);
      unknown_placed_[u] = true;
      return true;
    }
    return false;
  }

  bool helps(const content& next) const {
    auto enabled_by = [&](const operation& x) {
      auto before = now_;
      auto after = next;
      return !step(x, before) && step(x, after);
    };
    for (const auto* e = head_.next; e && e->call; e = e->next)
      if (enabled_by(*operations_[e->operation]))
        return true;
    for (auto u = std::size_t{0}; u < unknown_.size(); ++u)
      if (!unknown_placed_[u] && operations_[unknown_[u]]->what == operation::kind::cas && enabled_by(*operations_[unknown_[u]]))
        return true;
    return false;
  }

  event* first_end() {
    auto* e = head_.next;
    while (e->call)
      e = e->next;
    return e;
  }

  step_taken take_back() {
    auto last = std::move(placed_.back());
    placed_.pop_back();
    now_ = std::move(last.before);
    if (last.at) {
      flip(last.at->operation);
      relink(*last.at->match);
      relink(*last.at);
      ++returns_;
    } else {
      flip(unknown_[last.unknown]);
      unknown_placed_[last.unknown] = false;
    }
    return last;
  }

  void remember_farthest(const event& at) {
    if (placed_.size() < farthest_)
      return;
    farthest_ = placed_.size();
    stuck_ = operations_[at.operation];
    held_ = now_;
  }

  std::vector<const operation*> operations_;
  std::uint64_t& steps_;
  std::uint64_t steps_max_;
  event head_;
  std::vector<event> events_;
  std::vector<std::size_t> unknown_;
  std::vector<bool> unknown_placed_;
  std::size_t returns_ = 0;
  std::vector<memory> marks_;
  memory set_{0, 0};
  std::unordered_set<memory, memory_hash> seen_;
  std::vector<step_taken> placed_;
  content now_;
  std::size_t farthest_ = 0;
  const operation* stuck_ = nullptr;
  content held_;
};

/// Neither tells anything: what was certainly not done, and a read whose answer nobody saw.
bool tells_nothing(const operation& x) {
  using enum operation::result;
  return x.what == operation::kind::read ? x.how != ok : x.how == fail && x.what != operation::kind::cas;
}

constexpr const char* kinds[] = {"read", "write", "cas", "remove"};
constexpr const char* results[] = {"ok", "fail", "unknown"};

} // namespace

verdict check(const std::vector<operation>& history, std::uint64_t steps_max) {
  auto keys = std::map<std::string_view, std::vector<const operation*>>{};
  for (const auto& x : history)
    if (!tells_nothing(x))
      keys[x.key].push_back(&x);
  auto total = verdict{};
  // Registers are independent: a history is linearizable when that of each key is (Herlihy and Wing).
  for (auto& [key, operations] : keys) {
    auto one = search{std::move(operations), total.steps, steps_max};
    const auto found = one.run();
    if (found == verdict::kind::linearizable)
      continue;
    total.what = found;
    total.key = key;
    total.reason = one.reason();
    if (found == verdict::kind::violated)
      return total;
  }
  return total;
}

std::string to_line(const operation& x) {
  auto line = v1::LedgerHistoryLine{};
  line.set_process(x.process);
  line.set_op(kinds[static_cast<int>(x.what)]);
  line.set_key(x.key);
  if (x.value.there)
    line.set_value(x.value.text);
  if (x.expect.there)
    line.set_expect(x.expect.text);
  line.set_result(results[static_cast<int>(x.how)]);
  line.set_begin_ns(x.begin);
  line.set_end_ns(x.end);
  auto format = google::protobuf::util::JsonPrintOptions{};
  format.preserve_proto_field_names = true;
  auto text = std::string{};
  const auto done = google::protobuf::util::MessageToJsonString(line, &text, format);
  return done.ok() ? text : std::string{};
}

std::string from_line(const std::string& text, operation& into) {
  auto line = v1::LedgerHistoryLine{};
  if (const auto done = google::protobuf::util::JsonStringToMessage(text, &line); !done.ok())
    return std::string{done.message()};
  const auto kind = std::find(std::begin(kinds), std::end(kinds), line.op());
  const auto result = std::find(std::begin(results), std::end(results), line.result());
  if (kind == std::end(kinds))
    return "op must be read, write, cas or remove";
  if (result == std::end(results))
    return "result must be ok, fail or unknown";
  into.what = static_cast<operation::kind>(kind - std::begin(kinds));
  into.how = static_cast<operation::result>(result - std::begin(results));
  if (into.how != operation::result::unknown && line.end_ns() < line.begin_ns())
    return "it ends before it begins";
  if ((into.what == operation::kind::write || into.what == operation::kind::cas) && !line.has_value())
    return "a write needs a value";
  into.process = line.process();
  into.key = line.key();
  into.value = {line.has_value(), line.value()};
  into.expect = {line.has_expect(), line.expect()};
  into.begin = line.begin_ns();
  into.end = line.end_ns();
  return {};
}

int check_history(std::istream& lines, std::ostream& words) {
  auto history = std::vector<operation>{};
  auto line = std::string{};
  for (auto number = 1; std::getline(lines, line); ++number) {
    if (line.empty())
      continue;
    if (const auto problem = from_line(line, history.emplace_back()); !problem.empty()) {
      words << "line " << number << ": " << problem << '\n';
      return 2;
    }
  }
  const auto found = check(history);
  switch (found.what) {
    case verdict::kind::linearizable:
      words << "linearizable: " << history.size() << " operations, " << found.steps << " steps\n";
      return 0;
    case verdict::kind::violated:
      words << "not linearizable: key " << found.key << ": " << found.reason << '\n';
      return 1;
    case verdict::kind::undecided:
      words << "undecided: key " << found.key << " after " << found.steps << " steps\n";
      return 2;
  }
  return 2;
}

} // namespace novacron::ledger
