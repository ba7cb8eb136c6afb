#include "actors/state/ledger_server.hpp"

#include "actors/state/backup.hpp"
#include "actors/state/disk_room.hpp"
#include "actors/state/ledger_clients.hpp"
#include "actors/state/raft_engine.hpp"
#include "actors/state/records.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>
#include <uv.h>

#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace novacron::ledger {
namespace {

constexpr int exit_again = 75;
/// Commands that may wait for the disk; more are refused.
constexpr std::size_t commands_max = 16'384;
constexpr std::size_t command_bytes_waiting_max = 64u << 20;
/// One write to the log: large enough for any command, small beside a segment.
constexpr std::size_t batch_entries_max = 1024;
constexpr std::size_t batch_bytes_max = 2u << 20;
constexpr std::uint64_t tick_ms = 50;
/// Ticks without a commit after which followers are settled.
constexpr unsigned quiet_ticks_max = 10;
/// A log of this size, and that of the records, calls for a snapshot: reading it again is what a start waits for.
constexpr std::uint64_t log_bytes_max = 32u << 20;
constexpr auto doubt = "leadership was lost on the way; whether it was done is not known";
class server {
public:
  explicit server(const server_options& options) : options_{options} {}

  int run() {
    uv_loop_init(&loop_);
    if (!lock())
      return complain("another process uses " + options_.directory.string()), exit_again;
    if (const auto problem = clients_.listen(options_.socket); !problem.empty())
      return complain(problem), 1;
    uv_timer_init(&loop_, &again_);
    again_.data = this;
    // Before anything else can fill the disk.
    if (!room_.full())
      room_.put_aside();
    open_engine();
    begin_loop();
    uv_run(&loop_, UV_RUN_DEFAULT);
    return exit_code_;
  }

private:
  // --- start and end

  static void complain(const std::string& what) { std::fprintf(stderr, "ledger: %s\n", what.c_str()); }

  /// Two processes on one log would destroy it. One that was just killed may hold it for a moment longer.
  bool lock() const {
    const auto fd = ::open((options_.directory / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (auto tries = 0; fd >= 0 && tries < 100; ++tries) {
      if (::flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
      ::usleep(20'000);
    }
    return false;
  }

  void begin_loop() {
    prepare_.data = check_.data = tick_.data = ended_.data = interrupted_.data = this;
    uv_prepare_init(&loop_, &prepare_);
    uv_prepare_start(&prepare_, [](uv_prepare_t* h) { static_cast<server*>(h->data)->turn(); });
    uv_check_init(&loop_, &check_);
    uv_check_start(&check_, [](uv_check_t* h) { static_cast<server*>(h->data)->turn(); });
    uv_timer_init(&loop_, &tick_);
    uv_timer_start(&tick_, [](uv_timer_t* h) { static_cast<server*>(h->data)->tick(); }, tick_ms, tick_ms);
    for (auto [handle, number] : {std::pair{&ended_, SIGTERM}, std::pair{&interrupted_, SIGINT}}) {
      uv_signal_init(&loop_, handle);
      uv_signal_start(handle, [](uv_signal_t* h, int) { static_cast<server*>(h->data)->end(0); }, number);
    }
  }

  /// Everything that matters is on disk already: the loop ends as it is.
  void end(int code) {
    exit_code_ = code;
    clients_.flush();
    ::unlink(options_.socket.c_str());
    uv_stop(&loop_);
  }

  void open_engine() {
    fresh_ = std::make_unique<records>();
    engine_ = std::make_unique<engine>(&loop_, options_,
                                       engine::hooks{
                                           .apply = [this](auto index, auto bytes) { apply(index, bytes); },
                                           .snapshot = [this] { return take_snapshot(); },
                                           .restore = [this](auto bytes) { return restore(bytes); },
                                           .doubted = [this] { fail_pending(); },
                                       });
    trouble_ = engine_->start();
    // What is tried again and again is said once.
    if (!trouble_.empty() && trouble_ != said_)
      complain(trouble_);
    said_ = trouble_;
    if (!trouble_.empty() && room_.full()) {
      // Even to read its log the library needs a little room: what was put aside for this.
      trouble_.clear();
      room_.use_up();
      return reopen_engine();
    }
    was_alone_ = trouble_.empty() && engine_->alone();
    // A loaded log is the truth at once when it is at least as long as what was known before.
    adopt_fresh();
  }

  /// While the log is read again, the records from before it broke are served until the new ones caught up.
  records& current() { return fresh_ ? *fresh_ : *serving_; }

  void adopt_fresh() {
    if (fresh_ && (!serving_ || fresh_->index() >= serving_->index()))
      serving_ = std::move(fresh_);
  }

  void reopen_engine() {
    reopening_ = true;
    fail_pending();
    engine_->close([this] {
      // Not from within the library's own callback.
      uv_timer_start(&again_, [](uv_timer_t* t) { static_cast<server*>(t->data)->reopen_when_possible(); }, 200, 500);
    });
  }

  void reopen_when_possible() {
    engine_.reset();
    if (serving().index() > 0 && (room_.low() || room_.full()))
      return;
    uv_timer_stop(&again_);
    reopening_ = false;
    open_engine();
  }

  // --- the state

  void apply(std::uint64_t index, std::string_view bytes) {
    log_bytes_ += bytes.size();
    auto own = pending_.extract(index);
    auto asked = own ? own.mapped().who : caller{};
    if (own)
      pending_bytes_ -= own.mapped().size;
    // What was proposed here stands there as it was parsed then, unless the term has ended since: another leader may
    // have written something else there before the library tells that this one leads no longer.
    const auto same = own && own.mapped().term == engine_->term();
    if (own && !same)
      refuse(std::exchange(asked, {}), fault::unavailable, doubt);
    auto command = same ? std::optional{std::move(own.mapped().command)} : parse_command(bytes);
    if (!command) {
      complain("entry " + std::to_string(index) + " of the log is no command; it is skipped");
      return current().skip(index);
    }
    auto done = current().apply(index, std::move(*command));
    if (done.forgotten)
      refuse(asked, fault::conflict, "this client has sent so many commands since that the answer is forgotten");
    else
      answer(asked, done.answer);
    if (fresh_)
      adopt_fresh();
    else if (done.changed.written_size() + done.changed.removed_size() > 0)
      tell_watchers(done.changed);
  }

  std::string take_snapshot() {
    log_bytes_ = 0;
    return current().snapshot();
  }

  bool restore(std::string_view bytes) {
    if (!current().restore(bytes))
      return false;
    if (fresh_)
      adopt_fresh();
    if (clients_.watched())
      clients_.tell_watchers(state_news());
    return true;
  }

  void tell_watchers(wire::LedgerChanged& changed) {
    auto news = wire::LedgerReply{};
    *news.mutable_changed() = std::move(changed);
    clients_.tell_watchers(news);
  }

  wire::LedgerReply state_news() {
    auto news = wire::LedgerReply{};
    *news.mutable_entries() = serving().below("");
    return news;
  }

  wire::LedgerReply led_news() const {
    auto news = wire::LedgerReply{};
    auto& led = *news.mutable_led();
    led.set_leader(leader_);
    led.set_term(term_);
    led.set_here(!leader_.empty() && leader_ == options_.node);
    return news;
  }

  const records& serving() {
    static const auto nothing = records{};
    return serving_ ? *serving_ : nothing;
  }

  // --- each turn of the loop

  void turn() {
    submit();
    begin_barrier();
    follow_leadership();
    clients_.flush();
    if (log_bytes_ > log_bytes_max + serving().bytes() && usable())
      engine_->snapshot_soon();
  }

  void tick() {
    low_ = room_.low();
    if (reopening_)
      return;
    if (engine_->broken() && trouble_.empty())
      return reopen_engine();
    if (low_ && trouble_.empty())
      engine_->hand_over();
    settle_followers();
    if (!low_ && !room_.full())
      room_.put_aside();
  }

  /// A voter that stood still while others led learns of the last commit only with the next entry, which may be hours
  /// away: its heartbeats do not tell it. So what was committed last is followed by an entry without content.
  void settle_followers() {
    if (!leads() || engine_->alone() || settling_)
      return;
    const auto now = engine_->committed();
    if (std::exchange(committed_, now) != now)
      quiet_ticks_ = 0;
    if (now <= settled_ || ++quiet_ticks_ < quiet_ticks_max)
      return;
    settling_ = true;
    engine_->barrier([this](const engine::verdict& how) {
      settling_ = false;
      if (how.ok)
        settled_ = committed_ = engine_->committed();
    });
  }

  bool usable() const { return !reopening_ && trouble_.empty(); }
  bool leads() const { return usable() && engine_->leads(); }

  void submit() {
    while (!waiting_.empty()) {
      auto entries = std::vector<std::string_view>{};
      auto size = std::size_t{0};
      while (entries.size() < waiting_.size() && entries.size() < batch_entries_max && size < batch_bytes_max) {
        entries.emplace_back(waiting_[entries.size()].bytes);
        size += entries.back().size();
      }
      auto why = engine::verdict{.ok = false, .kind = fault::unavailable, .text = "the ledger is being opened again"};
      auto accepted = std::size_t{0};
      const auto term = usable() ? engine_->term() : 0;
      const auto first = usable() ? engine_->propose(entries, accepted, why) : 0;
      for (auto i = std::size_t{0}; i < entries.size(); ++i) {
        auto one = std::move(waiting_.front());
        waiting_.pop_front();
        if (i < accepted) {
          one.asked.term = term;
          pending_.insert_or_assign(pending_.end(), first + i, std::move(one.asked));
        } else {
          pending_bytes_ -= one.asked.size;
          refuse(one.asked.who, why.kind, why.text);
        }
      }
    }
  }

  void fail_pending() {
    for (const auto& [index, p] : std::exchange(pending_, {})) {
      pending_bytes_ -= p.size;
      refuse(p.who, fault::unavailable, doubt);
    }
  }

  void begin_barrier() {
    if (reads_.empty() || barrier_under_way_)
      return;
    barrier_under_way_ = true;
    auto batch = std::exchange(reads_, {});
    auto done = [this, batch](const engine::verdict& how) {
      barrier_under_way_ = false;
      for (const auto& [who, prefix] : batch)
        how.ok ? answer(who, serving().below(prefix)) : refuse(who, how.kind, how.text);
    };
    usable() ? engine_->barrier(done) : done({false, fault::unavailable, "the ledger is being opened again"});
  }

  void follow_leadership() {
    const auto leader = usable() ? engine_->leader() : std::string{};
    const auto term = usable() ? engine_->term() : term_;
    if (leads())
      was_alone_ = engine_->alone();
    if (leader == leader_ && term == term_)
      return;
    const auto led = leader_ == options_.node;
    leader_ = leader;
    term_ = term;
    // Of a batch the library answers only for its first entry: the others are told here.
    if (led)
      fail_pending();
    clients_.tell_watchers(led_news());
  }

  // --- clients

  void answer(const caller& who, const wire::LedgerApplied& x) {
    if (who.connection == 0)
      return restorations_.contains(who.call) ? continue_restoration(who.call) : void();
    *applied_.mutable_applied() = x;
    clients_.answer(who, applied_);
  }

  void answer(const caller& who, wire::LedgerEntries x) {
    auto reply = wire::LedgerReply{};
    *reply.mutable_entries() = std::move(x);
    clients_.answer(who, reply);
  }

  void refuse(const caller& who, fault kind, const std::string& text) {
    if (who.connection == 0) {
      if (const auto run = restorations_.extract(who.call))
        refuse(run.mapped().who, kind, text + "; the restoration is not finished");
      return;
    }
    auto reply = wire::LedgerReply{};
    reply.set_fault(static_cast<std::uint32_t>(kind));
    reply.set_text(text);
    reply.set_leader(leader_);
    clients_.answer(who, reply);
  }

  void handle(const caller& who, wire::LedgerCall& call) {
    switch (call.what_case()) {
      case wire::LedgerCall::kCommand: return propose(who, std::move(*call.mutable_command()));
      case wire::LedgerCall::kRead: return read(who, call.read());
      case wire::LedgerCall::kWatch:
        clients_.watch(who.connection);
        clients_.tell(who.connection, state_news());
        return clients_.tell(who.connection, led_news());
      case wire::LedgerCall::kStatus: return status(who);
      case wire::LedgerCall::kAdd: return change(who, [&](auto told) { add(call.add(), told); });
      case wire::LedgerCall::kRemove:
        return change(who, [&](auto told) { engine_->remove(call.remove().node(), told); });
      case wire::LedgerCall::kSnapshot: return change(who, [&](auto told) { engine_->snapshot(told); });
      case wire::LedgerCall::kBackup: return backup(who, call.backup().path());
      case wire::LedgerCall::kRestore: return restore_backup(who, call.restore());
      case wire::LedgerCall::WHAT_NOT_SET: return refuse(who, fault::bad_request, "the call asks for nothing");
    }
  }

  void propose(const caller& who, std::string bytes) {
    auto parsed = parse_command(bytes);
    if (!parsed)
      return refuse(who, fault::bad_request, "this is not a command that the ledger takes");
    if (!leads())
      return refuse_follower(who);
    if (const auto why = wrong_term(*parsed, engine_->term()); !why.empty())
      return refuse(who, fault::conflict, why);
    if (low_)
      return refuse(who, fault::storage, "the disk of the ledger is full: nothing was written");
    if (pending_.size() + waiting_.size() >= commands_max || pending_bytes_ + bytes.size() > command_bytes_waiting_max)
      return refuse(who, fault::overloaded, "too many commands wait for the disk");
    pending_bytes_ += bytes.size();
    auto asked = pending{.who = who, .command = std::move(*parsed), .size = bytes.size()};
    waiting_.push_back({std::move(asked), std::move(bytes)});
  }

  void refuse_follower(const caller& who) {
    if (!trouble_.empty())
      return refuse(who, fault::storage, trouble_);
    if (reopening_)
      return refuse(who, fault::storage, "the ledger's disk failed or is full; its log is opened again when possible");
    if (engine_->leader().empty())
      return refuse(who, fault::unavailable, "nobody leads the ledger right now");
    refuse(who, fault::not_leader, "another node leads");
  }

  void read(const caller& who, const wire::LedgerRead& what) {
    // While this was the only vote nobody else can have written: what is known here is all there is.
    if (!what.linearizable() || (reopening_ && was_alone_))
      return answer(who, serving().below(what.prefix()));
    if (!leads())
      return refuse_follower(who);
    // A leader without followers that has applied what it has committed needs to ask nobody.
    if (engine_->alone() && engine_->applied() >= engine_->committed())
      return answer(who, serving().below(what.prefix()));
    if (reads_.size() >= commands_max)
      return refuse(who, fault::overloaded, "too many reads wait for the majority");
    reads_.emplace_back(who, what.prefix());
  }

  void status(const caller& who) {
    auto reply = wire::LedgerReply{};
    auto& s = *reply.mutable_status();
    s.set_leader(leader_);
    s.set_term(term_);
    s.set_applied(serving().index());
    s.set_records(serving().all().size());
    s.set_bytes(serving().bytes());
    if (usable()) {
      s.set_committed(engine_->committed());
      s.set_refused(engine_->refused_peers());
      for (auto& member : engine_->members())
        *s.add_members() = std::move(member);
    }
    s.set_state(!trouble_.empty()                           ? trouble_
                : low_ || (reopening_ && room_.full())      ? "read-only: disk full"
                : reopening_                                ? "read-only: the disk failed"
                : s.members_size() == 0                     ? "waiting to be added"
                : leader_.empty()                           ? "no leader"
                                                            : "serving");
    clients_.answer(who, reply);
  }

  template <class F>
  void change(const caller& who, F&& begin) {
    if (!leads())
      return refuse_follower(who);
    begin([this, who](const engine::verdict& how) {
      auto applied = wire::LedgerApplied{};
      applied.set_index(serving().index());
      applied.set_applied(true);
      how.ok ? answer(who, applied) : refuse(who, how.kind, how.text);
    });
  }

  void add(const wire::LedgerAdd& what, const engine::decided& told) {
    if (what.node().empty() || what.address().find(':') == std::string::npos)
      return told({false, fault::bad_request, "a voter needs a name and an address HOST:PORT"});
    if (options_.address.empty())
      return told({false, fault::unsupported, "this ledger has no address where voters could reach it"});
    engine_->add(what.node(), what.address(), told);
  }

  void backup(const caller& who, const std::string& path) {
    write_backup(&loop_, path, serving().snapshot(), [this, who, index = serving().index()](const std::string& problem) {
      auto applied = wire::LedgerApplied{};
      applied.set_index(index);
      applied.set_applied(true);
      problem.empty() ? answer(who, applied) : refuse(who, fault::storage, problem);
    });
  }

  void restore_backup(const caller& who, const wire::LedgerRestore& what) {
    if (!leads())
      return refuse_follower(who);
    read_backup(&loop_, what.path(), [this, who, force = what.force()](backup_file file) {
      if (!file.problem.empty())
        return refuse(who, fault::bad_request, file.problem);
      auto plan = plan_restoration(serving(), file.content, file.client, force);
      if (!plan.refused.empty())
        return refuse(who, fault::conflict, plan.refused);
      const auto number = ++last_restoration_;
      restorations_.emplace(number, restoration_run{who, std::move(plan.commands)});
      continue_restoration(number);
    });
  }

  /// One command after the other, so that a large backup neither floods the log nor the queue.
  void continue_restoration(std::uint64_t number) {
    auto& run = restorations_.at(number);
    if (run.next < run.commands.size())
      return propose(caller{0, number}, run.commands[run.next++].SerializeAsString());
    auto applied = wire::LedgerApplied{};
    applied.set_index(serving().index());
    applied.set_applied(true);
    answer(run.who, applied);
    restorations_.erase(number);
  }

  struct pending {
    caller who;
    wire::LedgerCommand command;
    std::size_t size = 0;
    /// In which it was proposed.
    std::uint64_t term = 0;
  };
  struct proposal {
    pending asked;
    std::string bytes;
  };
  /// Its commands are proposed by a caller without connection whose call is the restoration's number.
  struct restoration_run {
    caller who;
    std::vector<wire::LedgerCommand> commands;
    std::size_t next = 0;
  };

  server_options options_;
  disk_room room_{options_.directory, options_.free_bytes_min, options_.segment_bytes};
  uv_loop_t loop_{};
  uv_prepare_t prepare_{};
  uv_check_t check_{};
  uv_timer_t tick_{};
  uv_timer_t again_{};
  uv_signal_t ended_{};
  uv_signal_t interrupted_{};
  int exit_code_ = 0;

  std::unique_ptr<engine> engine_;
  std::unique_ptr<records> serving_;
  std::unique_ptr<records> fresh_;
  /// Why the log cannot be used at all; empty when it can.
  std::string trouble_;
  std::string said_;
  bool reopening_ = false;
  bool was_alone_ = false;
  bool low_ = false;
  std::string leader_;
  std::uint64_t term_ = 0;

  ledger_clients clients_{&loop_, [this](const caller& who, wire::LedgerCall& call) { handle(who, call); }};
  /// Used again for each answer, so that its memory is.
  wire::LedgerReply applied_;
  std::deque<proposal> waiting_;
  std::map<std::uint64_t, pending> pending_;
  std::size_t pending_bytes_ = 0;
  /// Applied since the last snapshot.
  std::uint64_t log_bytes_ = 0;
  std::uint64_t committed_ = 0;
  unsigned quiet_ticks_ = 0;
  std::uint64_t settled_ = 0;
  bool settling_ = false;
  std::vector<std::pair<caller, std::string>> reads_;
  bool barrier_under_way_ = false;
  std::map<std::uint64_t, restoration_run> restorations_;
  std::uint64_t last_restoration_ = 0;
};

} // namespace

int ledger_server_main(const server_options& options) {
  // The library writes to sockets of voters that died.
  ::signal(SIGPIPE, SIG_IGN);
  auto problem = std::error_code{};
  std::filesystem::create_directories(options.directory, problem);
  auto here = std::make_unique<server>(options);
  const auto code = here->run();
  // Handles of the library are still open: the process ends with them.
  std::fflush(nullptr);
  ::_exit(code);
}

} // namespace novacron::ledger
