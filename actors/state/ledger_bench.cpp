#include "actors/state/ledger_bench.hpp"

#include "actors/state/bare_raft.hpp"
#include "actors/state/history.hpp"
#include "actors/state/voter_group.hpp"

#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace novacron::ledger {
namespace {

using monotonic = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t value_bytes = 256;

double median(std::vector<double> x) { return host::quantile(std::move(x), 0.5); }

double seconds(monotonic::duration x) { return std::chrono::duration<double>(x).count(); }

/// Commits through the client library, each answer beginning the next command.
class pipeline {
public:
  explicit pipeline(client& through) : through_{through} {}

  std::vector<double> commit(std::size_t count, std::size_t outstanding, double& total) {
    left_ = count;
    open_ = 0;
    took_.clear();
    const auto begun = monotonic::now();
    for (auto i = std::size_t{0}; i < std::min(count, outstanding); ++i)
      next();
    auto lock = std::unique_lock{guard_};
    done_.wait(lock, [this] { return left_ == 0 && open_ == 0; });
    total = seconds(monotonic::now() - begun);
    if (!failure_.empty())
      throw std::runtime_error{"the ledger refused a command: " + failure_};
    return std::move(took_);
  }

private:
  void next() {
    {
      const auto lock = std::lock_guard{guard_};
      if (left_ == 0)
        return;
      --left_;
      ++open_;
    }
    const auto begun = monotonic::now();
    through_.propose(put("bench/" + std::to_string(number_++ % 1024), std::string(value_bytes, 'x')),
                     [this, begun](answer<wire::LedgerApplied> x) {
                       const auto took = seconds(monotonic::now() - begun);
                       {
                         const auto lock = std::lock_guard{guard_};
                         took_.push_back(took);
                         if (!x.ok)
                           failure_ = x.text;
                       }
                       next();
                       const auto lock = std::lock_guard{guard_};
                       if (--open_ == 0 && left_ == 0)
                         done_.notify_all();
                     });
  }

  client& through_;
  std::mutex guard_;
  std::condition_variable done_;
  std::size_t left_ = 0;
  std::size_t open_ = 0;
  std::atomic<std::uint64_t> number_ = 0;
  std::vector<double> took_;
  std::string failure_;
};

struct measured {
  std::vector<double> rate;
  std::vector<double> p50;
};

void measure_commits(const bench_options& options, std::vector<host::figure>& figures) {
  auto group = voter_group{{.program = options.program, .directory = options.directory / "one", .count = 1}};
  group.start_all();
  auto own = client{{.socket = group.options(0).socket}};
  auto ours = pipeline{own};
  auto bare = bare_raft{options.directory / "bare"};
  constexpr auto depths = std::array<std::size_t, 3>{1, 16, 128};
  auto by_us = std::map<std::size_t, measured>{};
  auto by_peer = std::map<std::size_t, measured>{};
  auto counts = std::map<std::size_t, std::size_t>{};
  auto run = [&](std::size_t depth, bool peer) {
    const auto count = counts.contains(depth) ? counts[depth] : 200;
    auto total = 0.0;
    auto took = peer ? bare.commit(count, depth, value_bytes + 64, total) : ours.commit(count, depth, total);
    if (!counts.contains(depth))
      counts[depth] = std::clamp<std::size_t>(static_cast<std::size_t>(options.seconds_each * 200 / total), 200, 200'000);
    else {
      auto& into = (peer ? by_peer : by_us)[depth];
      into.rate.push_back(static_cast<double>(count) / total);
      into.p50.push_back(median(std::move(took)));
    }
  };
  for (const auto depth : depths)
    run(depth, true);
  // Interleaved, and who begins alternates: a slow spell of the machine meets both.
  for (auto round = 0u; round < options.rounds; ++round)
    for (const auto depth : depths) {
      run(depth, round % 2 == 0);
      run(depth, round % 2 == 1);
    }
  auto add = [&](std::string name, std::string unit, double value, double peer) {
    figures.push_back(host::beside(std::move(name), value, std::move(unit), "bare C-raft", peer));
  };
  for (const auto depth : depths)
    add("commit_rate_" + std::to_string(depth), "1/s", median(by_us[depth].rate), median(by_peer[depth].rate));
  add("commit_p50_1", "s", median(by_us[1].p50), median(by_peer[1].p50));
}

/// One of several that write, compare and read at the same time, and note what they saw.
class worker {
public:
  worker(voter_group& group, std::size_t number, std::uint64_t seed)
      : group_{group}, name_{std::to_string(number)}, chance_{seed} {}

  void run(const std::atomic<bool>& over, std::atomic<std::int64_t>& last_done) {
    while (!over) {
      one();
      if (history.back().how != operation::result::unknown)
        last_done = monotonic::now().time_since_epoch().count();
    }
  }

  std::vector<operation> history;
  /// Each in a key of its own, so that none may be missing at the end.
  std::set<std::string> acknowledged;

private:
  void one() {
    auto x = operation{};
    x.key = "register/" + std::to_string(chance_() % 3);
    x.process = name_ + "." + std::to_string(incarnation_);
    x.begin = monotonic::now().time_since_epoch().count();
    switch (chance_() % 4) {
      case 0: read(x); break;
      case 1: write(x); break;
      default: compare(x); break;
    }
    x.end = monotonic::now().time_since_epoch().count();
    // Whoever does not know the outcome goes on as somebody else.
    if (x.how == operation::result::unknown)
      ++incarnation_;
    history.push_back(std::move(x));
  }

  void read(operation& x) {
    x.what = operation::kind::read;
    auto revision = std::uint64_t{0};
    x.how = look(x.key, x.value, revision) ? operation::result::ok : operation::result::unknown;
  }

  bool look(const std::string& key, operation::content& value, std::uint64_t& revision) {
    const auto found = group_.read(key, 3s, hint_);
    if (found.ok && found.value.entries_size() > 0) {
      value = {true, found.value.entries(0).value()};
      revision = found.value.entries(0).revision();
    }
    return found.ok;
  }

  void write(operation& x) {
    x.what = operation::kind::write;
    finish(x, put(x.key, ""));
  }

  void compare(operation& x) {
    x.what = operation::kind::read;
    auto revision = std::uint64_t{0};
    if (!look(x.key, x.value, revision)) {
      x.how = operation::result::unknown;
      return;
    }
    x.end = monotonic::now().time_since_epoch().count();
    history.push_back(x);
    x.begin = monotonic::now().time_since_epoch().count();
    x.what = operation::kind::cas;
    x.expect = x.value;
    auto command = put(x.key, "");
    command.mutable_ops(0)->set_conditional(true);
    command.mutable_ops(0)->set_revision(revision);
    finish(x, std::move(command));
  }

  /// Values are unique, so that the revision is the same exactly when the value is.
  void finish(operation& x, wire::LedgerCommand command) {
    const auto mark = name_ + "-" + std::to_string(++number_);
    x.value = {true, mark};
    command.mutable_ops(0)->set_value(mark);
    auto& own = *command.add_ops();
    own.set_key("acknowledged/" + mark);
    own.set_value(mark);
    const auto done = group_.propose(std::move(command), 3s, hint_);
    if (!done.ok)
      x.how = operation::result::unknown;
    else if (!done.value.applied())
      x.how = operation::result::fail;
    else
      acknowledged.insert(own_key(mark));
  }

  static std::string own_key(const std::string& mark) { return "acknowledged/" + mark; }

  voter_group& group_;
  std::string name_;
  std::mt19937_64 chance_;
  std::size_t hint_ = 0;
  std::uint64_t number_ = 0;
  std::uint64_t incarnation_ = 0;
};

/// Kills the leader while work goes on. Returns how long nobody's operation ended, in seconds.
double kill_leader(voter_group& group, const std::atomic<std::int64_t>& last_done) {
  const auto victim = group.leader(5s);
  if (!victim)
    throw std::runtime_error{"nobody leads"};
  group.kill(*victim, SIGKILL);
  group.reap(*victim);
  const auto killed = monotonic::now().time_since_epoch().count();
  // An answer that was already on its way counts for the dead leader, not for the next one.
  std::this_thread::sleep_for(20ms);
  const auto settled = last_done.load();
  while (last_done == settled && monotonic::now().time_since_epoch().count() - killed < 30'000'000'000)
    std::this_thread::sleep_for(1ms);
  const auto without = last_done.load() - killed;
  group.start(*victim);
  const auto behind = group.leader(5s);
  const auto goal = behind ? group.status(*behind).committed() : 0;
  for (const auto end = monotonic::now() + 5s; monotonic::now() < end && group.status(*victim).applied() < goal;)
    std::this_thread::sleep_for(20ms);
  return static_cast<double>(without) * 1e-9;
}

} // namespace

failover_report measure_failover(const bench_options& options) {
  auto report = failover_report{};
  auto group = voter_group{{.program = options.program, .directory = options.directory / "three", .trust = options.trust}};
  group.start_all();
  auto over = std::atomic<bool>{false};
  auto last_done = std::atomic<std::int64_t>{0};
  auto workers = std::vector<worker>{};
  for (auto i = std::size_t{0}; i < 4; ++i)
    workers.emplace_back(group, i, options.seed * 16 + i);
  auto threads = std::vector<std::thread>{};
  for (auto& one : workers)
    threads.emplace_back([&] { one.run(over, last_done); });
  auto chance = std::mt19937_64{options.seed};
  auto problem = std::string{};
  try {
    for (auto i = 0u; i < options.kills; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds{100 + chance() % 200});
      report.seconds_without.push_back(kill_leader(group, last_done));
    }
  } catch (const std::exception& x) {
    problem = x.what();
  }
  over = true;
  for (auto& thread : threads)
    thread.join();
  if (!problem.empty())
    throw std::runtime_error{problem};

  auto hint = std::size_t{0};
  const auto found = group.read("acknowledged/", 10s, hint);
  if (!found.ok)
    throw std::runtime_error{"the ledger cannot be read at the end: " + found.text};
  auto there = std::set<std::string>{};
  for (const auto& entry : found.value.entries())
    there.insert(entry.key());
  auto history = std::vector<operation>{};
  for (const auto& one : workers) {
    history.insert(history.end(), one.history.begin(), one.history.end());
    report.acknowledged += one.acknowledged.size();
    for (const auto& key : one.acknowledged)
      report.lost += !there.contains(key);
  }
  for (const auto& x : history)
    report.history += to_line(x) + "\n";
  auto lines = std::istringstream{report.history};
  auto words = std::ostringstream{};
  report.linearizable = check_history(lines, words) == 0;
  report.verdict = words.str();
  return report;
}

std::vector<host::figure> bench_ledger(const bench_options& options) {
  auto figures = std::vector<host::figure>{};
  measure_commits(options, figures);
  if (options.kills > 0) {
    const auto report = measure_failover(options);
    figures.push_back({"failover_p50", median(report.seconds_without), "s"});
    figures.push_back({"failover_max", *std::max_element(report.seconds_without.begin(), report.seconds_without.end()), "s"});
    figures.push_back({"acknowledged", static_cast<double>(report.acknowledged), "1"});
    figures.push_back({"lost", static_cast<double>(report.lost), "1"});
    figures.push_back({"linearizable", report.linearizable ? 1.0 : 0.0, "1"});
  }
  auto problem = std::error_code{};
  for (const auto* part : {"one", "bare", "three"})
    std::filesystem::remove_all(options.directory / part, problem);
  return figures;
}

} // namespace novacron::ledger
