#include "actors/node/guest_moving.hpp"

#include "actors/host/files.hpp"
#include "actors/host/log.hpp"
#include "actors/host/tls.hpp"
#include "actors/migration/disk_stream.hpp"
#include "actors/migration/qemu_guest.hpp"
#include "actors/migration/sink.hpp"
#include "actors/migration/source.hpp"
#include "actors/migration/tls_channel.hpp"
#include "actors/migration/write_tracker.hpp"
#include "actors/node/guest_streams.hpp"
#include "actors/workload/instance_directory.hpp"
#include "actors/workload/machine_plan.hpp"
#include "actors/workload/qemu_command.hpp"

#include <signal.h>
#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace novacron::node {
namespace {

namespace fs = std::filesystem;
using namespace migration;
using workload::departure;
using workload::outcome;
using workload::then;

/// Of the disks that are sent: nobody writes to it.
constexpr auto disk_of_image = std::size_t{1};
/// Chosen: a disk is sent again while it runs as long as that makes what is left for the standstill less.
constexpr auto disk_passes_max = 8;
constexpr auto disk_rest = std::uint64_t{4} << 20;
/// Chosen: so long the target may take to have on its disk what it was sent of a pass, while the guest runs.
constexpr auto disk_patience = std::chrono::minutes{2};

std::array<std::byte, 16> token_of(const wire::Move& x) {
  auto token = std::array<std::byte, 16>{};
  if (x.token().size() != token.size())
    throw migration_error{"the move has no token"};
  std::ranges::copy(std::as_bytes(std::span{x.token()}), token.begin());
  return token;
}

std::uint64_t draw_seed() {
  auto seed = std::uint64_t{0};
  if (::getrandom(&seed, sizeof seed, 0) != sizeof seed)
    throw migration_error{"there is no chance to be had"};
  return seed;
}

workload::process_name process_in(const fs::path& place) {
  const auto process = workload::instance_directory{place}.container();
  if (!process)
    throw migration_error{"its machine does not run"};
  return *process;
}

std::vector<fs::path> disks_in(const fs::path& place) {
  if (!fs::exists(place / workload::machine_base_file))
    throw migration_error{
        "it boots a whole disk, which is named by its place on this node and cannot be moved yet; stop "
        "it and start it elsewhere (`drain`)"};
  return {place / workload::machine_root_file, place / workload::machine_base_file};
}

/// What stands in the file that says that the guest may run elsewhere by now.
struct departing {
  std::string migration;
  std::uint64_t epoch = 0;
};

void write_departing(const fs::path& place, const departing& x) {
  host::replace_file(place / workload::machine_departing_file, fmt::format("{} {}\n", x.migration, x.epoch));
}

departing read_departing(const fs::path& place) {
  auto x = departing{};
  std::istringstream{host::read_file(place / workload::machine_departing_file).value_or("")} >> x.migration >> x.epoch;
  return x;
}

void forget_departing(const fs::path& place) {
  auto ignored = std::error_code{};
  fs::remove(place / workload::machine_departing_file, ignored);
}

/// Closes a stream at the end.
struct closing {
  channel& way;
  ~closing() { way.close(); }
};

/// The guest at its source, whose disk is sent to its end while it stands still, and which does not go on once it is
/// decided that it runs elsewhere.
class leaving_guest final : public source_guest {
public:
  leaving_guest(std::unique_ptr<source_guest> guest, disk_sender& disk, const std::atomic<bool>& decided,
                std::stop_token cancel)
      : guest_{std::move(guest)}, disk_{disk}, decided_{decided}, cancel_{std::move(cancel)} {}

  std::span<const std::byte> memory() const override { return guest_->memory(); }
  void add_populated(page_set& into) const override { guest_->add_populated(into); }
  void stop() override {
    stopped_ = std::chrono::steady_clock::now();
    stands_still_ = true;
    guest_->stop();
    disk_.send_pass(true, cancel_);
  }
  void resume() override {
    if (!decided_)
      guest_->resume();
  }
  void save(const std::function<void(std::span<const std::byte>)>& take) override { guest_->save(take); }
  bool stands_still() const { return stands_still_; }
  /// For how long it has stood still.
  double still_seconds() const {
    return std::chrono::duration<double>{std::chrono::steady_clock::now() - stopped_}.count();
  }

private:
  std::chrono::steady_clock::time_point stopped_;
  bool stands_still_ = false;
  std::unique_ptr<source_guest> guest_;
  disk_sender& disk_;
  const std::atomic<bool>& decided_;
  std::stop_token cancel_;
};

/// The guest at its target. Once all of it is there, only who knows what was decided may end it.
class coming_guest final : public target_guest {
public:
  coming_guest(std::unique_ptr<target_guest> guest, std::function<void()> await_disk)
      : guest_{std::move(guest)}, await_disk_{std::move(await_disk)} {}

  std::span<std::byte> memory() const override { return guest_->memory(); }
  void clear() override { guest_->clear(); }
  void fill(std::size_t offset, std::span<const std::byte> pages) override { guest_->fill(offset, pages); }
  void load(std::span<const std::byte> state) override {
    await_disk_();
    guest_->load(state);
    whole_ = true;
  }
  void run() override { guest_->run(); }
  void discard() noexcept override {
    if (!whole_)
      guest_->discard();
  }

private:
  std::unique_ptr<target_guest> guest_;
  std::function<void()> await_disk_;
  bool whole_ = false;
};

void note_pass(wire::MovePass& into, const pass_facts& was, std::uint64_t written) {
  into.set_seconds(was.seconds);
  into.set_bytes(was.bytes);
  into.set_pages(was.pages);
  into.set_written(written);
}

class mover final : public workload::guest_mover {
public:
  explicit mover(guest_moving settings) : settings_{std::move(settings)} {}
  ~mover() override {
    life_.request_stop();
    const auto lock = std::lock_guard{guard_};
    for (auto& [name, each] : tasks_)
      each.request_stop();
  }

  void take_in(const wire::Instance& what, then<std::vector<std::string>> listens) override {
    begin(what.name(), [this, what, listens = std::move(listens)](const std::stop_token& stop) {
      auto told = false;
      try {
        receive(what, stop, [&](const std::vector<std::string>& where) {
          told = true;
          listens(where);
        });
      } catch (const std::exception& problem) {
        host::log_warn("move", "{} did not come: {}", what.name(), problem.what());
        if (!told)
          listens(workload::trouble{fault::unspecified, problem.what()});
      }
    });
  }

  void send(const wire::Instance& what, told progress, then<departure> done) override {
    begin(what.name(),
          [this, what, progress = std::move(progress), done = std::move(done)](const std::stop_token& stop) {
            try {
              done(depart(what, progress, stop));
            } catch (const std::exception& problem) {
              // It is not known; the next life asks again.
              host::log_error("move", "{}: {}", what.name(), problem.what());
            }
          });
  }

  void settle(const wire::Instance& what, then<departure> done) override {
    begin(what.name(), [this, what, done = std::move(done)](const std::stop_token&) {
      try {
        done(find_out(what));
      } catch (const std::exception& problem) {
        host::log_error("move", "{}: {}", what.name(), problem.what());
      }
    });
  }

  void stop(const std::string& instance) override {
    const auto lock = std::lock_guard{guard_};
    if (const auto found = tasks_.find(instance); found != tasks_.end())
      found->second.request_stop();
  }

private:
  fs::path place_of(const std::string& name) const { return settings_.data / "machines" / name; }

  void begin(const std::string& name, std::function<void(const std::stop_token&)> work) {
    auto former = std::jthread{};
    const auto lock = std::lock_guard{guard_};
    former = std::exchange(tasks_[name], {});
    former.request_stop();
    // One after the other: a thread of a former attempt may still be about to say how it went.
    tasks_[name] =
        std::jthread{[former = std::move(former), work = std::move(work)](const std::stop_token& stop) mutable {
          if (former.joinable())
            former.join();
          work(stop);
        }};
  }

  std::shared_ptr<host::tls_context> context(host::tls_side side, const std::string& peer) const {
    auto wanted = host::tls_settings{};
    wanted.directory = settings_.data / "trust";
    wanted.side = side;
    wanted.peer = peer;
    wanted.denied = settings_.denied;
    return host::make_tls_context(std::move(wanted));
  }

  void receive(const wire::Instance& what, const std::stop_token& stop,
               const std::function<void(const std::vector<std::string>&)>& listens);
  departure depart(const wire::Instance& what, const told& progress, const std::stop_token& stop);
  source_report send_all(const wire::Instance& what, const told& progress, const std::stop_token& stop,
                         wire::SettleMove& facts, std::atomic<bool>& decided);
  departure find_out(const wire::Instance& what);
  static void go_on(const fs::path& place);

  const guest_moving settings_;
  /// Of this life: what is to be decided is asked for until then, whatever is cancelled.
  std::stop_source life_;
  std::mutex guard_;
  std::map<std::string, std::jthread> tasks_;
};

void mover::receive(const wire::Instance& what, const std::stop_token& stop,
                    const std::function<void(const std::vector<std::string>&)>& listens) {
  const auto place = place_of(what.name());
  const auto process = process_in(place);
  try {
    const auto token = token_of(what.move());
    auto incoming = guest_inlet{context(host::tls_side::server, {}), stop};
    listens(incoming.where());
    const auto disk = incoming.await_first([&](const disk_hello& x) { return x.token == token; });
    const auto said = incoming.hello();
    const auto disks = disks_in(place);
    if (said.file_count != disks.size() || said.stream_count == 0 || said.stream_count > stream_count_max)
      throw migration_error{"the source has other disks than were prepared here"};
    const auto cancelled = std::stop_callback{stop, [&] { disk->close(); }};
    auto written = std::async(std::launch::async, [&] { receive_disk(*disk, disks); });
    // Whoever waits for the disk is woken before he is waited for.
    const auto closes = closing{*disk};
    // The streams of memory come once most of the disk is there.
    auto ways = std::vector<std::unique_ptr<channel>>{};
    while (ways.size() < said.stream_count)
      ways.push_back(
          incoming.await([&] { return written.wait_for(std::chrono::seconds{0}) != std::future_status::ready; }));
    auto guest = coming_guest{qemu_target(process.pid, place / workload::qemu_move_socket), [&] { written.get(); }};
    const auto report = receive_guest(guest, std::move(ways), token, stop);
    if (!report.runs)
      host::log_warn("move", "{} was not told to run here: {}", what.name(), report.reason);
  } catch (const std::exception&) {
    // Nothing has come that could be of use.
    workload::signal_process(process, SIGKILL);
    throw;
  }
}

source_report mover::send_all(const wire::Instance& what, const told& progress, const std::stop_token& stop,
                              wire::SettleMove& facts, std::atomic<bool>& decided) {
  const auto place = place_of(what.name());
  const auto pid = process_in(place).pid;
  const auto& move = what.move();
  auto now = wire::MoveProgress{};
  const auto tell = [&](const char* phase) {
    now.set_phase(phase);
    progress(now);
  };
  tell("preparing");
  auto guest = qemu_source(pid, place / workload::qemu_move_socket);
  const auto tracker = track_writes(pid);
  auto out =
      guest_outlet{context(host::tls_side::client, what.next().node()), {move.inlets().begin(), move.inlets().end()}};
  const auto count = move.streams() > 0 ? static_cast<std::uint16_t>(move.streams()) : stream_count_here();
  const auto token = token_of(move);
  const auto disk_way = out.connect();
  disk_way->set_patience(disk_patience);
  const auto closes = std::stop_callback{stop, [&] { disk_way->close(); }};
  auto disk = disk_sender{*disk_way, {.token = token, .stream_count = count}, disks_in(place)};
  disk.let_be(disk_of_image);
  auto settings = source_settings{.token = token, .hash_seed = draw_seed()};
  if (!move.codec().empty() && move.codec() != "auto")
    settings.coding = read_coding(move.codec());
  if (move.downtime_ms() > 0) {
    settings.limits.downtime_max = static_cast<double>(move.downtime_ms()) / 1000;
    settings.limits.downtime_forced = std::max(settings.limits.downtime_forced, settings.limits.downtime_max);
  }
  auto memory_bytes = std::uint64_t{0};
  auto leaver = leaving_guest{std::move(guest), disk, decided, stop};
  settings.decide = [&] {
    try {
      write_departing(place, {move.migration(), what.epoch()});
    } catch (const std::exception& problem) {
      // Nobody was asked yet.
      throw refusal{fmt::format("it cannot be noted that it may run elsewhere: {}", problem.what())};
    }
    tell("handing over");
    facts.set_moved(true);
    facts.set_still_seconds(leaver.still_seconds());
    if (!settings_.decide(facts, life_.get_token()))
      throw refusal{"it was decided that it stays"};
    decided = true;
  };
  settings.passed = [&](std::uint32_t pass, const pass_facts& was, std::uint64_t written) {
    memory_bytes += was.bytes;
    note_pass(*facts.add_course(), was, written);
    facts.set_disk_bytes(disk.bytes());
    facts.set_passes(pass + 1);
    facts.set_bytes(disk.bytes() + memory_bytes);
    now.set_bytes(facts.bytes());
    if (was.seconds > 0) {
      now.set_bytes_per_second(static_cast<std::uint64_t>(static_cast<double>(was.bytes) / was.seconds));
      now.set_dirty_bytes_per_second(static_cast<std::uint64_t>(static_cast<double>(written * 4096) / was.seconds));
    }
    if (pass == 0 && was.bytes > 0)
      now.set_ratio(static_cast<double>(was.pages * 4096) / static_cast<double>(was.bytes));
    now.set_part(static_cast<double>(was.pages) / static_cast<double>(std::max<std::uint64_t>(1, was.pages + written)));
    tell(leaver.stands_still() ? "standing still" : "moving");
  };
  tell("moving");
  for (auto i = 0; i < disk_passes_max; ++i) {
    const auto before = disk.bytes();
    disk.send_pass(false, stop);
    if (disk.bytes() - before < disk_rest)
      break;
  }
  // The next pass is the last one, and the guest stands still for it.
  disk_way->set_patience(usual_patience);
  auto ways = std::vector<std::unique_ptr<channel>>{};
  while (ways.size() < count)
    ways.push_back(out.connect());
  return send_guest(leaver, *tracker, std::move(ways), settings, stop);
}

departure mover::depart(const wire::Instance& what, const told& progress, const std::stop_token& stop) {
  const auto place = place_of(what.name());
  auto facts = wire::SettleMove{};
  facts.set_node(settings_.node);
  facts.set_instance(what.name());
  facts.set_epoch(what.epoch());
  facts.set_migration(what.move().migration());
  auto decided = std::atomic<bool>{false};
  auto report = source_report{};
  try {
    report = send_all(what, progress, stop, facts, decided);
  } catch (const std::exception& problem) {
    report.reason = stop.stop_requested() ? "it was cancelled" : problem.what();
  }
  if (decided || report.guest == whereabouts::moved)
    return {.moved = true};
  if (report.guest == whereabouts::unknown)
    throw std::runtime_error{"it is not known yet where it runs: " + report.reason};
  facts.set_moved(false);
  facts.set_reason(report.reason);
  // Nobody could have decided otherwise: that is asked for here alone.
  static_cast<void>(settings_.decide(facts, life_.get_token()));
  forget_departing(place);
  if (report.downtime > 0)
    go_on(place);
  return {.moved = false, .reason = report.reason};
}

departure mover::find_out(const wire::Instance& what) {
  const auto place = place_of(what.name());
  const auto left = read_departing(place);
  auto facts = wire::SettleMove{};
  facts.set_node(settings_.node);
  facts.set_instance(what.name());
  facts.set_epoch(left.epoch);
  facts.set_migration(left.migration);
  facts.set_reason("its node was started again meanwhile");
  if (!settings_.decide(facts, life_.get_token()))
    return {.moved = true};
  forget_departing(place);
  go_on(place);
  return {.moved = false, .reason = facts.reason()};
}

/// Sees to it that a guest which stood still goes on. One that does not is of no use to anybody: its machine is ended,
/// and begins anew as its spec says.
void mover::go_on(const fs::path& place) {
  const auto process = workload::instance_directory{place}.container();
  if (!process)
    return;
  try {
    resume_qemu(place / workload::qemu_move_socket);
  } catch (const std::exception& problem) {
    host::log_error("move", "what stands still in {} does not go on: {}", place.filename().string(), problem.what());
    workload::signal_process(*process, SIGKILL);
  }
}

} // namespace

std::shared_ptr<workload::guest_mover> make_guest_mover(guest_moving settings) {
  return std::make_shared<mover>(std::move(settings));
}

} // namespace novacron::node
