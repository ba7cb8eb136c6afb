#include "actors/node/demo.hpp"

#include "actors/host/process.hpp"
#include "actors/node/cable.hpp"
#include "actors/node/dev.hpp"
#include "actors/node/local_fabric.hpp"
#include "actors/node/node_lock.hpp"
#include "actors/shell/client.hpp"
#include "actors/shell/output.hpp"
#include "actors/shell/views.hpp"
#include "actors/workload/machine_driver.hpp"
#include "actors/workload/qemu_monitor.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <functional>
#include <iostream>
#include <set>
#include <sstream>

namespace novacron::node {
namespace {

namespace fs = std::filesystem;

using json = nlohmann::json;
using monotonic = std::chrono::steady_clock;
using namespace std::chrono_literals;

/// What the demo promised did not happen.
struct disappointment : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The person pressed Ctrl-C.
struct called_off {};

constexpr auto exit_interrupted = 130;

sigset_t signals_of_end() {
  auto all = sigset_t{};
  sigemptyset(&all);
  for (const auto one : {SIGINT, SIGTERM, SIGHUP})
    sigaddset(&all, one);
  return all;
}

/// Waits a little; throws when it is to end.
void pause() {
  const auto signals = signals_of_end();
  const auto little = timespec{.tv_sec = 0, .tv_nsec = 50'000'000};
  if (::sigtimedwait(&signals, nullptr, &little) > 0)
    throw called_off{};
}

constexpr auto web_file = R"(name = "web"
kind = "container"
image = "demo:1"
command = ["/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www"]
replicas = 2
resources = { cpu = 0.1, memory = "32MiB" }
placement = { spread = [{ key = "zone", max_skew = 1 }], apart = ["web"], prefer = { role = "edge" } }
on_disconnect = "replace"
health = { http = "/", port = 80, interval = "1s" }
)";

constexpr auto keeper_file = R"(name = "keeper"
kind = "container"
image = "demo:1"
command = ["/bin/busybox", "sleep", "100000"]
resources = { cpu = 0.1, memory = "16MiB" }
placement = { prefer = { zone = "plant-b" } }
on_disconnect = "replace"
)";

constexpr auto shards_file = R"(name = "shards"
kind = "batch"
image = "demo:1"
command = ["/bin/sh", "-c", "echo this shard is done"]
resources = { cpu = 0.1, memory = "16MiB" }
batch = { completions = 4, parallelism = 2, retries = 1, deadline = "1m" }
)";

constexpr auto shout_file = R"(name = "shout"
kind = "function"
image = "demo:1"
command = ["/bin/busybox", "tr", "a-z", "A-Z"]
resources = { cpu = 0.2, memory = "16MiB" }
function = { timeout = "5s", keep_alive = "2s" }
)";

// They are where no node is killed: what machines do then is what containers do.
constexpr auto computer_file = R"(name = "computer"
kind = "vm"
image = "demo:1"
command = ["/bin/sh", "-c", "echo process 1 of a computer; while :; do sleep 1; done"]
resources = { cpu = 0.5, memory = "128MiB" }
network = { mode = "none" }
stop_grace = "1s"
placement = { require = { node = "gpu-1" } }
)";

constexpr auto box_file = R"(name = "box"
kind = "sandbox"
image = "demo:1"
command = ["/bin/sh", "-c", "while :; do n=$((n+1)); echo $n; sleep 0.2; done"]
resources = { cpu = 0.5, memory = "32MiB" }
network = { mode = "none" }
placement = { require = { node = "gpu-1" } }
)";

constexpr auto turn_file = R"(name = "turn"
kind = "container"
image = "demo:1"
command = ["/bin/sh", "-c", "while :; do n=$(($(cat /n)+1)); echo $n > /new; mv /new /n; echo $n; sleep 0.2; done"]
resources = { cpu = 0.5, memory = "32MiB" }
network = { mode = "none" }
placement = { require = { node = "gpu-1" } }
conversion = { restart = true }
)";

std::string read_text(const fs::path& file) {
  auto in = std::ifstream{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// The body of a page, as any HTTP client would get it.
std::string fetch(const std::string& host, std::uint16_t port) {
  auto address = sockaddr_in{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto patience = timeval{.tv_sec = 2, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  auto text = std::string{};
  constexpr auto question = std::string_view{"GET / HTTP/1.0\r\nHost: demo\r\n\r\n"};
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0
      && ::send(fd, question.data(), question.size(), MSG_NOSIGNAL) > 0) {
    auto block = std::array<char, 4096>{};
    for (auto count = ::recv(fd, block.data(), block.size(), 0); count > 0; count = ::recv(fd, block.data(), block.size(), 0))
      text.append(block.data(), static_cast<std::size_t>(count));
  }
  ::close(fd);
  const auto body = text.find("\r\n\r\n");
  return body == text.npos ? "" : text.substr(body + 4);
}

class story {
public:
  story(const demo_options& options, local_fabric& fabric, cable& uplink, fs::path scratch)
    : options_{options}, fabric_{fabric}, uplink_{uplink}, scratch_{std::move(scratch)},
      asked_{shell::parse_target(fabric.socket().string()), {}, 5s} {}

  void tell() {
    run_real_work();
    call_a_function();
    run_machines();
    survive_a_crash_of_a_node();
    lose_a_node();
    cut_a_node_off();
    finish();
  }

private:
  void say(const std::string& text) {
    fmt::print("\n{}\n", text);
    std::fflush(stdout);
  }

  /// Runs a command as a person would, and shows both.
  std::string show(std::vector<std::string> words) {
    auto line = std::string{"$ novacron"};
    for (const auto& word : words)
      line += " " + word;
    fmt::print("{}\n", line);
    auto what = host::command{};
    // First: what follows a command to be run inside is that command's.
    what.argv = {options_.program, "--connect=" + fabric_.socket().string()};
    what.argv.insert(what.argv.end(), words.begin(), words.end());
    const auto done = host::run(what, 60s);
    fmt::print("{}{}", done.out, done.err);
    std::fflush(stdout);
    if (done.how.code != 0)
      throw disappointment{fmt::format("`{}` ended with exit code {}", line, done.how.code)};
    return done.out;
  }

  json instances() { return json::parse(asked_.get("/v1/instances")).at("instances"); }

  json instance(const std::string& name) {
    for (const auto& x : instances())
      if (x.at("name") == name)
        return x;
    return json::object();
  }

  void write(const std::string& name, const std::string& text) { std::ofstream{scratch_ / name} << text; }

  /// Waits until it is so and remembers it for the table at the end; `proof` says what was seen.
  void until(const std::string& what, std::chrono::seconds patience, const std::function<bool()>& holds,
             const std::function<std::string()>& proof = {}) {
    const auto begin = monotonic::now();
    const auto terminal = ::isatty(1) == 1;
    if (terminal) {
      fmt::print("  ... {}", what);
      std::fflush(stdout);
    }
    while (!holds()) {
      if (monotonic::now() - begin > patience)
        throw disappointment{"this did not happen within " + std::to_string(patience.count()) + " s: " + what};
      pause();
    }
    const auto took = fmt::format("{:.1f} s", std::chrono::duration<double>(monotonic::now() - begin).count());
    const auto detail = proof ? proof() : std::string{};
    fmt::print("{}  ok: {} ({}){}{}\n", terminal ? "\r\x1b[K" : "", what, took, detail.empty() ? "" : "\n      ", detail);
    std::fflush(stdout);
    shown_.rows.push_back({what, took, detail});
  }

  /// "keeper.0 on edge-2, epoch 7".
  static std::string place(const json& x) {
    return fmt::format("{} on {}, epoch {}", x.value("name", ""), x.value("node", ""), x.value("epoch", "0"));
  }

  bool runs(const std::string& name) { return instance(name).value("phase", "") == "PHASE_RUNNING"; }

  void make_image() {
    const auto root = scratch_ / "image";
    fs::create_directories(root / "bin");
    fs::create_directories(root / "www");
    for (const auto* busybox : {"/bin/busybox", "/usr/bin/busybox"})
      if (fs::exists(busybox)) {
        fs::copy_file(busybox, root / "bin" / "busybox", fs::copy_options::overwrite_existing);
        break;
      }
    if (!fs::exists(root / "bin" / "busybox"))
      throw disappointment{"the demo makes its image of a static busybox, and there is none (Debian: busybox-static)"};
    auto ignored = std::error_code{};
    for (const auto* tool : {"sh", "echo", "sleep", "httpd", "cat", "hostname", "mv", "uname"})
      fs::create_symlink("busybox", root / "bin" / tool, ignored);
    std::ofstream{root / "www" / "index.html"} << "hello from the fabric\n";
  }

  void run_real_work() {
    say("== Four nodes, each a process of its own, joined over mutual TLS");
    show({"node", "list"});
    say("== An image made here, a replicated web service, a singleton, a batch job");
    make_image();
    show({"image", "create", "demo:1", "image", "layout"});
    show({"image", "import", "layout", "--name=demo:1"});
    write("web.toml", web_file);
    write("keeper.toml", keeper_file);
    write("shards.toml", shards_file);
    show({"plan", "web.toml"});
    for (const auto* file : {"web.toml", "keeper.toml", "shards.toml"})
      show({"run", file});
    // They come up meanwhile.
    if (machine_lack().empty())
      begin_machines();
    until("two web servers run in different zones, and the singleton runs", 30s,
          [&] { return runs("web.0") && runs("web.1") && runs("keeper.0") && instance("web.0").at("node") != instance("web.1").at("node"); },
          [&] { return place(instance("web.0")) + "; " + place(instance("web.1")) + "; " + place(instance("keeper.0")); });
    until("each of them answers real HTTP", 10s, [&] {
      return fetch(instance("web.0").value("address", ""), 80) == "hello from the fabric\n"
             && fetch(instance("web.1").value("address", ""), 80) == "hello from the fabric\n";
    });
    until("the batch job completed its four shards", 30s, [&] {
      return json::parse(asked_.get("/v1/workloads/shards")).value("phase", "") == "PHASE_COMPLETED";
    });
    show({"ps"});
    show({"explain", "placement", "web"});
  }

  void call_a_function() {
    say("== A function: no instance of it runs until somebody calls");
    write("shout.toml", shout_file);
    show({"run", "shout.toml"});
    if (show({"function", "invoke", "shout", "--data=hello"}) != "HELLO")
      throw disappointment{"the function did not say HELLO"};
    fmt::print("\n");
    auto call = json{};
    until(
        "called again, the instance that is there now answers", 10s,
        [&] {
          call = json::parse(asked_.post("/v1/functions/shout:invoke?whole=true", "again"));
          return !call.value("cold", true) && call.value("body", "") == "QUdBSU4=";
        },
        [&] {
          return fmt::format("{} took {:.1f} ms", call.value("instance", ""),
                             static_cast<double>(number(call, "ran_usec")) / 1000);
        });
    until("nobody calls any more, and it is gone", 20s, [&] { return instance("shout.0").empty(); });
  }

  /// Why there are none here; empty when there are.
  static std::string machine_lack() {
    const auto lacks = workload::machine_lacks({.monitor = workload::make_qemu_monitor()});
    return lacks.empty() ? "" : lacks.front();
  }

  void begin_machines() {
    write("computer.toml", computer_file);
    write("box.toml", box_file);
    write("turn.toml", turn_file);
    for (const auto* name : {"computer", "box", "turn"})
      show({"run", fmt::format("{}.toml", name)});
  }

  /// The last number that an instance has said.
  long count(const std::string& name) {
    const auto said = shell::read<v1::LogChunk>(asked_.get("/v1/instances/" + name + "/logs?offset=-64")).data();
    auto lines = std::istringstream{said.substr(0, said.rfind('\n') + 1)};
    auto last = 0l;
    for (auto line = std::string{}; std::getline(lines, line);)
      if (!line.empty() && line.find_first_not_of("0123456789") == line.npos)
        last = std::stol(line);
    return last;
  }

  void run_machines() {
    say("== A virtual machine and a sandbox: the same image, each with a kernel of its own");
    if (const auto lack = machine_lack(); !lack.empty()) {
      fmt::print("This machine runs {}. The demo goes on without.\n", lack);
      return;
    }
    until("both have come up", 120s, [&] { return runs("computer.0") && runs("box.0") && count("box.0") > 0; });
    show({"exec", "computer", "/bin/uname", "-r"});
    show({"exec", "box", "/bin/uname", "-r"});
    say("== A checkpoint of the sandbox: it is put back to the moment at which that was made");
    show({"workload", "checkpoint", "box"});
    const auto before = count("box.0");
    until("it has gone on", 10s, [&] { return count("box.0") > before + 5; });
    const auto after = count("box.0");
    show({"workload", "restore", "box"});
    until(
        "it counts from there again", 20s, [&] { return count("box.0") < after; },
        [&] { return fmt::format("it had come to {}, and says {}", after, count("box.0")); });
    say("== A container becomes a sandbox, with its files");
    until("it counts, in a file", 10s, [&] { return count("turn.0") > 0; });
    const auto begun = count("turn.0");
    show({"workload", "convert", "turn", "--to=sandbox"});
    until(
        "it counts on in the sandbox", 20s, [&] { return runs("turn.0") && count("turn.0") > begun; },
        [&] { return fmt::format("from {} to {}", begun, count("turn.0")); });
    show({"delete", "computer", "box", "turn"});
  }

  void survive_a_crash_of_a_node() {
    const auto before = instance("keeper.0");
    const auto node = before.at("node").get<std::string>();
    say(fmt::format("== SIGKILL for the node process of {}, which starts again at once: its containers never notice", node));
    fabric_.signal(node, SIGKILL);
    until("the process of " + node + " is gone", 5s, [&] { return !fabric_.take_ended().empty(); });
    fabric_.start(node);
    until("the node is back and has adopted keeper.0: same start, same epoch", 15s, [&] {
      const auto now = instance("keeper.0");
      return fabric_.await_ready(0s) && now.value("phase", "") == "PHASE_RUNNING" && now.value("started_ms", "") == before.value("started_ms", "-")
             && now.value("epoch", "") == before.value("epoch", "-");
    }, [&] { return place(instance("keeper.0")) + ", as before; the node is a new process"; });
    until("what it adopted is still reached: each web server answers", 10s, [&] {
      return fetch(instance("web.0").value("address", ""), 80) == "hello from the fabric\n"
             && fetch(instance("web.1").value("address", ""), 80) == "hello from the fabric\n";
    });
  }

  void lose_a_node() {
    const auto before = instance("web.0");
    const auto node = before.at("node").get<std::string>();
    say(fmt::format("== SIGKILL for {}, and this time it stays away: what it ran is placed elsewhere", node));
    fabric_.signal(node, SIGKILL);
    until("the process of " + node + " is gone", 5s, [&] { return !fabric_.take_ended().empty(); });
    until("web.0 runs elsewhere, with a higher epoch", 25s, [&] {
      const auto now = instance("web.0");
      return now.value("phase", "") == "PHASE_RUNNING" && now.value("node", node) != node && number(now, "epoch") > number(before, "epoch");
    }, [&] { return place(before) + " -> " + place(instance("web.0")); });
    show({"ps", "-o", "wide"});
    say(fmt::format("== {} returns. Its containers never stopped, so that it still has web.0 of epoch {}: that one must go", node,
                    before.value("epoch", "0")));
    fabric_.start(node);
    until(node + " is back, and the copy with the old epoch is stopped: web.0 runs once", 20s, [&] { return only_assigned(node); },
          [&] { return "only " + place(instance("web.0")); });
  }

  void cut_a_node_off() {
    const auto node = std::string{"edge-2"};
    const auto before = instance("keeper.0");
    say(fmt::format("== {} is cut off without a word; keeper.0 ran on {}", node, before.at("node").get<std::string>()));
    uplink_.cut();
    if (before.at("node") == node)
      until("keeper.0 runs elsewhere, with a higher epoch", 25s, [&] {
        const auto now = instance("keeper.0");
        return now.value("phase", "") == "PHASE_RUNNING" && now.value("node", node) != node && number(now, "epoch") > number(before, "epoch");
      }, [&] { return place(before) + " -> " + place(instance("keeper.0")); });
    say("== The cable is plugged in again");
    uplink_.heal();
    until(node + " is back, and what it still ran of old epochs is stopped", 25s,
          [&] { return node_state(node) == "ready" && only_assigned(node); },
          [&] { return "only " + place(instance("keeper.0")); });
  }

  void finish() {
    say("== In the end");
    until("everything that was asked for runs, once", 20s, [&] {
      auto names = std::multiset<std::string>{};
      for (const auto& x : instances())
        if (x.value("phase", "") == "PHASE_RUNNING")
          names.insert(x.at("name").get<std::string>());
      return names == std::multiset<std::string>{"keeper.0", "web.0", "web.1"};
    });
    show({"node", "list"});
    show({"ps"});
    show({"ledger", "show"});
    say("== What was seen");
    auto size = winsize{};
    const auto columns = ::ioctl(1, TIOCGWINSZ, &size) == 0 ? static_cast<int>(size.ws_col) : 0;
    std::cout << std::flush;
    shell::print(std::cout, shown_, {.columns = columns});
    std::cout << std::flush;
  }

  static std::uint64_t number(const json& x, const char* key) {
    const auto text = x.value(key, std::string{"0"});
    return std::stoull(text);
  }

  std::string node_state(const std::string& node) { return json::parse(asked_.get("/v1/nodes/" + node)).value("state", ""); }

  /// Whether `node` itself, asked directly, runs only what it is assigned at the epochs of the ledger.
  bool only_assigned(const std::string& node) {
    auto assigned = std::set<std::pair<std::string, std::string>>{};
    for (const auto& x : instances())
      if (x.at("node") == node)
        assigned.emplace(x.at("name"), x.value("epoch", ""));
    try {
      const auto answer = json::parse(asked_.post("/v1/actors/" + node + "/agent:ask", R"({"message": "ReportRequest", "json": "{}"})"));
      const auto report = json::parse(answer.at("json").get<std::string>());
      for (const auto& x : report.at("instances"))
        if (x.value("phase", "") == "PHASE_RUNNING" && !assigned.contains({x.at("name"), x.value("epoch", "")}))
          return false;
      return true;
    } catch (const std::exception&) {
      return false; // not reachable yet
    }
  }

  const demo_options& options_;
  local_fabric& fabric_;
  cable& uplink_;
  fs::path scratch_;
  shell::client asked_;
  shell::table shown_{.columns = {{"WHAT"}, {"AFTER", false, true}, {"SEEN"}}, .rows = {}, .noun = {}};
};

/// The configuration as edge-2 gets to see it: the way to the controller leads over the cable.
std::string rerouted(const std::string& file, const std::string& controller, std::uint16_t port, const fs::path& scratch) {
  auto text = read_text(file);
  const auto name = "name = \"" + controller + "\"\n";
  const auto at = text.find(name);
  if (at == text.npos)
    throw disappointment{file + " has no line " + name};
  text.insert(at + name.size(), fmt::format("address = \"127.0.0.1:{}\"\n", port));
  const auto copy = scratch / "edge-2.toml";
  std::ofstream{copy} << text;
  return copy.string();
}

/// Returns the exit code; `cleared` says whether nothing is left that needs the data directory.
int play(const demo_options& options, configuration settings, const std::string& file, const fs::path& root, bool& cleared) {
  const auto scratch = root / "scratch";
  fs::create_directories(scratch);
  const auto controller = settings.nodes.front();
  if (!controller.listen || !settings.find("edge-2"))
    throw disappointment{"the demo needs the nodes.toml that came with it"};
  auto uplink = cable{controller.listen->host, controller.listen->port};
  auto extra = std::map<std::string, std::map<std::string, std::string>>{};
  extra["edge-2"]["config"] = rerouted(file, controller.name, uplink.port(), scratch);
  const auto begin = monotonic::now();
  auto fabric = local_fabric{{options.program, std::move(settings), file, extra}};
  fabric.start_all();
  if (!fabric.await_ready(30s))
    throw disappointment{"the fabric did not become ready (is another one running on these ports?); the nodes' logs are below "
                         + root.string()};
  fmt::print("The fabric is ready after {:.2f} s.\n", std::chrono::duration<double>(monotonic::now() - begin).count());
  auto code = 0;
  auto outside = std::error_code{};
  const auto home = fs::current_path(outside);
  // So that the commands that are shown are as short as a person would type them.
  fs::current_path(scratch, outside);
  try {
    story{options, fabric, uplink, scratch}.tell();
    fmt::print("\nAll of it was seen to happen, in {:.0f} s.\n", std::chrono::duration<double>(monotonic::now() - begin).count());
    if (options.interactive) {
      fmt::print("The fabric is yours until you leave the shell (Ctrl-D).\n");
      std::fflush(stdout);
      const auto shell = host::start({.argv = {options.program, "shell", "--connect=" + fabric.socket().string()},
                                      .in = 0, .out = 1, .err = 2, .detached = false});
      ::waitpid(shell.pid, nullptr, 0);
      ::close(shell.pidfd);
    }
  } catch (const called_off&) {
    std::cerr << "\nnovacron demo: ending the workloads and the nodes (Ctrl-C again to leave at once)\n";
    const auto signals = signals_of_end();
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    code = exit_interrupted;
  } catch (const std::exception& problem) {
    std::cerr << "\nnovacron demo: " << problem.what() << "\n";
    code = 1;
  }
  fs::current_path(home, outside);
  // A node that is away, or cut off, would keep what it runs.
  uplink.heal();
  fabric.start_missing();
  cleared = clear_workloads(fabric.socket(), 20s);
  if (!cleared)
    std::cerr << "novacron demo: some workloads did not end in time; the next demo takes care of them\n";
  fabric.stop(15s);
  return code;
}

} // namespace

int demo(const demo_options& options) {
  const auto file = fs::absolute(options.config_file.empty() ? "nodes.toml" : options.config_file).string();
  const auto root = usual_data_root() / "demo";
  auto found = resolve(usual_layers({}, file), root);
  for (const auto& wrong : found.problems)
    std::cerr << "novacron: " << to_string(wrong) << "\n";
  if (!found.problems.empty())
    return 2;
  ::signal(SIGPIPE, SIG_IGN);
  const auto signals = signals_of_end();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  try {
    fs::create_directories(root);
    const auto lock = node_lock{root};
    auto cleared = false;
    const auto code = play(options, std::move(found.settings), file, root, cleared);
    auto ignored = std::error_code{};
    if (code != 1 && cleared)
      fs::remove_all(root, ignored);
    return code;
  } catch (const std::exception& problem) {
    std::cerr << "novacron demo: " << problem.what() << "\n";
    return 1;
  }
}

} // namespace novacron::node
