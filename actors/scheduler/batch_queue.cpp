#include "actors/scheduler/batch_queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <queue>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

namespace novacron::scheduler {
namespace {

constexpr auto never = std::numeric_limits<std::int64_t>::max();

/// Some decimals of times occur; a part of a second is dropped.
std::int64_t number(std::string_view word, std::size_t line) {
  auto value = 0.0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size() || !(std::abs(value) < 1e12))
    throw std::runtime_error{fmt::format("workload: line {}: \"{}\" is not a number", line, word)};
  return static_cast<std::int64_t>(value);
}

std::vector<std::string_view> words_of(std::string_view line) {
  auto words = std::vector<std::string_view>{};
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
    if (line.empty())
      return words;
    const auto end = std::min(line.find_first_of(" \t\r"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

/// "; MaxProcs: 256"; nodes count where processors are not told.
void read_header(std::string_view line, std::size_t at, batch_trace& found) {
  for (const auto* name : {"MaxProcs:", "MaxNodes:"}) {
    const auto begin = line.find(name);
    if (begin == std::string_view::npos)
      continue;
    const auto words = words_of(line.substr(begin + std::string_view{name}.size()));
    if (!words.empty() && (name[3] == 'P' || found.processors <= 0))
      found.processors = number(words[0], at);
  }
}

void read_job(std::string_view line, std::size_t at, batch_trace& found) {
  const auto words = words_of(line);
  if (words.empty())
    return;
  if (words.size() < 9)
    throw std::runtime_error{fmt::format("workload: line {} has fewer than 9 fields", at)};
  const auto run = number(words[3], at);
  const auto estimate = number(words[8], at);
  const auto processors = std::max(number(words[4], at), number(words[7], at));
  if (run > 0 && processors > 0)
    found.jobs.push_back({number(words[1], at), run, estimate > 0 ? estimate : run, processors});
}

/// The pool at one time, and the queue in front of it.
class pool {
public:
  pool(std::span<const batch_job> jobs, std::int64_t processors, queue_order order)
      : jobs_{jobs}, order_{order}, free_{processors}, starts_(jobs.size(), -1) {
    arrive();
  }

  std::vector<std::int64_t> run(backfilling fill) {
    for (;;) {
      if (queue_.empty()) {
        if (next_ == jobs_.size())
          return starts_;
        advance();
      } else if (fill == backfilling::none || fill == backfilling::passing) {
        wait_for(first(fill == backfilling::none), fill == backfilling::passing);
      } else {
        fill == backfilling::easy ? start_around_first() : start_by_plan();
        advance();
      }
    }
  }

private:
  using index = std::size_t;
  using ending = std::pair<std::int64_t, index>;

  double rank(index at) const {
    const auto& x = jobs_[at];
    const auto estimate = static_cast<double>(x.estimate);
    switch (order_) {
      case queue_order::first_come: return 0;
      case queue_order::shortest: return estimate;
      case queue_order::slowdown:
        return estimate * std::max(estimate, 10.0) * std::pow(static_cast<double>(x.processors), 0.25);
    }
    return 0;
  }

  bool admits(index at) const { return jobs_[at].processors <= free_; }

  /// The first of the queue. When it would hold up all others, one that fits goes first in our order.
  index first(bool blocks) const {
    if (!blocks || order_ != queue_order::slowdown)
      return *std::ranges::min_element(queue_, {}, [&](auto x) { return std::tuple{rank(x), x}; });
    const auto cost = [&](index x) {
      if (admits(x))
        return std::tuple{0, rank(x), x};
      const auto span = static_cast<double>(earliest(x).first - now_ + jobs_[x].estimate);
      return std::tuple{1, span * static_cast<double>(jobs_[x].processors), x};
    };
    return *std::ranges::min_element(queue_, {}, cost);
  }

  /// When the job could start by the estimates, and what is left beside it then.
  std::pair<std::int64_t, std::int64_t> earliest(index at) const {
    auto free = free_;
    auto when = now_;
    if (free < jobs_[at].processors)
      for (const auto& [end, other] : expected_) {
        free += jobs_[other].processors;
        when = std::max(now_, end);
        if (free >= jobs_[at].processors)
          break;
      }
    return {when, free - jobs_[at].processors};
  }

  void wait_for(index at, bool others_pass) {
    const auto deadline = earliest(at).first;
    while (!admits(at)) {
      if (others_pass)
        for (const auto other : std::vector(queue_))
          if (other != at && admits(other) && now_ + jobs_[other].estimate < deadline)
            start(other);
      advance();
    }
    start(at);
  }

  std::vector<index> ordered() const {
    auto all = queue_;
    std::ranges::sort(all, {}, [&](auto x) { return std::tuple{rank(x), x}; });
    return all;
  }

  void start_around_first() {
    const auto all = ordered();
    auto at = std::size_t{0};
    while (at < all.size() && admits(all[at]))
      start(all[at++]);
    if (at == all.size())
      return;
    auto [deadline, spare] = earliest(all[at]);
    for (const auto other : std::span{all}.subspan(at + 1)) {
      if (!admits(other))
        continue;
      const auto ends = now_ + jobs_[other].estimate <= deadline;
      if (!ends && jobs_[other].processors > spare)
        continue;
      spare -= ends ? 0 : jobs_[other].processors;
      start(other);
    }
  }

  /// Reservations in the order of the queue, on the free processors from each time on.
  void start_by_plan() {
    auto times = std::vector<std::int64_t>{now_};
    auto free = std::vector<std::int64_t>{free_};
    for (const auto& [end, other] : expected_) {
      times.push_back(std::max(now_ + 1, end));
      free.push_back(free.back() + jobs_[other].processors);
    }
    for (const auto at : ordered()) {
      const auto& x = jobs_[at];
      auto begin = std::size_t{0};
      for (auto i = std::size_t{0}; i < times.size() && times[i] < times[begin] + x.estimate; ++i)
        if (free[i] < x.processors)
          begin = i + 1;
      const auto until = times[begin] + x.estimate;
      auto end = static_cast<std::size_t>(std::ranges::lower_bound(times, until) - times.begin());
      if (end == times.size() || times[end] != until) {
        free.insert(free.begin() + static_cast<std::ptrdiff_t>(end), free[end - 1]);
        times.insert(times.begin() + static_cast<std::ptrdiff_t>(end), until);
      }
      for (auto i = begin; i < end; ++i)
        free[i] -= x.processors;
      if (begin == 0)
        start(at);
    }
  }

  void start(index at) {
    starts_[at] = now_;
    free_ -= jobs_[at].processors;
    running_.push({now_ + jobs_[at].run, at});
    const auto end = ending{now_ + jobs_[at].estimate, at};
    expected_.insert(std::ranges::lower_bound(expected_, end), end);
    std::erase(queue_, at);
  }

  void arrive() {
    if (queue_.empty() && running_.empty() && next_ < jobs_.size())
      now_ = std::max(now_, jobs_[next_].submit);
    for (; next_ < jobs_.size() && jobs_[next_].submit <= now_; ++next_)
      queue_.push_back(next_);
  }

  /// To the next arrival or end.
  void advance() {
    const auto arrival = next_ < jobs_.size() ? jobs_[next_].submit : never;
    const auto end = running_.empty() ? never : running_.top().first;
    now_ = std::max(now_, std::min(arrival, end));
    while (!running_.empty() && running_.top().first <= now_) {
      const auto at = running_.top().second;
      running_.pop();
      free_ += jobs_[at].processors;
      std::erase_if(expected_, [&](const auto& x) { return x.second == at; });
    }
    arrive();
  }

  std::span<const batch_job> jobs_;
  queue_order order_;
  std::int64_t now_ = std::numeric_limits<std::int64_t>::min() / 2;
  std::int64_t free_;
  std::vector<std::int64_t> starts_;
  index next_ = 0;
  /// In order of arrival.
  std::vector<index> queue_;
  std::priority_queue<ending, std::vector<ending>, std::greater<>> running_;
  /// When the running ones end as far as is known, soonest first.
  std::vector<ending> expected_;
};

/// The Mersenne twister as Python seeds it from a long number, which std::mt19937 cannot be.
class python_chance {
public:
  explicit python_chance(std::span<const std::uint32_t> key) {
    state_[0] = 19650218;
    for (auto i = std::uint32_t{1}; i < size; ++i)
      state_[i] = 1812433253U * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
    auto i = std::size_t{1};
    const auto step = [&] {
      if (++i < size)
        return;
      state_[0] = state_[size - 1];
      i = 1;
    };
    for (auto k = std::size_t{0}; k < size; ++k, step()) {
      const auto j = k % key.size();
      state_[i] =
          (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525U)) + key[j] + static_cast<std::uint32_t>(j);
    }
    for (auto k = std::size_t{1}; k < size; ++k, step())
      state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941U)) - static_cast<std::uint32_t>(i);
    state_[0] = 0x80000000U;
  }

  std::uint32_t next() {
    if (at_ == size)
      twist();
    auto x = state_[at_++];
    x ^= x >> 11;
    x ^= (x << 7) & 0x9d2c5680U;
    x ^= (x << 15) & 0xefc60000U;
    return x ^ (x >> 18);
  }

private:
  void twist() {
    for (auto i = std::size_t{0}; i < size; ++i) {
      const auto x = (state_[i] & 0x80000000U) | (state_[(i + 1) % size] & 0x7fffffffU);
      state_[i] = state_[(i + 397) % size] ^ (x >> 1) ^ ((x & 1) != 0 ? 0x9908b0dfU : 0);
    }
    at_ = 0;
  }

  static constexpr auto size = std::size_t{624};
  std::array<std::uint32_t, size> state_{};
  std::size_t at_ = size;
};

} // namespace

batch_trace read_batch_trace(std::string_view text) {
  auto found = batch_trace{};
  auto at = std::size_t{0};
  while (!text.empty()) {
    ++at;
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    line.starts_with(';') ? read_header(line, at, found) : read_job(line, at, found);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (found.processors <= 0)
    throw std::runtime_error{"workload: no line \"; MaxProcs:\" or \"; MaxNodes:\" says how many processors there are"};
  for (const auto& x : found.jobs)
    if (x.processors > found.processors)
      throw std::runtime_error{
          fmt::format("workload: a job asks for {} of {} processors", x.processors, found.processors)};
  std::ranges::stable_sort(found.jobs, {}, &batch_job::submit);
  return found;
}

std::vector<std::int64_t> start_times(std::span<const batch_job> jobs, std::int64_t processors, queue_order order,
                                      backfilling fill) {
  return pool{jobs, processors, order}.run(fill);
}

double bounded_slowdown(std::span<const batch_job> jobs, std::span<const std::int64_t> starts) {
  auto sum = 0.0;
  for (auto i = std::size_t{0}; i < jobs.size(); ++i) {
    const auto run = static_cast<double>(jobs[i].run);
    sum += std::max(1.0, (static_cast<double>(starts[i] - jobs[i].submit) + run) / std::max(run, 10.0));
  }
  return jobs.empty() ? 0 : sum / static_cast<double>(jobs.size());
}

std::vector<std::size_t> published_samples(std::size_t jobs, std::size_t length, std::size_t count) {
  if (jobs < 2 * length + 2)
    return {0};
  // The first eight bytes of the SHA-512 of "1".
  auto chance = python_chance{std::array{0xa34eff4dU, 0x23a8f040U}};
  const auto range = static_cast<std::uint32_t>(jobs - 2 * length - 2);
  auto mask = std::uint32_t{1};
  while (mask < range)
    mask = 2 * mask + 1;
  auto found = std::vector<std::size_t>{};
  while (found.size() < count)
    if (const auto x = chance.next() & mask; x <= range)
      found.push_back(length + x);
  return found;
}

} // namespace novacron::scheduler
