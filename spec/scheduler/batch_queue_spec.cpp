#include "actors/scheduler/batch_queue.hpp"

#include "actors/scheduler/bench_batch.hpp"
#include "spec/skip.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

using namespace novacron::scheduler;

namespace {

using times = std::vector<std::int64_t>;

std::vector<batch_job> random_jobs(std::uint64_t seed, std::size_t count, std::int64_t processors) {
  auto chance = std::mt19937_64{seed};
  auto jobs = std::vector<batch_job>{};
  auto now = std::int64_t{0};
  for (auto i = std::size_t{0}; i < count; ++i) {
    now += static_cast<std::int64_t>(chance() % 30);
    const auto run = static_cast<std::int64_t>(1 + chance() % 100);
    const auto more = static_cast<std::int64_t>(chance() % 50);
    jobs.push_back(
        {now, run, run + more, static_cast<std::int64_t>(1 + chance() % static_cast<std::uint64_t>(processors))});
  }
  return jobs;
}

/// The most processors held at any moment.
std::int64_t peak(const std::vector<batch_job>& jobs, const times& starts) {
  auto most = std::int64_t{0};
  for (const auto moment : starts) {
    auto held = std::int64_t{0};
    for (auto i = std::size_t{0}; i < jobs.size(); ++i)
      if (starts[i] <= moment && moment < starts[i] + jobs[i].run)
        held += jobs[i].processors;
    most = std::max(most, held);
  }
  return most;
}

} // namespace

SCENARIO("a workload trace is read in the standard format") {
  const auto found = read_batch_trace("; Version: 2\n; MaxNodes: 8\n; MaxProcs: 16\n"
                                      "2 20 -1 5 4 -1 -1 -1 -1 -1 1 -1 -1 -1 0 -1 -1 -1\n"
                                      "1 10 -1 3.7 2 -1 -1 6 9 -1 1 -1 -1 -1 0 -1 -1 -1\n"
                                      "\n3 30 -1 0 4 -1 -1 -1 -1 -1 0 -1 -1 -1 0 -1 -1 -1\n");
  CHECK(found.processors == 16);
  REQUIRE(found.jobs.size() == 2);
  CHECK(found.jobs[0].submit == 10);
  CHECK(found.jobs[0].processors == 6);
  CHECK(found.jobs[0].run == 3);
  CHECK(found.jobs[0].estimate == 9);
  CHECK(found.jobs[1].estimate == 5);
  CHECK_THROWS_WITH(read_batch_trace("; MaxProcs: 4\n1 2 3\n"), "workload: line 2 has fewer than 9 fields");
  CHECK_THROWS_WITH(read_batch_trace("; MaxProcs: 4\n1 0 -1 x 1 1 1 1 1\n"), "workload: line 2: \"x\" is not a number");
  CHECK_THROWS(read_batch_trace("1 0 -1 1 1 1 1 1 1\n"));
  CHECK_THROWS(read_batch_trace("; MaxProcs: 4\n1 0 -1 1 5 1 1 1 1\n"));
}

SCENARIO("who goes first, and who may pass") {
  // One holds 3 of 4 until 100; a wide one waits; a short one and a long one could pass.
  const auto jobs = std::vector<batch_job>{{0, 100, 100, 3}, {1, 50, 50, 4}, {2, 60, 60, 1}, {3, 500, 500, 1}};
  CHECK(start_times(jobs, 4, queue_order::first_come, backfilling::none) == times{0, 100, 150, 150});
  CHECK(start_times(jobs, 4, queue_order::first_come, backfilling::passing) == times{0, 100, 2, 150});
  CHECK(start_times(jobs, 4, queue_order::first_come, backfilling::easy) == times{0, 100, 2, 150});
  CHECK(start_times(jobs, 4, queue_order::first_come, backfilling::conservative) == times{0, 100, 2, 150});
  const auto together = std::vector<batch_job>{{0, 100, 100, 3}, {0, 500, 500, 4}, {0, 60, 60, 1}};
  CHECK(start_times(together, 4, queue_order::first_come, backfilling::none) == times{0, 100, 600});
  CHECK(start_times(together, 4, queue_order::shortest, backfilling::none) == times{0, 100, 0});
  CHECK(start_times(together, 4, queue_order::slowdown, backfilling::none) == times{0, 100, 0});
}

SCENARIO("a reservation leaves room beside it") {
  // At 100 the wide one leaves one processor free for as long as anyone likes.
  const auto jobs = std::vector<batch_job>{{0, 100, 100, 3}, {1, 50, 50, 3}, {2, 500, 500, 1}};
  CHECK(start_times(jobs, 4, queue_order::first_come, backfilling::passing)[2] == 100);
  CHECK(start_times(jobs, 4, queue_order::first_come, backfilling::easy)[2] == 2);
  CHECK(start_times(jobs, 4, queue_order::first_come, backfilling::conservative)[2] == 2);
}

SCENARIO("whatever the order, all jobs start once, after they came, and never hold more than there is") {
  for (auto seed = std::uint64_t{1}; seed <= 40; ++seed)
    for (const auto order : {queue_order::first_come, queue_order::shortest, queue_order::slowdown})
      for (const auto fill : {backfilling::none, backfilling::passing, backfilling::easy, backfilling::conservative}) {
        CAPTURE(seed);
        const auto jobs = random_jobs(seed, 60, 8);
        const auto starts = start_times(jobs, 8, order, fill);
        REQUIRE(starts.size() == jobs.size());
        for (auto i = std::size_t{0}; i < jobs.size(); ++i)
          CHECK(starts[i] >= jobs[i].submit);
        CHECK(peak(jobs, starts) <= 8);
        CHECK(bounded_slowdown(jobs, starts) >= 1);
      }
}

SCENARIO("conservative reservations delay nobody who came first") {
  // With exact estimates and first come first served, no job starts later than without backfilling.
  for (auto seed = std::uint64_t{1}; seed <= 30; ++seed) {
    auto jobs = random_jobs(seed, 60, 8);
    for (auto& x : jobs)
      x.estimate = x.run;
    const auto plain = start_times(jobs, 8, queue_order::first_come, backfilling::none);
    const auto filled = start_times(jobs, 8, queue_order::first_come, backfilling::conservative);
    for (auto i = std::size_t{0}; i < jobs.size(); ++i)
      CHECK(filled[i] <= plain[i]);
  }
}

SCENARIO("slowdown is bounded for jobs under ten seconds") {
  const auto jobs = std::vector<batch_job>{{0, 1, 1, 1}, {0, 100, 100, 1}};
  CHECK(bounded_slowdown(jobs, times{4, 100}) == doctest::Approx((1 + 2) / 2.0));
  CHECK(bounded_slowdown({}, {}) == 0);
}

SCENARIO("the published sequences of jobs are drawn again") {
  CHECK(published_samples(10'000, 1024, 10) ==
        std::vector<std::size_t>{1981, 2756, 4299, 8850, 3316, 2714, 5228, 7762, 4022, 7085});
  CHECK(published_samples(1500, 1024, 10) == std::vector<std::size_t>{0});
}

SCENARIO("on the published sequences jobs are held up less than by the published learned policy") {
  namespace fs = std::filesystem;
  const auto file = fs::path{HOUSE_ROOT}.parent_path() / "shared/data/batch/lublin_256.swf.gz";
  if (!fs::exists(file)) {
    novacron::spec::skip("the published batch queue", "there is no " + file.string());
    return;
  }
  for (const auto& x : bench_batch(file)) {
    if (x.name == "first_come")
      CHECK(x.value == doctest::Approx(7273.77).epsilon(1e-6));
    if (x.name == "slowdown") {
      CHECK(x.peer_value == doctest::Approx(277.35).epsilon(1e-4));
      CHECK(x.value < 254.67);
    }
    if (x.name == "slowdown_backfilled") {
      CHECK(x.peer_value == doctest::Approx(73.31).epsilon(1e-4));
      CHECK(x.value < 58.64);
    }
  }
}
