#include "actors/workload/bench_machine.hpp"

#include "actors/host/files.hpp"
#include "actors/workload/bench_container.hpp"
#include "actors/workload/machine_driver.hpp"
#include "actors/workload/qemu_monitor.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

/// Enough for every template that a bench makes.
constexpr auto template_bytes = std::uint64_t{4} << 30;

/// Named as the store names it, so that it is made into a disk once, as images of the store are.
fs::path make_root(const fs::path& top) {
  const auto root = top / std::string(64, '0');
  fs::create_directories(root / "bin");
  fs::create_directories(root / "sbin");
  fs::copy_file("/bin/busybox", root / "bin/busybox");
  for (const auto* name : {"bin/sh", "bin/echo", "bin/sleep", "sbin/poweroff"})
    fs::create_symlink("/bin/busybox", root / name);
  return root;
}

fs::path only_one_in(const fs::path& directory) {
  for (const auto& each : fs::directory_iterator{directory})
    return each.path();
  throw std::runtime_error{"no template was made"};
}

} // namespace

machine_bench::machine_bench(const bench_options& options, bool whole, bool cloned)
    : node_{options.scratch, {.answer = 120s, .output = 60s, .step = 5ms}}, whole_{whole}, cloned_{cloned} {
  auto wanted =
      machine_settings{.data = node_.data(), .monitor = make_qemu_monitor(), .accelerated = options.accelerated};
  if (const auto lacks = machine_lacks(wanted); !lacks.empty())
    throw std::runtime_error{lacks.front()};
  if (cloned)
    wanted.templates = make_machine_templates(node_.data(), wanted.monitor, template_bytes);
  node_.begin(make_machine_driver(wanted), make_root(node_.top()));
}

wire::WorkloadSpec machine_bench::spec() const {
  auto x = wire::WorkloadSpec{};
  x.set_kind(whole_ ? wire::WORKLOAD_KIND_VM : wire::WORKLOAD_KIND_SANDBOX);
  for (const auto& word :
       {std::string{"/bin/sh"}, std::string{"-c"}, fmt::format("echo {}; exec sleep 1000", greeting)})
    x.mutable_program()->add_command(word);
  x.mutable_network()->set_mode("none");
  x.mutable_resources()->set_memory_bytes((whole_ ? 128u : 64u) << 20);
  x.mutable_resources()->set_cpu_milli(1000);
  x.set_stop_grace_ms(1);
  return x;
}

double machine_bench::through_agent() {
  return node_.start(spec(), greeting, [this] { keep("start.0"); });
}

void machine_bench::keep(const std::string& instance) {
  if (!words_.empty())
    return;
  kept_ = node_.top() / "kept";
  fs::create_directories(kept_);
  const auto from = node_.data() / "machines" / instance;
  for (const auto* name : {"box", "base.disk", "orders.in"})
    if (fs::exists(from / name))
      fs::copy_file(from / name, kept_ / name);
  const auto text = host::read_file(from / "machine").value_or("");
  for (auto begin = std::size_t{0}; begin < text.size(); begin = text.find('\0', begin) + 1)
    words_.emplace_back(text.c_str() + begin);
  if (cloned_)
    origin_ = load_template(only_one_in(node_.data() / "machine-templates"));
}

machine_bench::bare::~bare() {
  ::kill(child.pid, SIGKILL);
  ::waitpid(child.pid, nullptr, 0);
  ::close(child.pidfd);
}

std::unique_ptr<machine_bench::bare> machine_bench::start_bare(const std::string& name) {
  const auto here = node_.top() / name;
  fs::remove_all(here);
  fs::create_directories(here);
  for (const auto& each : fs::directory_iterator{kept_})
    fs::create_hard_link(each.path(), here / each.path().filename());
  fs::create_symlink("/dev/null", here / "orders.out");
  host::run({.argv = {"env", "-C", here, "qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.disk", "-F", "raw",
                      "root.disk"}});
  auto words = std::vector<std::string>{"env", "-C", here};
  words.insert(words.end(), words_.begin(), words_.end());
  auto made = std::make_unique<bare>();
  auto inherit = std::vector<int>{made->output.writer()};
  const auto null = descriptor{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  auto state = descriptor{};
  auto memory = descriptor{};
  if (cloned_) {
    state = open_state(*origin_);
    if (whole_)
      memory = copy_memory(*origin_);
    for (const auto fd : {null.get(), state.get(), whole_ ? memory.get() : origin_->memory.get()})
      inherit.push_back(fd);
  }
  made->child = host::start({.argv = words, .inherit = inherit, .dies_with_us = true});
  return made;
}

double machine_bench::by_hand() {
  const auto begin = clock::now();
  const auto machine = start_bare("bare");
  const auto well = machine->output.says(greeting, 120s);
  const auto took = std::chrono::duration<double>{clock::now() - begin}.count();
  if (!well)
    throw std::runtime_error{"the machine gave no output when it was started by hand"};
  return took;
}

std::map<std::string, bench_figure> bench_machine(const bench_options& options, bool whole, bool cloned) {
  auto one = machine_bench{options, whole, cloned};
  return compare_starts(
      options.rounds, cloned ? "the same clone by hand" : "the same QEMU by hand", [&] { return one.through_agent(); },
      [&] { return one.by_hand(); });
}

} // namespace novacron::workload
