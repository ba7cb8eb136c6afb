#include "actors/workload/format_change.hpp"

#include "actors/host/log.hpp"
#include "actors/workload/conversion.hpp"

#include <signal.h>

#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

/// Of attempts to remove what does not run any more. Chosen: what writes last is at its end.
constexpr auto failures_max = 20;

template <class T>
outcome<T> await(const std::function<void(then<T>)>& verb, std::chrono::milliseconds limit) {
  auto answer = std::make_shared<std::promise<outcome<T>>>();
  auto given = answer->get_future();
  verb([answer](outcome<T> x) { answer->set_value(std::move(x)); });
  if (given.wait_for(limit) != std::future_status::ready)
    return trouble{fault::timeout, "it took too long"};
  return given.get();
}

/// How the run in the new format ended: kept back until it counts.
struct ending {
  std::mutex guard;
  bool counts = false;
  std::optional<ended> how;

  void take(const ended& x, const driver::over& end) {
    {
      const auto lock = std::lock_guard{guard};
      if (!counts) {
        how = x;
        return;
      }
    }
    end(x);
  }
  /// False when it has ended already.
  bool begin_to_count() {
    const auto lock = std::lock_guard{guard};
    counts = !how;
    return counts;
  }
};

class change {
public:
  change(driver& source, driver& target, const conversion& what, const driver::over& end, const changed_hands& counts,
         const format_change_limits& limits)
      : source_{source}, target_{target}, what_{what}, end_{end}, counts_{counts}, limits_{limits} {}

  outcome<converted> run() {
    if (target_.place(name()).empty() || source_.place(name()).empty())
      return trouble{fault::unsupported, "this node keeps nothing of " + name() + " that could be taken along"};
    if (auto refused = target_.examine(what_.to, what_.image); !refused)
      return refused.why();
    auto cleared = remove(target_);
    if (!cleared)
      return cleared.why();
    // Whether it worked shows when it starts: it only saves time.
    static_cast<void>(await<nothing>([&](auto then) { target_.get_ready(what_.to, then); }, limits_.start));
    auto begun = outcome<converted>{trouble{}};
    const auto since = clock::now();
    try {
      begun = take_over();
    } catch (const std::exception& problem) {
      begun = trouble{fault::storage, problem.what()};
    }
    if (!begun)
      return take_back(begun.why());
    begun->frozen = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - since);
    counts_();
    end_origin();
    return begun;
  }

private:
  const std::string& name() const { return what_.to.name(); }

  /// From the one that stands still to the one that runs, and counts.
  outcome<converted> take_over() {
    draft().begin();
    if (auto held = await<nothing>([&](auto then) { source_.hold(name(), true, then); }, limits_.step); !held)
      return held.why();
    const auto files = target_.files_place(name());
    fs::create_directories(files);
    if (auto copied = source_.copy_files(name(), files); !copied)
      return copied.why();
    take_log();
    auto image = what_.image;
    image.root = files;
    if (auto ready = await<nothing>([&](auto then) { target_.prepare(what_.to, image, then); }, limits_.step); !ready)
      return ready.why();
    const auto how = std::make_shared<ending>();
    const auto started = await<running>(
        [&](auto then) { target_.start(name(), then, [how, end = end_](const ended& x) { how->take(x, end); }); },
        limits_.start);
    if (!started)
      return started.why();
    auto status = what_.status;
    status.set_kind(what_.to.spec().kind());
    status.set_phase(wire::PHASE_RUNNING);
    status.set_reason("running");
    status.set_address(started->address);
    target_.remember(name(), status);
    if (!how->begin_to_count())
      return trouble{fault::unspecified, "it ended as soon as it had begun: " + how->how->reason};
    draft().commit();
    return converted{.now = *started};
  }

  /// What it has said so far comes before what it says from now on.
  void take_log() {
    const auto from = source_.logs(name());
    const auto to = target_.logs(name());
    fs::create_directories(to);
    auto error = std::error_code{};
    for (const auto& each : fs::directory_iterator{from, error})
      if (each.is_regular_file(error))
        fs::copy_file(each.path(), to / each.path().filename(), fs::copy_options::overwrite_existing);
  }

  /// The old one goes on, once nothing of the new one runs.
  outcome<converted> take_back(trouble why) {
    if (const auto gone = remove(target_); !gone)
      host::log_warn("instances", "what {} should have become is still here: {}", name(), gone.why().text);
    if (const auto on = await<nothing>([&](auto then) { source_.hold(name(), false, then); }, limits_.step); !on)
      why.text += "; and it could not be let go on: " + on.why().text;
    return why;
  }

  void end_origin() {
    if (const auto gone = remove(source_); !gone) {
      host::log_warn("instances", "what {} was before is still here: {}", name(), gone.why().text);
      return;
    }
    draft().forget_origin();
  }

  /// Kills what runs there of that name, and removes every trace of it.
  outcome<> remove(driver& from) {
    const auto patience = clock::now() + limits_.step;
    const auto ignore = [](outcome<>) {};
    if (!fs::exists(from.place(name())))
      return nothing{};
    for (auto failures = 0;;) {
      from.signal(name(), SIGKILL, ignore);
      auto gone = await<nothing>([&](auto then) { from.destroy(name(), then); }, limits_.step);
      // It runs still, or something of it wrote once more while it was being removed.
      failures += !gone && gone.why().kind != fault::conflict;
      if (gone || failures > failures_max || clock::now() > patience)
        return gone;
      std::this_thread::sleep_for(limits_.look);
    }
  }

  conversion_draft draft() const { return conversion_draft{target_.place(name())}; }

  driver& source_;
  driver& target_;
  const conversion& what_;
  const driver::over& end_;
  const changed_hands& counts_;
  const format_change_limits& limits_;
};

} // namespace

outcome<converted> change_format(driver& source, driver& target, const conversion& what, const driver::over& end,
                                 const changed_hands& counts, const format_change_limits& limits) {
  return change{source, target, what, end, counts, limits}.run();
}

} // namespace novacron::workload
