#include "actors/host/metrics.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <stdexcept>
#include <thread>

namespace {
using namespace novacron::host;

SCENARIO("metrics come out as Prometheus text, sorted, with help on each") {
  GIVEN("a few metrics that were registered out of order") {
    auto all = metrics{};
    all.level("nodes", "Nodes of the fabric.", {{"state", "ready"}}).set(3);
    all.count("beats_total", "Heartbeats.").add(7);
    all.level("nodes", "Nodes of the fabric.", {{"state", "lost"}}).set(0.5);
    THEN("the text is exact") {
      CHECK(all.text() == "# HELP novacron_beats_total Heartbeats.\n"
                          "# TYPE novacron_beats_total counter\n"
                          "novacron_beats_total 7\n"
                          "# HELP novacron_nodes Nodes of the fabric.\n"
                          "# TYPE novacron_nodes gauge\n"
                          "novacron_nodes{state=\"lost\"} 0.5\n"
                          "novacron_nodes{state=\"ready\"} 3\n");
    }
  }
  GIVEN("a histogram") {
    auto all = metrics{};
    auto& x = all.spread("wait_seconds", "Waits.", {0.1, 1});
    WHEN("values fall on and between its bounds") {
      x.observe(0.1);
      x.observe(0.100001);
      x.observe(5);
      THEN("buckets count upward and the last one has all") {
        const auto text = all.text();
        CHECK(text.find("novacron_wait_seconds_bucket{le=\"0.1\"} 1\n") != text.npos);
        CHECK(text.find("novacron_wait_seconds_bucket{le=\"1\"} 2\n") != text.npos);
        CHECK(text.find("novacron_wait_seconds_bucket{le=\"+Inf\"} 3\n") != text.npos);
        CHECK(text.find("novacron_wait_seconds_count 3\n") != text.npos);
        CHECK(text.find("novacron_wait_seconds_sum 5.2") != text.npos);
      }
    }
  }
  GIVEN("a label value and a help sentence that need escaping") {
    auto all = metrics{};
    all.level("odd", "A \\ and\na new line.", {{"what", "a\"b\\c\nd"}}).set(std::numeric_limits<double>::infinity());
    THEN("they are escaped") {
      CHECK(all.text() == "# HELP novacron_odd A \\\\ and\\na new line.\n# TYPE novacron_odd gauge\n"
                          "novacron_odd{what=\"a\\\"b\\\\c\\nd\"} +Inf\n");
    }
  }
}

SCENARIO("the same name and labels are the same metric") {
  auto all = metrics{};
  CHECK(&all.count("a_total", "A.") == &all.count("a_total", "A."));
  CHECK(&all.count("b_total", "B.", {{"x", "1"}}) != &all.count("b_total", "B.", {{"x", "2"}}));
  all.sample("c", "C.", metrics::kind::gauge, [] { return 1.0; });
  all.sample("c", "C.", metrics::kind::gauge, [] { return 2.0; });
  CHECK(all.text().ends_with("novacron_c 2\n"));
}

SCENARIO("labels cannot grow a metric without bound") {
  GIVEN("a counter that is asked for by thousands of label values") {
    auto all = metrics{};
    for (auto i = 0; i < 5'000; ++i)
      all.count("visits_total", "Visits.", {{"who", std::to_string(i)}}).add();
    THEN("the first ones stand alone and the rest is counted together") {
      CHECK(all.count("visits_total", "Visits.", {{"who", "0"}}).value() == 1);
      CHECK(all.count("visits_total", "Visits.", {{"who", "other"}}).value() == 5'000 - metrics::series_max);
    }
  }
}

SCENARIO("a metric that Prometheus would complain about is a bug") {
  auto all = metrics{};
  CHECK_THROWS_AS(all.count("beats", "No suffix."), std::logic_error);
  CHECK_THROWS_AS(all.level("beats_total", "Not a counter."), std::logic_error);
  CHECK_THROWS_AS(all.level("Beats", "Capital."), std::logic_error);
  CHECK_THROWS_AS(all.level("novacron_beats", "Prefix twice."), std::logic_error);
  CHECK_THROWS_AS(all.level("beats", ""), std::logic_error);
  CHECK_THROWS_AS(all.level("beats", "Label.", {{"a-b", "x"}}), std::logic_error);
  CHECK_THROWS_AS(all.spread("wait_seconds", "Falling.", {2, 1}), std::logic_error);
  all.level("once", "Once.");
  CHECK_THROWS_AS(all.spread("once", "Once.", {1}), std::logic_error);
}

SCENARIO("counting from several threads loses nothing") {
  auto all = metrics{};
  auto threads = std::vector<std::thread>{};
  for (auto i = 0; i < 4; ++i)
    threads.emplace_back([&all] {
      auto& x = all.count("hits_total", "Hits.");
      auto& y = all.level("height", "Height.");
      auto& z = all.spread("step_seconds", "Steps.", seconds_of_steps());
      for (auto n = 0; n < 5'000; ++n) {
        x.add();
        y.add(0.5);
        z.observe(0.001);
        if (n % 1'000 == 0)
          static_cast<void>(all.text());
      }
    });
  for (auto& x : threads)
    x.join();
  CHECK(all.count("hits_total", "Hits.").value() == 20'000);
  CHECK(all.level("height", "Height.").value() == 10'000);
  CHECK(all.text().find("novacron_step_seconds_count 20000\n") != std::string::npos);
}

SCENARIO("the process knows its own size") {
  auto all = metrics{};
  add_process_metrics(all);
  const auto text = all.text();
  const auto value = [&](const std::string& name) {
    const auto at = text.find("\n" + name + " ");
    REQUIRE(at != text.npos);
    return std::strtod(text.c_str() + at + name.size() + 2, nullptr);
  };
  CHECK(value("novacron_process_resident_memory_bytes") > 1e6);
  CHECK(value("novacron_process_open_fds") >= 3);
  CHECK(value("novacron_process_threads") >= 1);
  CHECK(value("novacron_process_start_time_seconds") > 1.6e9);
  CHECK(value("novacron_process_cpu_seconds_total") >= 0);
}

} // namespace
