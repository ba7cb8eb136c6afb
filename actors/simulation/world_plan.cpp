#include "actors/simulation/world_plan.hpp"

#include "actors/scheduler/trace.hpp"
#include "actors/shell/toml_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <stdexcept>
#include <utility>

namespace novacron::simulation {
namespace {

using shell::toml_reader;
using key = toml_reader::key;
using place = toml_reader::place;

/// Chosen: ten times what the largest world that was measured has.
constexpr auto hosts_max = std::int64_t{100'000};

moment from_ms(std::uint64_t x) {
  return std::chrono::milliseconds{static_cast<std::int64_t>(x)};
}

class world_reader {
public:
  world_reader(toml_reader& from, world_plan& into, const std::string& file, const file_reader& files)
      : from_{from}, into_{into}, file_{file}, files_{files} {}

  void read(const toml::table& root) {
    auto& nodes = into_.settings.nodes;
    const auto time = [this](auto& target) {
      return [this, &target](const place& at) { from_.duration(at, [&](auto v) { target = from_ms(v); }); };
    };
    from_.read(
        root, "",
        {{"hosts", [&](const place& at) { from_.tables(at, [&](auto& t, const auto& p) { hosts(t, p); }); }},
         {"links", [&](const place& at) { from_.tables(at, [&](auto& t, const auto& p) { link(t, p); }); }},
         {"network",
          [&](const place& at) { from_.table(at, [&](auto& t, const auto& p) { quality(t, p, into_.usual, {}); }); }},
         {"images", [&](const place& at) { from_.tables(at, [&](auto& t, const auto& p) { image(t, p); }); }},
         {"report", time(nodes.report_interval)},
         {"beat", time(nodes.pulse.beat)},
         {"silence", time(nodes.pulse.patience)},
         {"redial", time(nodes.pulse.pause_max)},
         {"lost_after", time(nodes.patience)},
         {"policy", [&](const place& at) { from_.text(at, [&](auto v) { nodes.policy = v; }); }},
         {"election", time(into_.settings.voters.election)},
         {"heartbeat", time(into_.settings.voters.heartbeat)},
         {"encoded", [&](const place& at) { from_.yes_no(at, [&](auto v) { into_.settings.post.encoded = v; }); }}});
  }

  void image(const toml::table& t, const std::string& where) { read_image(t, where); }

private:
  void hosts(const toml::table& t, const std::string& where) {
    auto one = host_plan{};
    auto count = std::int64_t{0};
    auto zones = std::vector<std::string>{};
    one.capacity.set_cpu_milli(4000);
    one.capacity.set_memory_bytes(8ull << 30);
    one.capacity.set_disk_bytes(100ull << 30);
    auto hosting = std::optional<bool>{};
    auto from_trace = false;
    auto listed = std::vector<scheduler::trace_node>{};
    auto one_in = std::int64_t{1};
    from_.read(
        t, where,
        {{"name", [&](const place& at) { from_.text(at, [&](auto v) { one.name = v; }); }},
         {"count", [&](const place& at) { from_.whole(at, 1, hosts_max, [&](auto v) { count = v; }); }},
         {"trace",
          [&](const place& at) {
            from_trace = true;
            from_.text(at, [&](auto v) { listed = list(at, v); });
          }},
         {"one_in", [&](const place& at) { from_.whole(at, 1, hosts_max, [&](auto v) { one_in = v; }); }},
         {"role", [&](const place& at) { from_.choose(at, roles, [&](auto v) { one.role = v; }); }},
         {"zone", [&](const place& at) { from_.text(at, [&](auto v) { zones = {v}; }); }},
         {"zones", [&](const place& at) { from_.texts(at, [&](auto v) { zones.push_back(v); }); }},
         {"region", [&](const place& at) { from_.text(at, [&](auto v) { one.region = v; }); }},
         {"labels", [&](const place& at) { from_.map(at, one.labels); }},
         {"joins", [&](const place& at) { from_.texts(at, [&](auto v) { one.joins.push_back(v); }); }},
         {"workloads", [&](const place& at) { from_.yes_no(at, [&](auto v) { hosting = v; }); }},
         {"cpu", [&](const place& at) { from_.milli(at, [&](auto v) { one.capacity.set_cpu_milli(v); }); }},
         {"memory", [&](const place& at) { from_.bytes(at, [&](auto v) { one.capacity.set_memory_bytes(v); }); }},
         {"disk", [&](const place& at) { from_.bytes(at, [&](auto v) { one.capacity.set_disk_bytes(v); }); }},
         {"gpu", [&](const place& at) { from_.milli(at, [&](auto v) { one.capacity.set_gpu_milli(v); }); }},
         {"gpu_model", [&](const place& at) { from_.text(at, [&](auto v) { one.capacity.set_gpu_model(v); }); }}});
    one.workloads = hosting.value_or(one.role != "cloud");
    if (from_trace)
      return take_listed(listed, one, zones, static_cast<std::size_t>(one_in));
    if (one.name.empty())
      return from_.miss(t, where, "name", "what the hosts are called, such as \"edge\"");
    for (auto i = std::int64_t{1}; i <= std::max<std::int64_t>(count, 1); ++i) {
      auto each = one;
      if (count > 0)
        each.name = fmt::format("{}-{}", one.name, i);
      add(std::move(each), zones, static_cast<std::size_t>(i - 1));
    }
  }

  void add(host_plan one, const std::vector<std::string>& zones, std::size_t at) {
    if (!zones.empty())
      one.zone = zones[at % zones.size()];
    into_.hosts.push_back(std::move(one));
  }

  /// The hosts of a trace; none when there is no such list.
  std::vector<scheduler::trace_node> list(const place& at, const std::string& name) {
    const auto path = (std::filesystem::path{file_}.parent_path() / name).string();
    const auto text = files_(path);
    if (!text) {
      from_.complain(at, fmt::format("a list of hosts; {} cannot be read", path));
      return {};
    }
    try {
      return scheduler::parse_trace_nodes(*text);
    } catch (const std::runtime_error& wrong) {
      from_.complain(at, fmt::format("a list of hosts; {}: {}", path, wrong.what()));
      return {};
    }
  }

  void take_listed(const std::vector<scheduler::trace_node>& nodes, const host_plan& like,
                   const std::vector<std::string>& zones, std::size_t one_in) {
    for (auto i = std::size_t{0}; i < nodes.size(); i += one_in) {
      auto one = like;
      one.name = nodes[i].name;
      one.capacity.set_cpu_milli(static_cast<std::uint64_t>(nodes[i].cpu_milli));
      one.capacity.set_memory_bytes(static_cast<std::uint64_t>(nodes[i].memory_mib) << 20);
      one.capacity.set_gpu_milli(static_cast<std::uint64_t>(nodes[i].gpus) * 1000);
      one.capacity.set_gpu_model(nodes[i].model);
      add(std::move(one), zones, i / one_in);
    }
  }

  void quality(const toml::table& t, const std::string& where, way_quality& into, std::vector<key> more) {
    const auto share = [this](std::uint32_t& target) {
      return [this, &target](const place& at) {
        const auto x = at.node.value<double>();
        if (x && *x >= 0 && *x <= 1)
          target = static_cast<std::uint32_t>(*x * 1'000'000);
        else
          from_.complain(at, "a share from 0 to 1");
      };
    };
    const auto time = [this](moment& target) {
      return [this, &target](const place& at) { from_.duration(at, [&](auto v) { target = from_ms(v); }); };
    };
    more.insert(more.end(),
                {{"latency", time(into.latency)},
                 {"jitter", time(into.jitter)},
                 {"bandwidth", [&](const place& at) { from_.bytes(at, [&](auto v) { into.bandwidth = v; }); }},
                 {"loss", share(into.lost)},
                 {"doubled", share(into.doubled)}});
    from_.read(t, where, more);
  }

  void link(const toml::table& t, const std::string& where) {
    auto one = link_plan{.quality = into_.usual};
    auto ends = std::vector<std::string>{};
    quality(t, where, one.quality,
            {{"between", [&](const place& at) { from_.texts(at, [&](auto v) { ends.push_back(v); }); }}});
    if (ends.size() != 2)
      return from_.complain(t, where, R"(between = ["zone=a", "zone=b"])");
    one.from = ends[0];
    one.to = ends[1];
    into_.links.push_back(std::move(one));
  }

  void read_image(const toml::table& t, const std::string& where) {
    auto name = std::string{};
    auto one = image_behavior{};
    const auto range = [this](moment& least, moment& most) {
      return [this, &least, &most](const place& at) {
        auto times = std::vector<moment>{};
        if (at.node.is_array())
          for (const auto& each : *at.node.as_array())
            from_.duration({each, at.path}, [&](auto v) { times.push_back(from_ms(v)); });
        else
          from_.duration(at, [&](auto v) { times.push_back(from_ms(v)); });
        if (times.empty() || times.size() > 2 || times.front() > times.back())
          return from_.complain(at, "a duration, or a list of the shortest and the longest");
        least = times.front();
        most = times.back();
      };
    };
    const auto share = [this](std::uint32_t& target, std::uint32_t whole) {
      return [this, &target, whole](const place& at) {
        const auto x = at.node.value<double>();
        if (x && *x >= 0 && *x <= 1)
          target = static_cast<std::uint32_t>(*x * whole);
        else
          from_.complain(at, "a share from 0 to 1");
      };
    };
    from_.read(
        t, where,
        {{"name", [&](const place& at) { from_.text(at, [&](auto v) { name = v; }); }},
         {"start", range(one.start_min, one.start_max)},
         {"runs", range(one.run_min, one.run_max)},
         {"start_fails", share(one.start_fails, 1'000'000)},
         {"run_fails", share(one.run_fails, 1'000'000)},
         {"load", share(one.load, 1'000)},
         {"exit_code",
          [&](const place& at) { from_.whole(at, 0, 255, [&](auto v) { one.exit_code = static_cast<int>(v); }); }},
         {"unhealthy", [&](const place& at) { from_.yes_no(at, [&](auto v) { one.unhealthy = v; }); }}});
    if (name.empty())
      return from_.miss(t, where, "name", "the image, such as \"web:1\"");
    into_.images[name] = one;
  }

  inline static const auto roles = std::vector<std::pair<std::string, std::string>>{
      {"cloud", "cloud"}, {"hybrid", "hybrid"},   {"edge", "edge"},
      {"gpu", "gpu"},     {"storage", "storage"}, {"gateway", "gateway"}};

  toml_reader& from_;
  world_plan& into_;
  const std::string& file_;
  const file_reader& files_;
};

bool is_controller(const host_plan& x) {
  return x.role == "cloud" || x.role == "hybrid";
}

void check(world_plan& plan, const std::string& file, int line, std::vector<std::string>& errors) {
  auto names = std::map<std::string, int>{};
  auto controllers = std::vector<std::string>{};
  for (auto& x : plan.hosts) {
    if (++names[x.name] == 2)
      errors.push_back(fmt::format("{}:{}: two hosts are called {}", file, line, x.name));
    // Everybody joins the controllers that were there before; with several, each of them.
    if (x.joins.empty())
      x.joins = controllers;
    if (is_controller(x))
      controllers.push_back(x.name);
  }
  if (controllers.empty())
    errors.push_back(
        fmt::format("{}:{}: a world needs a controller: hosts with role = \"cloud\" or \"hybrid\"", file, line));
  for (auto& x : plan.hosts)
    if (!is_controller(x) && x.joins.size() < controllers.size() && x.joins != controllers && x.joins.empty())
      x.joins = controllers;
  for (const auto& x : plan.hosts)
    for (const auto& peer : x.joins)
      if (!names.contains(peer))
        errors.push_back(fmt::format("{}:{}: {} joins {}, which is no host", file, line, x.name, peer));
  for (const auto& x : plan.links)
    for (const auto& end : {x.from, x.to}) {
      auto wrong = std::string{};
      if (select_hosts(plan.hosts, end, wrong).empty())
        errors.push_back(fmt::format("{}:{}: links: {}", file, line, wrong));
    }
}

std::optional<std::pair<std::string, std::uint64_t>> numbered(std::string_view name) {
  const auto dash = name.rfind('-');
  auto number = std::uint64_t{0};
  if (dash == name.npos)
    return {};
  const auto [end, problem] = std::from_chars(name.data() + dash + 1, name.data() + name.size(), number);
  if (problem != std::errc{} || end != name.data() + name.size())
    return {};
  return std::pair{std::string{name.substr(0, dash + 1)}, number};
}

bool matches(const host_plan& x, std::string_view word) {
  if (word == "all" || x.name == word)
    return true;
  if (const auto equals = word.find('='); equals != word.npos) {
    const auto name = word.substr(0, equals);
    const auto wanted = word.substr(equals + 1);
    if (name == "zone")
      return x.zone == wanted;
    if (name == "region")
      return x.region == wanted;
    if (name == "role")
      return x.role == wanted;
    const auto label = x.labels.find(std::string{name});
    return label != x.labels.end() && label->second == wanted;
  }
  if (const auto star = word.find('*'); star != word.npos)
    return x.name.size() >= word.size() - 1 && x.name.starts_with(word.substr(0, star)) &&
           x.name.ends_with(word.substr(star + 1));
  if (const auto dots = word.find(".."); dots != word.npos) {
    const auto first = numbered(word.substr(0, dots));
    const auto last = numbered(word.substr(dots + 2));
    const auto mine = numbered(x.name);
    return first && last && mine && mine->first == first->first && mine->second >= first->second &&
           mine->second <= last->second;
  }
  return false;
}

} // namespace

world_plan parse_world(std::string_view text, const std::string& file, int first_line, const file_reader& files,
                       std::vector<std::string>& errors) {
  auto plan = world_plan{};
  // Empty lines in front make the reader's lines those of the file.
  const auto placed = std::string(static_cast<std::size_t>(std::max(0, first_line - 1)), '\n') + std::string{text};
  auto from = toml_reader{file, errors};
  if (const auto root = from.parse(placed))
    world_reader{from, plan, file, files}.read(*root);
  if (errors.empty())
    check(plan, file, first_line, errors);
  return plan;
}

std::map<std::string, image_behavior> parse_images(std::string_view text, const std::string& file, int first_line,
                                                   std::vector<std::string>& errors) {
  auto plan = world_plan{};
  const auto placed = std::string(static_cast<std::size_t>(std::max(0, first_line - 1)), '\n') + std::string{text};
  const auto no_files = file_reader{[](const std::string&) { return std::nullopt; }};
  auto from = toml_reader{file, errors};
  if (const auto root = from.parse(placed))
    world_reader{from, plan, file, no_files}.image(*root, "");
  return plan.images;
}

host_set select_hosts(const std::vector<host_plan>& hosts, std::string_view word, std::string& wrong) {
  auto found = host_set{};
  while (!word.empty()) {
    const auto comma = word.find(',');
    const auto part = word.substr(0, comma);
    word = comma == word.npos ? std::string_view{} : word.substr(comma + 1);
    auto any = false;
    for (auto i = host_number{0}; i < hosts.size(); ++i)
      if (matches(hosts[i], part)) {
        found.add(i);
        any = true;
      }
    if (any)
      continue;
    auto known = std::vector<std::string>{"all"};
    for (const auto& x : hosts) {
      known.push_back(x.name);
      for (const auto& [kind, value] : {std::pair{"zone=", x.zone}, {"region=", x.region}, {"role=", x.role}})
        if (!value.empty() && std::ranges::find(known, kind + value) == known.end())
          known.push_back(kind + value);
      if (known.size() > 2000)
        break;
    }
    wrong = fmt::format("no host is meant by '{}'{}", part, shell::did_you_mean(part, known));
    return {};
  }
  return found;
}

std::unique_ptr<world> build_world(const world_plan& plan, std::uint64_t seed) {
  auto settings = plan.settings;
  settings.seed = seed;
  auto made = std::make_unique<world>(settings);
  made->wires().usual = plan.usual;
  made->images() = plan.images;
  for (const auto& x : plan.hosts)
    made->add(x);
  auto wrong = std::string{};
  for (const auto& x : plan.links)
    made->wires().shape("", select_hosts(plan.hosts, x.from, wrong), select_hosts(plan.hosts, x.to, wrong), x.quality);
  made->start();
  return made;
}

} // namespace novacron::simulation
