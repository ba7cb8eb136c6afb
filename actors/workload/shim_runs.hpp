#pragma once

/// The runs of a driver's instances, each held by a shim: begins them, takes them over, and tells when they are over.

#include "actors/host/crew.hpp"
#include "actors/host/loop.hpp"
#include "actors/host/networks.hpp"
#include "actors/workload/driver.hpp"
#include "actors/workload/instance_places.hpp"
#include "actors/workload/output_watch.hpp"
#include "actors/workload/shim_launch.hpp"

#include <cerrno>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace novacron::workload {

/// What every driver knows of an instance that it has in its hands.
struct held_instance {
  wire::Instance what;
  std::optional<host::ipv4> address;
  host::network network;
  std::shared_ptr<driver::over> end;
  then<running> started;

  /// A run is about to begin, or to be taken over.
  void expect(const then<running>& done, const driver::over& over);
  /// It runs, with that first process (-1 if it is gone already). What is returned answers the start, to be called with
  /// no guard held; the second time that does nothing.
  [[nodiscard]] std::function<void()> begun(pid_t first);
};

/// The answer to the start of a run that was over before it had begun.
trouble never_begun(const ended& how);

/// For how long the shim lets an instance run that another node may take over, and how it ends it.
void limit_silence(shim_order& order, const wire::WorkloadSpec& spec);

struct shim_settings {
  /// The node's data directory.
  std::filesystem::path data;
  /// Output kept per instance: `log_segments` files of `log_segment_bytes` each.
  std::uint64_t log_segment_bytes = 0;
  std::uint32_t log_segments = 0;
};

/// Functions may be called from any thread.
class shim_runs {
public:
  using over = std::function<void(const std::string& name, const ended& how)>;

  /// `told` hears of the end of every run, on a worker thread. Throws std::system_error.
  shim_runs(const instance_places& places, shim_settings settings, over told);
  /// Waits for the work under way and drops the rest; the runs go on. To be called before anything goes that work uses.
  ~shim_runs();
  shim_runs(const shim_runs&) = delete;
  shim_runs& operator=(const shim_runs&) = delete;

  [[nodiscard]] host::loop& loop() { return loop_; }
  [[nodiscard]] const shim_launch& shim() const { return shim_; }

  /// Does `work` on a worker thread.
  void give(std::function<void()> work) { crew_.give(std::move(work)); }

  /// The same, and answers with what it returns or throws.
  template <class T, class Work>
  void answer(then<T> done, Work work) {
    crew_.give([done = std::move(done), work = std::move(work)] {
      try {
        done(outcome<T>{work()});
      } catch (const std::system_error& problem) {
        const auto full = problem.code().value() == ENOSPC || problem.code().value() == EIO;
        done(trouble{full ? fault::storage : fault::unspecified, problem.what()});
      } catch (const std::exception& problem) {
        done(trouble{fault::unspecified, problem.what()});
      }
    });
  }

  /// Starts a shim, with what `fill` adds to its order; that may throw. Calls `there`, on the loop's thread, as soon as
  /// the shim has written down the first process. `done` hears only why nothing was begun. Blocks.
  void begin(const std::string& name, const then<running>& done, const std::function<void(shim_order&)>& fill,
             std::function<void()> there);

  /// The same for a shim that was started in an earlier life. Blocks.
  void take_over(const std::string& name, std::function<void()> there);

  void stats(const std::string& name, then<usage> done);
  [[nodiscard]] std::shared_ptr<void> when_output(const std::string& name, std::function<void()> what);

private:
  void shim_ended(const std::string& name);
  void conclude(const std::string& name) const;

  const instance_places& places_;
  const shim_settings settings_;
  const over told_;
  shim_launch shim_;
  host::loop loop_;
  output_watch output_{loop_};
  host::crew crew_{2};
};

} // namespace novacron::workload
