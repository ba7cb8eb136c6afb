#include "actors/simulation/voters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace novacron::simulation {

using ledger::answer;
using ledger::answered;

struct voters::message {
  enum class kind : std::uint8_t { ask_vote, vote, append, appended, snapshot };
  kind what = kind::append;
  std::size_t from = 0;
  std::uint64_t term = 0;
  /// Of the entry before the first one carried, or the last one of a candidate.
  std::uint64_t index = 0;
  std::uint64_t index_term = 0;
  std::uint64_t committed = 0;
  bool agreed = false;
  std::vector<entry> entries;
  std::string state;
};

struct voters::member {
  std::size_t number = 0;
  machine* host = nullptr;
  life_number life = 0;
  bool up = false;
  /// Rises with each start.
  std::uint64_t start = 0;

  // On disk. What was applied is committed and was synced, so the state machine itself is part of it.
  std::uint64_t term = 0;
  std::optional<std::size_t> voted;
  ledger::records machine_state;
  /// The entries after `base`.
  std::deque<entry> log;
  std::uint64_t base = 0;
  std::uint64_t base_term = 0;
  std::uint64_t synced = 0;

  // In memory.
  enum class part : std::uint8_t { follower, candidate, leader } plays = part::follower;
  std::optional<std::size_t> leader;
  std::uint64_t committed = 0;
  moment heard{0};
  moment patience{0};
  std::size_t votes = 0;
  std::vector<std::uint64_t> next;
  std::vector<std::uint64_t> match;
  std::vector<moment> answered;
  std::vector<bool> flying;
  std::uint64_t began_at = 0;
  bool reigns = false;
  std::multimap<std::uint64_t, asked> open;
  ledger::local_ledger::watcher watcher;
  wire::LedgerLed told;

  std::uint64_t last() const { return base + log.size(); }
  std::uint64_t term_of(std::uint64_t index) const {
    return index == base ? base_term : index > base && index <= last() ? log[index - base - 1].term : 0;
  }
};

/// What the ledger actor of a host speaks to.
class voters::voice : public ledger::local_ledger {
public:
  voice(voters& all, host_number host, std::uint64_t start) : all_{all}, host_{host}, start_{start} {}
  ~voice() override {
    if (auto& x = all_.at(host_); x.start == start_)
      x.watcher = {};
  }

  void propose(wire::LedgerCommand command, answered<wire::LedgerApplied> done) override {
    if (command.client().empty()) {
      command.set_client(fmt::format("voter/{}/{}", host_, start_));
      command.set_sequence(++sequence_);
    }
    command.clear_hops();
    const auto wrong = mine().plays == member::part::leader ? ledger::wrong_term(command, mine().term) : std::string{};
    if (!wrong.empty())
      return soon([done, wrong] { done({.kind = fault::conflict, .text = wrong}); });
    order<wire::LedgerApplied>(command.SerializeAsString(), done, [done](const ledger::records::outcome* x) {
      if (!x)
        return done({.kind = fault::unavailable, .text = "the leader changed meanwhile"});
      if (x->forgotten)
        return done({.kind = fault::conflict, .text = "its answer is no longer remembered"});
      done({.value = x->answer, .ok = true});
    });
  }
  void read(const wire::LedgerRead& what, answered<wire::LedgerEntries> done) override {
    if (!what.linearizable())
      return soon([this, what, done] { done({.value = mine().machine_state.below(what.prefix()), .ok = true}); });
    order<wire::LedgerEntries>({}, done, [this, what, done](const ledger::records::outcome* x) {
      if (!x)
        return done({.kind = fault::unavailable, .text = "the leader changed meanwhile"});
      done({.value = mine().machine_state.below(what.prefix()), .ok = true});
    });
  }
  void status(answered<wire::LedgerStatus> done) override {
    soon([this, done] {
      const auto& x = mine();
      auto found = wire::LedgerStatus{};
      if (x.leader)
        found.set_leader(all_.members_[*x.leader]->host->facts.name());
      found.set_term(x.term);
      found.set_applied(x.machine_state.index());
      found.set_committed(x.committed);
      found.set_records(x.machine_state.all().size());
      found.set_bytes(x.machine_state.bytes());
      found.set_state(x.host->disk->full() ? "read-only: disk full" : "serving");
      for (const auto& each : all_.members_) {
        auto& one = *found.add_members();
        one.set_id(each->number + 1);
        one.set_node(each->host->facts.name());
        one.set_role("voter");
      }
      done({.value = found, .ok = true});
    });
  }
  void add(const wire::LedgerAdd&, answered<wire::LedgerApplied> done) override {
    refuse(done, "the voters of the virtual world are those it began with");
  }
  void remove(const wire::LedgerRemove&, answered<wire::LedgerApplied> done) override {
    refuse(done, "the voters of the virtual world are those it began with");
  }
  void snapshot(answered<wire::LedgerApplied> done) override {
    soon([this, done] {
      auto found = wire::LedgerApplied{};
      found.set_index(mine().machine_state.index());
      found.set_applied(true);
      done({.value = found, .ok = true});
    });
  }
  void backup(const wire::LedgerBackup&, answered<wire::LedgerApplied> done) override {
    refuse(done, "virtual disks keep no backups");
  }
  void restore(const wire::LedgerRestore&, answered<wire::LedgerApplied> done) override {
    refuse(done, "virtual disks keep no backups");
  }
  void watch(watcher who) override {
    mine().watcher = std::move(who);
    soon([this] {
      auto& x = mine();
      if (x.watcher.state)
        x.watcher.state(x.machine_state.below(""));
      x.told.Clear();
      all_.tell_led(x);
    });
  }
  bool connected() const override { return true; }

private:
  member& mine() { return all_.at(host_); }
  void soon(std::function<void()> what) {
    all_.stage_.plan(std::chrono::microseconds{50}, mine().life, [this, what] {
      if (mine().start == start_)
        what();
    });
  }
  template <class T>
  void refuse(answered<T> done, const char* why) {
    soon([done, why] { done({.kind = fault::unsupported, .text = why}); });
  }
  template <class T>
  void order(std::string command, answered<T> failed, std::function<void(const ledger::records::outcome*)> done) {
    auto& x = mine();
    if (x.plays != member::part::leader) {
      const auto who = x.leader ? all_.members_[*x.leader]->host->facts.name() : std::string{};
      return soon(
          [failed, who] { failed({.kind = fault::not_leader, .text = "this voter does not lead", .leader = who}); });
    }
    if (x.host->disk->full() && !command.empty())
      return soon([failed] { failed({.kind = fault::storage, .text = "the disk of the ledger is full"}); });
    // Whichever comes first is the answer; the other finds it given.
    const auto open = std::make_shared<bool>(true);
    all_.append(x, {x.term, std::move(command)}, [open, done](const ledger::records::outcome* found) {
      if (std::exchange(*open, false))
        done(found);
    });
    all_.stage_.plan(all_.settings_.patience, x.life, [open, failed] {
      if (std::exchange(*open, false))
        failed({.kind = fault::timeout, .text = "no majority answered in time"});
    });
  }

  voters& all_;
  host_number host_;
  std::uint64_t start_;
  std::uint64_t sequence_ = 0;
};

voters::voters(director& stage, network& wires, std::uint64_t seed, voters_config settings)
    : stage_{stage}, wires_{wires}, settings_{settings}, chance_{seed} {}

voters::~voters() = default;

void voters::add(machine& host) {
  index_[host.number] = members_.size();
  auto& x = *members_.emplace_back(std::make_unique<member>());
  x.number = members_.size() - 1;
  x.host = &host;
}

std::vector<host_number> voters::members() const {
  auto found = std::vector<host_number>{};
  for (const auto& x : members_)
    found.push_back(x->host->number);
  return found;
}

std::optional<host_number> voters::leader() const {
  auto found = std::optional<host_number>{};
  auto term = std::uint64_t{0};
  for (const auto& x : members_)
    if (x->up && x->plays == member::part::leader && x->reigns && x->term >= term) {
      found = x->host->number;
      term = x->term;
    }
  return found;
}

const ledger::records& voters::truth() const {
  return (*std::ranges::max_element(members_, {}, [](const auto& x) { return x->machine_state.index(); }))
      ->machine_state;
}

const ledger::records& voters::of(host_number host) const {
  return members_[index_.at(host)]->machine_state;
}

std::string voters::disagreement() const {
  for (const auto& a : members_)
    for (const auto& b : members_)
      if (a->number < b->number && a->machine_state.index() == b->machine_state.index() &&
          a->machine_state.snapshot() != b->machine_state.snapshot())
        return fmt::format("{} and {} both applied {} and hold different truths", a->host->facts.name(),
                           b->host->facts.name(), a->machine_state.index());
  return {};
}

// -- coming and going ------------------------------------------------------------------------------------------------

std::unique_ptr<ledger::local_ledger> voters::start(host_number host, life_number life) {
  auto& x = at(host);
  x.up = true;
  x.life = life;
  const auto start = ++x.start;
  x.plays = member::part::follower;
  x.leader.reset();
  x.reigns = false;
  // A process that starts reads its log and syncs it before it answers anybody.
  x.synced = x.last();
  x.committed = x.machine_state.index();
  x.heard = stage_.now();
  // Alone it need not wait for anybody.
  x.patience = members_.size() == 1 ? moment{std::chrono::milliseconds{20}} : election_wait();
  x.told.Clear();
  watch_clock(x.number, start);
  return std::make_unique<voice>(*this, host, start);
}

void voters::stop(host_number host, bool power_lost) {
  auto& x = at(host);
  x.up = false;
  ++x.start;
  x.watcher = {};
  x.open.clear();
  if (power_lost && x.last() > x.synced)
    x.log.resize(std::max(x.synced, x.base) - x.base);
}

moment voters::election_wait() {
  return settings_.election +
         moment{static_cast<std::int64_t>(chance_() % static_cast<std::uint64_t>(settings_.election.count()))};
}

void voters::watch_clock(std::size_t who, std::uint64_t start) {
  auto& x = *members_[who];
  if (!x.up || x.start != start)
    return;
  const auto due = x.heard + x.patience;
  if (x.plays == member::part::leader)
    x.heard = stage_.now();
  else if (stage_.now() >= due && !x.host->disk->full())
    campaign(x);
  if (members_.size() == 1 && x.plays == member::part::leader)
    return;
  const auto next = x.heard + x.patience;
  stage_.plan(std::max<moment>(next - stage_.now(), std::chrono::milliseconds{10}), x.life,
              [=, this] { watch_clock(who, start); });
}

void voters::tell_led(member& x) {
  auto now = wire::LedgerLed{};
  now.set_term(x.term);
  const auto here = x.plays == member::part::leader && x.reigns;
  now.set_here(here);
  if (here || (x.leader && *x.leader != x.number))
    now.set_leader(members_[here ? x.number : *x.leader]->host->facts.name());
  if (x.told.leader() == now.leader() && x.told.here() == now.here() && (x.told.term() == now.term() || !here))
    return;
  x.told = now;
  if (x.watcher.led) {
    const auto before = stage_.now_playing();
    stage_.become(x.life);
    x.watcher.led(now);
    stage_.become(before);
  }
}

// -- elections -------------------------------------------------------------------------------------------------------

void voters::campaign(member& x) {
  ++elections_;
  x.plays = member::part::candidate;
  x.leader.reset();
  x.voted = x.number;
  ++x.term;
  x.votes = 1;
  x.heard = stage_.now();
  x.patience = election_wait();
  tell_led(x);
  if (x.votes >= majority())
    return win(x);
  for (auto to = std::size_t{0}; to < members_.size(); ++to)
    if (to != x.number)
      send(x, to,
           {.what = message::kind::ask_vote, .term = x.term, .index = x.last(), .index_term = x.term_of(x.last())});
}

void voters::win(member& x) {
  x.plays = member::part::leader;
  x.leader = x.number;
  x.next.assign(members_.size(), x.last() + 1);
  x.match.assign(members_.size(), 0);
  x.answered.assign(members_.size(), stage_.now());
  x.flying.assign(members_.size(), false);
  x.began_at = x.last() + 1;
  append(x, {x.term, {}}, [](const ledger::records::outcome*) {});
  if (members_.size() > 1)
    beat(x.number, x.start, x.term);
}

void voters::step_down(member& x, std::uint64_t term) {
  if (term > x.term) {
    x.term = term;
    x.voted.reset();
  }
  const auto led = x.plays == member::part::leader;
  x.plays = member::part::follower;
  x.reigns = false;
  if (led || (x.leader && *x.leader == x.number))
    x.leader.reset();
  if (led) {
    x.heard = stage_.now();
    x.patience = election_wait();
    watch_clock(x.number, x.start);
    fail_open(x);
  }
  tell_led(x);
}

void voters::fail_open(member& x) {
  auto open = std::exchange(x.open, {});
  const auto before = stage_.now_playing();
  stage_.become(x.life);
  for (auto& [index, one] : open)
    one.done(nullptr);
  stage_.become(before);
}

// -- messages --------------------------------------------------------------------------------------------------------

void voters::send(member& from, std::size_t to, message what) {
  what.from = from.number;
  const auto& target = *members_[to];
  if (wires_.is_cut(from.host->number, target.host->number))
    return;
  auto size = std::uint32_t{64} + static_cast<std::uint32_t>(what.state.size());
  for (const auto& each : what.entries)
    size += static_cast<std::uint32_t>(each.command.size()) + 16;
  const auto way = wires_.pass(from.host->number, target.host->number, size);
  for (const auto& delay : {way.delay, way.again})
    if (delay)
      stage_.plan(*delay, 0, [this, to, start = target.start, what] { receive(to, start, what); });
}

void voters::receive(std::size_t who, std::uint64_t start, const message& what) {
  auto& x = *members_[who];
  // A stuck host hears nothing in time.
  if (!x.up || x.start != start || x.host->slowness == 0)
    return;
  if (what.term > x.term)
    step_down(x, what.term);
  switch (what.what) {
    case message::kind::ask_vote: {
      const auto newer =
          what.index_term != x.term_of(x.last()) ? what.index_term > x.term_of(x.last()) : what.index >= x.last();
      const auto free = !x.voted || *x.voted == what.from || settings_.planted == plant::many_votes;
      const auto agreed = what.term == x.term && newer && free;
      if (agreed) {
        x.voted = what.from;
        x.heard = stage_.now();
      }
      return send(x, what.from, {.what = message::kind::vote, .term = x.term, .agreed = agreed});
    }
    case message::kind::vote:
      if (x.plays == member::part::candidate && what.term == x.term && what.agreed && ++x.votes == majority())
        win(x);
      return;
    case message::kind::append: return on_append(x, what);
    case message::kind::appended: return on_appended(x, what);
    case message::kind::snapshot: return on_snapshot(x, what);
  }
}

void voters::on_append(member& x, const message& what) {
  if (what.term < x.term)
    return send(x, what.from, {.what = message::kind::appended, .term = x.term, .index = 0});
  x.plays = member::part::follower;
  x.leader = what.from;
  x.heard = stage_.now();
  tell_led(x);
  if (what.index > x.last() || (what.index >= x.base && x.term_of(what.index) != what.index_term))
    return send(x, what.from,
                {.what = message::kind::appended, .term = x.term, .index = std::min(x.last(), what.index - 1)});
  if (!what.entries.empty() && x.host->disk->full())
    return;
  auto at = what.index;
  for (const auto& each : what.entries) {
    ++at;
    if (at <= x.base || (at <= x.last() && x.term_of(at) == each.term))
      continue;
    x.log.resize(at - 1 - x.base);
    x.synced = std::min(x.synced, at - 1);
    x.log.push_back(each);
  }
  const auto committed = std::min(what.committed, at);
  auto answer = [this, &x, to = what.from, at, committed] {
    x.committed = std::max(x.committed, committed);
    apply(x);
    send(x, to, {.what = message::kind::appended, .term = x.term, .index = at, .agreed = true});
  };
  if (what.entries.empty())
    answer();
  else
    sync(x, answer);
}

void voters::on_snapshot(member& x, const message& what) {
  if (what.term < x.term || what.index <= x.machine_state.index())
    return;
  x.plays = member::part::follower;
  x.leader = what.from;
  x.heard = stage_.now();
  if (x.host->disk->full() || !x.machine_state.restore(what.state))
    return;
  x.log.clear();
  x.base = what.index;
  x.base_term = what.index_term;
  x.committed = x.synced = what.index;
  if (x.watcher.state) {
    stage_.become(x.life);
    x.watcher.state(x.machine_state.below(""));
    stage_.become(0);
  }
  tell_led(x);
  send(x, what.from, {.what = message::kind::appended, .term = x.term, .index = what.index, .agreed = true});
}

void voters::on_appended(member& x, const message& what) {
  if (x.plays != member::part::leader || what.term != x.term)
    return;
  x.answered[what.from] = stage_.now();
  x.flying[what.from] = false;
  if (what.agreed) {
    x.match[what.from] = std::max(x.match[what.from], what.index);
    x.next[what.from] = std::max(x.next[what.from], x.match[what.from] + 1);
    count(x);
  } else {
    x.next[what.from] = std::max<std::uint64_t>(1, what.index + 1);
  }
  if (x.next[what.from] <= x.last())
    replicate(x, what.from);
}

// -- leading ---------------------------------------------------------------------------------------------------------

void voters::replicate(member& x, std::size_t to) {
  x.flying[to] = true;
  const auto before = x.next[to] - 1;
  if (before < x.base)
    return send(x, to,
                {.what = message::kind::snapshot,
                 .term = x.term,
                 .index = x.machine_state.index(),
                 .index_term = x.term_of(x.machine_state.index()),
                 .state = x.machine_state.snapshot()});
  auto what = message{.what = message::kind::append,
                      .term = x.term,
                      .index = before,
                      .index_term = x.term_of(before),
                      .committed = x.committed};
  for (auto at = x.next[to]; at <= x.last() && what.entries.size() < 256; ++at)
    what.entries.push_back(x.log[at - x.base - 1]);
  send(x, to, std::move(what));
}

void voters::beat(std::size_t who, std::uint64_t start, std::uint64_t term) {
  auto& x = *members_[who];
  if (!x.up || x.start != start || x.plays != member::part::leader || x.term != term)
    return;
  if (x.host->slowness != 0) {
    auto heard = std::size_t{1};
    for (auto to = std::size_t{0}; to < members_.size(); ++to)
      if (to != who && stage_.now() - x.answered[to] < 2 * settings_.election)
        ++heard;
    if (heard < majority())
      return step_down(x, x.term);
    for (auto to = std::size_t{0}; to < members_.size(); ++to)
      if (to != who)
        replicate(x, to);
  }
  stage_.plan(settings_.heartbeat, x.life, [=, this] { beat(who, start, term); });
}

void voters::append(member& x, entry what, std::function<void(const ledger::records::outcome*)> done) {
  x.log.push_back(std::move(what));
  x.open.emplace(x.last(), asked{x.term, std::move(done)});
  sync(x, [this, &x, term = x.term] {
    if (x.plays == member::part::leader && x.term == term)
      count(x);
  });
  for (auto to = std::size_t{0}; to < members_.size(); ++to)
    if (to != x.number && !x.flying[to])
      replicate(x, to);
}

void voters::sync(member& x, std::function<void()> then) {
  stage_.plan(settings_.sync, x.life, [this, &x, start = x.start, upto = x.last(), then] {
    if (x.start != start || !x.up)
      return;
    // What cannot be written now is tried again, as the real one does.
    if (x.host->disk->full()) {
      stage_.plan(std::chrono::milliseconds{100}, x.life, [this, &x, start, then] {
        if (x.start == start && x.up)
          sync(x, then);
      });
      return;
    }
    x.synced = std::max(x.synced, std::min(upto, x.last()));
    then();
    stage_.become(x.life);
  });
}

void voters::count(member& x) {
  auto have = x.match;
  have[x.number] = x.synced;
  std::ranges::sort(have, std::greater{});
  const auto agreed = have[settings_.planted == plant::early_answer ? 0 : majority() - 1];
  if (agreed <= x.committed || x.term_of(agreed) != x.term)
    return;
  x.committed = agreed;
  apply(x);
}

void voters::apply(member& x) {
  const auto before = stage_.now_playing();
  stage_.become(x.life);
  while (x.machine_state.index() < std::min(x.committed, x.synced)) {
    const auto index = x.machine_state.index() + 1;
    const auto& next = x.log[index - x.base - 1];
    auto outcome = ledger::records::outcome{};
    const auto forgets = settings_.planted == plant::uneven_truth && x.number == 1 && index % 40 == 0;
    const auto command = next.command.empty() || forgets ? std::nullopt : ledger::parse_command(next.command);
    if (command)
      outcome = x.machine_state.apply(index, *command);
    else
      x.machine_state.skip(index);
    const auto hushed = settings_.planted == plant::lost_news && index % 23 == 0;
    if (x.watcher.changed && !hushed && outcome.changed.written_size() + outcome.changed.removed_size() > 0)
      x.watcher.changed(outcome.changed);
    if (x.plays == member::part::leader && !x.reigns && index >= x.began_at) {
      x.reigns = true;
      tell_led(x);
    }
    const auto waiting = x.open.equal_range(index);
    auto served = std::vector<asked>{};
    for (auto one = waiting.first; one != waiting.second; ++one)
      served.push_back(std::move(one->second));
    x.open.erase(waiting.first, waiting.second);
    for (auto& one : served)
      one.done(one.term == next.term ? &outcome : nullptr);
  }
  compact(x);
  stage_.become(before);
}

void voters::compact(member& x) {
  auto upto = x.machine_state.index();
  if (members_.size() > 1)
    upto = upto > settings_.kept_max ? upto - settings_.kept_max : 0;
  while (x.base < upto && !x.log.empty()) {
    x.base_term = x.log.front().term;
    x.log.pop_front();
    ++x.base;
  }
}

} // namespace novacron::simulation
