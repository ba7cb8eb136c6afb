#pragma once

/// What runs instances: one set of verbs for containers, sandboxes, virtual machines and functions.

#include "actors/workload/image_config.hpp"
#include "actors/workload/outcome.hpp"
#include "messages/wire/agent.pb.h"
#include "messages/wire/common.pb.h"
#include "messages/wire/workload.pb.h"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::workload {

namespace wire = novacron::v1;

/// An unpacked image: a directory that is shared and never written, and what the image says about running it.
struct image_root {
  std::filesystem::path root;
  image_config config;
};

struct running {
  /// The first process of the instance as the host sees it.
  pid_t pid = -1;
  /// The instance's own address; empty if it has none.
  std::string address;
  std::int64_t started_ms = 0;
};

/// How a run of an instance ended.
struct ended {
  /// As a shell shows it: 128 + signal for a process killed by a signal; 125 when it could not be started.
  int code = 0;
  bool out_of_memory = false;
  /// In words; never empty.
  std::string reason;
  std::uint64_t cpu_usec = 0;
  /// The driver ended it, or did not begin it, because the node's lease was over.
  bool lease_over = false;
};

struct usage {
  std::uint64_t cpu_usec = 0;
  std::uint64_t memory_bytes = 0;
};

/// How long a node may be out of reach and still run it: for ever (0) unless its `on_disconnect` is `stop_after`.
std::chrono::milliseconds patience_of(const wire::WorkloadSpec& spec);
/// The time between the signal that asks for the end, and the end.
std::chrono::milliseconds grace_of(const wire::WorkloadSpec& spec);

/// What a start of the node found left over from an earlier life.
struct leftover {
  wire::Instance instance;
  wire::InstanceStatus status;
  /// It runs; `adopt` takes it over.
  bool alive = false;
  /// How its last run ended, if it did while nobody listened.
  std::optional<ended> how;
};

struct exec_order {
  std::vector<std::string> command;
  std::map<std::string, std::string> env;
  bool terminal = false;
  std::uint16_t rows = 24;
  std::uint16_t columns = 80;
};

/// A process started inside a running instance. Ends with the last reference to it.
class exec_process {
public:
  struct output {
    std::string out;
    std::string err;
    bool exited = false;
    int code = 0;
  };
  virtual ~exec_process() = default;
  /// How much of `input` was taken; the process may take more later.
  virtual std::size_t write(std::string_view input) = 0;
  virtual void end_input() = 0;
  virtual void resize(std::uint16_t rows, std::uint16_t columns) = 0;
  virtual void signal(int number) = 0;
  /// What came since the last call. `exited` only once nothing more will come.
  virtual output take() = 0;
  /// Calls `what` once, as soon as `take` has something to say (at once if it has already).
  virtual void when_ready(std::function<void()> what) = 0;
};

/// What runs, and shall run in another format from now on.
struct conversion {
  /// As it shall be: of another kind.
  wire::Instance to;
  /// As it is. Written down with the new kind and address when the change counts.
  wire::InstanceStatus status;
  image_root image;
};

struct converted {
  running now;
  /// How long it stood still.
  std::chrono::milliseconds frozen{};
};

struct checkpoint_order {
  /// Empty has one made up.
  std::string name;
  /// It stays paused then.
  bool pause = false;
};

/// Every verb answers by its continuation, on any thread. Verbs for one instance are not called before the
/// previous one has answered, except `signal`, `stats` and `exec`. Names are those of instances ("web.0").
///
/// A run whose `on_disconnect` is `stop_after` ends when the node's lease is over (see lease.hpp), with its grace, and
/// does not begin on such a lease. The driver sees to that also while this process is dead: another node will run it.
class driver {
public:
  using over = std::function<void(ended)>;

  virtual ~driver() = default;

  /// Everything a former life left: what still runs, and what is known of the rest. What nobody knows is killed
  /// and removed. Blocks; called once, before any other verb.
  virtual std::vector<leftover> sweep() = 0;

  /// Makes everything ready that a start needs and writes down what shall run, so that it can be adopted.
  virtual void prepare(const wire::Instance& what, const image_root& image, then<> done) = 0;

  /// Runs it. `end` is called once when the run has ended, always after `done`, never if `done` got a trouble. The
  /// trouble is `unreachable` when the node's lease is over.
  virtual void start(const std::string& name, then<running> done, over end) = 0;

  /// Takes over what `sweep` found alive.
  virtual void adopt(const std::string& name, then<running> done, over end) = 0;

  /// SIGTERM means the signal that the image wants for its end. It kills at once when
  /// the first process does not listen to it: the kernel would keep it from that process.
  virtual void signal(const std::string& name, int number, then<> done) = 0;
  virtual void pause(const std::string& name, bool paused, then<> done) = 0;
  /// Changes the limits of what runs; 0 leaves a value as it is.
  virtual void resize(const std::string& name, const wire::Resources& to, then<> done) = 0;
  virtual void stats(const std::string& name, then<usage> done) = 0;
  virtual void exec(const std::string& name, const exec_order& what, then<std::shared_ptr<exec_process>> done) = 0;

  /// Starts one more usher inside the running instance of a function, which takes calls; see usher.cpp. Not every
  /// driver can.
  virtual void serve(const std::string& name, then<std::shared_ptr<exec_process>> done);

  /// Asks once whether the instance is well, in the way that `check` says.
  virtual void probe(const std::string& name, const wire::HealthCheck& check, then<> done) = 0;

  /// Keeps `status` beside the instance, so that it is there after a restart of the node.
  virtual void remember(const std::string& name, const wire::InstanceStatus& status) = 0;

  /// Where the output of the instance is kept; see `log_files.hpp`.
  virtual std::filesystem::path logs(const std::string& name) const = 0;
  /// Calls `what` (again and again) when new output may be there, until the returned handle is dropped.
  virtual std::shared_ptr<void> when_output(const std::string& name, std::function<void()> what) = 0;

  /// Starts what was prepared as a place for a guest that runs elsewhere. It does not run before `arrive`. Not every
  /// driver can.
  virtual void receive(const std::string& name, then<running> done, over end);
  /// The guest that came is this instance from now on, and runs. The second time that does nothing.
  virtual void arrive(const wire::Instance& what, then<> done);
  /// Whether somebody else may run by now what stands still here: its node was killed before it knew.
  virtual bool departs(const std::string& name) const;
  /// Why this one of a kind that can go to another node while it runs cannot, and what to do instead; empty when it
  /// can.
  virtual std::string why_immovable(const std::string& name) const;

  /// Removes every trace of an instance that does not run.
  virtual void destroy(const std::string& name, then<> done) = 0;

  // What a change of format is made of; not every driver can.

  /// Changes the format of what runs, which stands still meanwhile. With a trouble it runs on as it did. `end` is
  /// called once when the run in the new format has ended; the `end` of the start before is called too, and means
  /// nothing then.
  virtual void convert(const conversion& what, then<converted> done, over end);
  /// Why what runs cannot be taken to another format; empty when it can.
  virtual std::string why_unconvertible(const std::string& name) const;
  /// Why `what` could not be prepared, without doing it: nothing if it could.
  virtual outcome<> examine(const wire::Instance& what, const image_root& image);
  /// Gets ready whatever the start of such an instance would otherwise have to wait for; as well as it can.
  virtual void get_ready(const wire::Instance& what, then<> done);
  /// Has what runs stand still with all of its files on the disk, or lets it go on.
  virtual void hold(const std::string& name, bool held, then<> done);
  /// Copies the files of what is held to the directory `into`, which must be there. Blocks.
  virtual outcome<> copy_files(const std::string& name, const std::filesystem::path& into);
  /// The directory of an instance; empty if it has none.
  virtual std::filesystem::path place(const std::string& name) const;
  /// Where `copy_files` of another driver brings what `prepare` shall begin from.
  virtual std::filesystem::path files_place(const std::string& name) const;

  /// Writes down how what runs is, under a name that is new. With a trouble there is nothing of it, and it runs on. Not
  /// every driver can.
  virtual void checkpoint(const std::string& name, const checkpoint_order& what, then<wire::Checkpoint> done);
  /// Has the next start begin as that checkpoint says. What runs is left alone.
  virtual void set_back(const std::string& name, const std::string& checkpoint, then<> done);
};

} // namespace novacron::workload
