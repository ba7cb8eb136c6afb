#pragma once

/// Numbers that a node keeps about itself, and their Prometheus text.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::host {

/// Only rises. Safe and cheap from any thread.
class counter {
public:
  void add(std::uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<std::uint64_t> value_{0};
};

/// Rises and falls. Safe and cheap from any thread.
class gauge {
public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<double> value_{0};
};

/// Counts values by size. Safe and cheap from any thread.
class histogram {
public:
  /// `bounds` are the upper bounds of the buckets, rising; one for everything above the last is added.
  explicit histogram(std::vector<double> bounds);
  void observe(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  /// How many values fell into each bucket alone; one more than there are bounds.
  std::vector<std::uint64_t> counts() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }

private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

/// 1 ms to 10 s, for answers to people; a finer start for what stays inside the machine.
std::vector<double> seconds_of_answers();
/// 10 us to 1 s, for what stays inside the machine.
std::vector<double> seconds_of_steps();

/// All metrics of a node. One object is handed around; what it returns lives as long as it does.
///
/// Names are given without the prefix `novacron_`, which is put before each. A counter's name ends in `_total`, units
/// are seconds and bytes and part of the name, and every metric has a help sentence: anything else is a bug and throws
/// std::logic_error, as does one name with two kinds. Asking again for the same name and labels gives the same object.
class metrics {
public:
  using labels = std::map<std::string, std::string>;
  enum class kind { counter, gauge };
  /// Values of one name that are told apart by labels; further ones are counted together under the label value "other".
  static constexpr std::size_t series_max = 256;

  counter& count(std::string_view name, std::string_view help, const labels& by = {});
  gauge& level(std::string_view name, std::string_view help, const labels& by = {});
  histogram& spread(std::string_view name, std::string_view help, std::vector<double> bounds, const labels& by = {});

  /// A value that `read` gives whenever the text is made, from any thread. It must own (shared_ptr) what it looks at.
  /// Registering it again replaces it.
  void sample(std::string_view name, std::string_view help, kind what, std::function<double()> read, const labels& by = {});

  /// The Prometheus text format 0.0.4, sorted by name and labels.
  std::string text() const;

private:
  struct series {
    std::unique_ptr<counter> counted;
    std::unique_ptr<gauge> levelled;
    std::unique_ptr<histogram> spread;
    std::function<double()> sampled;
  };
  struct family {
    std::string help;
    std::string type;
    std::map<labels, series> all;
  };

  series& find(std::string_view name, std::string_view help, std::string_view type, const labels& by);

  mutable std::mutex guard_;
  std::map<std::string, family, std::less<>> families_;
};

/// Adds what the kernel knows of this process: resident memory, processor time, open descriptors, threads, start time.
void add_process_metrics(metrics& all);

/// Adds `novacron_build_info` with the version as a label, and value 1.
void add_build_metrics(metrics& all, const std::string& version, const std::string& role, const std::string& node);

} // namespace novacron::host
