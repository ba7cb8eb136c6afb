#include "actors/node/configuration.hpp"

#include "actors/host/certificate.hpp"
#include "actors/node/settings_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>

namespace novacron::node {
namespace {

using namespace std::chrono_literals;

const auto node_roles = std::vector<std::string>{"cloud", "hybrid", "edge", "gpu", "storage", "gateway"};
constexpr auto name_accepted = "must be 1 to 63 of a-z, 0-9 and '-', not beginning or ending with '-'";
constexpr auto nodes_max = std::size_t{1000};

bool is_name(const std::string& x) {
  return host::name_is_valid(x);
}

bool is_label_part(const std::string& x) {
  constexpr auto length_max = std::size_t{63};
  return !x.empty() && x.size() <= length_max && std::all_of(x.begin(), x.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '/';
  });
}

bool is_redis(const std::string& x) {
  return x.empty() || (x.starts_with("unix:/") && x.size() > 6) || parse_endpoint(x).has_value();
}

bool is_path(const std::string& x) {
  return x.starts_with('/') && x.find('\0') == x.npos;
}

/// A node and what was written about it.
struct described_node {
  node_settings settings;
  written text;
  std::string key;
  bool workloads_said = false;
};

class resolution {
public:
  resolution(const written& all, std::vector<problem> found, std::filesystem::path data_root)
      : all_{all}, data_root_{std::move(data_root)} {
    read_.problems = std::move(found);
  }

  resolved run() {
    auto text = all_;
    const auto self = field(text, "self");
    text.fields.erase("self");
    sections(text);
    if (self.is != written::kind::none)
      apply_self(self);
    // Without any file this host is a fabric of its own.
    if (nodes_.empty() && !nodes_written_)
      add_node(
          {.is = written::kind::table, .fields = {{"role", role_text("hybrid")}, {"name", role_text("hybrid-1")}}});
    check_nodes();
    return finish();
  }

private:
  static written field(const written& table, const std::string& name) {
    const auto found = table.fields.find(name);
    return found == table.fields.end() ? written{} : found->second;
  }

  static written role_text(std::string text) {
    return {.is = written::kind::text, .text = std::move(text), .from = {"default"}};
  }

  void sections(const written& text) {
    auto& x = result_.settings;
    auto section = [this](std::vector<settings_reader::known> keys) {
      return [this, keys](const written& value, const std::string& key) { read_.table(value, key, keys); };
    };
    auto level = std::string{}, format = std::string{};
    read_.table(
        text, "",
        {{"fabric", section({{"name", read_.text(x.fabric.name, name_accepted, is_name)}})},
         {"cache",
          section({{"redis", read_.text(x.cache.redis, "must be \"HOST:PORT\", \"unix:/PATH\" or \"\"", is_redis)}})},
         {"log", section({{"level", read_.one_of(level, {"trace", "debug", "info", "warn", "error", "off"})},
                          {"format", read_.one_of(format, {"auto", "human", "json"})}})},
         {"scheduler", section({{"patience", read_.duration(x.scheduler.patience, 100ms, 1h)},
                                {"policy", read_.one_of(x.scheduler.policy, {"affinity", "balance", "cost", "fragmentation", "pack", "spread"})}})},
         {"trust", section({{"handshake", read_.duration(x.trust.handshake, 100ms, 1min)},
                              {"life", read_.duration(x.trust.life, 1min, std::chrono::hours{24 * 90})}})},
         {"node", [this](const written& value, const std::string& key) { nodes(value, key); }}});
    x.log.level = host::parse_level(level).value_or(x.log.level);
    x.log.format = format == "human"  ? host::log_format::human
                   : format == "json" ? host::log_format::json
                                      : host::log_format::automatic;
  }

  void nodes(const written& value, const std::string& key) {
    nodes_written_ = true;
    if (value.items.size() > nodes_max)
      return read_.complain(written{.is = written::kind::integer,
                                    .integer = static_cast<std::int64_t>(value.items.size()),
                                    .from = value.from},
                            key, "must be at most 1000 nodes");
    read_.list(value, key, "must be written as [[node]]",
               [this](const written& item, const std::string&) { add_node(item); });
  }

  void add_node(const written& text) {
    const auto name = field(text, "name");
    auto made = described_node{.text = text};
    made.key = "node." + (name.is == written::kind::text ? name.text : std::to_string(nodes_.size() + 1));
    read_node(made, text);
    nodes_.push_back(std::move(made));
  }

  void read_node(described_node& into, const written& text) {
    auto& x = into.settings;
    auto& r = x.resources;
    auto data_dir = x.data_dir.string();
    auto label = [this, &x](const written& value, const std::string& key) {
      read_.text(x.labels[key.substr(key.find(".labels.") + 8)], "must be 1 to 63 letters, digits and -_./",
                 is_label_part)(value, key);
    };
    auto extra = [this, &r](const written& value, const std::string& key) {
      if (value.is != written::kind::integer || value.integer < 0 || value.integer > 1'000'000)
        return read_.complain(value, key, "must be a whole number from 0 to 1000000");
      r.extra[key.substr(key.find(".extra.") + 7)] = static_cast<std::uint64_t>(value.integer);
    };
    const auto own_label = [](const std::string& name) {
      return is_label_part(name) && name != "zone" && name != "region" && name != "role" && name != "name";
    };
    const auto resources = std::vector<settings_reader::known>{
        {"cpu", read_.milli(r.cpu_milli, 1, 65'536'000)},
        {"memory", read_.bytes(r.memory_bytes, 1 << 20)},
        {"disk", read_.bytes(r.disk_bytes, 0)},
        {"gpu", read_.milli(r.gpu_milli, 0, 1'024'000)},
        {"gpu_model", read_.text(r.gpu_model, "must be 1 to 63 letters, digits and -_./", is_label_part)},
        {"extra", read_.map("must be 1 to 63 letters, digits and -_./", is_label_part, extra)}};
    read_.table(
        text, into.key,
        {{"name", read_.text(x.name, name_accepted, is_name)},
         {"role", read_.one_of(x.role, node_roles)},
         {"listen", read_.address(x.listen)},
         {"api", read_.address(x.api)},
         {"ledger", read_.address(x.ledger)},
         {"address", read_.address(x.address)},
         {"join", [&](const written& value, const std::string& key) { join(x, value, key); }},
         {"zone", read_.text(x.zone, "must be 1 to 63 letters, digits and -_./", is_label_part)},
         {"region", read_.text(x.region, "must be 1 to 63 letters, digits and -_./", is_label_part)},
         {"labels", read_.map("must be a label name other than zone, region, role and name", own_label, label)},
         {"resources", [&](const written& value, const std::string& key) { read_.table(value, key, resources); }},
         {"data_dir", read_.text(data_dir, "must be an absolute path", is_path)},
         {"workloads",
          [&](const written& value, const std::string& key) {
            into.workloads_said = true;
            read_.boolean(x.workloads)(value, key);
          }},
         {"masquerade", read_.boolean(x.masquerade)},
         {"templates", read_.bytes(x.templates, 0)},
         {"checkpoints", read_.bytes(x.checkpoints, 0)},
         {"mounts", [&](const written& value, const std::string& key) {
            x.mounts.clear();
            read_.list(value, key, "must be a list of absolute paths", [&](const written& item, const std::string&) {
              auto path = std::string{};
              read_.text(path, "must be an absolute path", is_path)(item, key);
              if (!path.empty())
                x.mounts.emplace_back(path);
            });
          }}});
    x.data_dir = data_dir;
  }

  void join(node_settings& x, const written& value, const std::string& key) {
    x.join.clear();
    const auto one = [&](const written& item, const std::string&) {
      auto text = std::string{};
      read_.text(text, "must be the name of a node or \"HOST:PORT\"",
                 [](const std::string& t) { return is_name(t) || parse_endpoint(t); })(item, key);
      if (const auto address = parse_endpoint(text))
        x.join.push_back({{}, *address});
      else if (!text.empty())
        x.join.push_back({text, {}});
    };
    if (value.is == written::kind::text)
      one(value, key);
    else
      read_.list(value, key, "must be the name of a node, or a list of them", one);
  }

  /// The flags and variables that are about the node which this process is.
  void apply_self(const written& text) {
    const auto name = field(text, "name");
    const auto role = field(text, "role");
    const auto by_name = std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& x) {
      return !name.text.empty() && x.settings.name == name.text;
    });
    const auto of_role =
        std::count_if(nodes_.begin(), nodes_.end(), [&](const auto& x) { return x.settings.role == role.text; });
    auto which = nodes_.end();
    if (name.is == written::kind::text)
      which = by_name;
    else if (role.is == written::kind::text && of_role == 1)
      which = std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& x) { return x.settings.role == role.text; });
    else if (role.is == written::kind::text && of_role > 1)
      return read_.complain(role, "role", "there are several nodes with this role: say which with --name");
    else if (role.is == written::kind::none && nodes_.size() == 1)
      which = nodes_.begin();
    if (which == nodes_.end())
      return new_self(text);
    if (role.is == written::kind::text && which->settings.role != role.text && !which->settings.role.empty())
      return read_.complain(role, which->key + ".role", "the file says \"" + which->settings.role + '"');
    read_node(*which, text);
    which->text = overlay(text, which->text);
    self_ = static_cast<std::size_t>(which - nodes_.begin());
  }

  void new_self(written text) {
    const auto role = field(text, "role");
    const auto name = field(text, "name");
    if (role.is == written::kind::none && !read_.problems.empty())
      return; // what this node is may stand where the file could not be read
    if (role.is == written::kind::none && nodes_written_)
      return read_.complain(name.is == written::kind::none ? text : name, "name",
                            "no such node in the file; say what it is with --role, or name one of its nodes");
    if (role.is == written::kind::none)
      text.fields["role"] = role_text("hybrid");
    if (name.is == written::kind::none)
      text.fields["name"] = role_text((role.text.empty() ? "hybrid" : role.text) + "-1");
    add_node(text);
    self_ = nodes_.size() - 1;
  }

  // What concerns several settings at once.

  void check_nodes() {
    for (auto& one : nodes_)
      complete(one);
    check_names();
    for (const auto& one : nodes_) {
      check_addresses(one);
      check_join(one);
    }
    check_places();
  }

  void complete(described_node& one) {
    auto& x = one.settings;
    for (const auto* required : {"name", "role"})
      if (field(one.text, required).is == written::kind::none)
        read_.problems.push_back({one.text.from, one.key, {}, std::string{"must have a "} + required});
    if (!one.workloads_said)
      x.workloads = x.role != "cloud";
    if (x.is_controller() && !x.listen)
      x.listen = endpoint{"127.0.0.1", 7100};
    if (x.data_dir.empty() && !x.name.empty())
      x.data_dir = data_root_ / x.name;
  }

  void check_names() {
    auto seen = std::map<std::string, origin>{};
    for (const auto& one : nodes_) {
      const auto& name = one.settings.name;
      const auto [before, fresh] = seen.emplace(name, one.text.from);
      if (!fresh && !name.empty())
        read_.complain(field(one.text, "name"), one.key + ".name",
                       "is the name of the node at " + to_string(before->second) + " already");
    }
  }

  void check_addresses(const described_node& one) {
    const auto& x = one.settings;
    if (x.listen && is_wildcard(*x.listen) && !x.address)
      read_.complain(field(one.text, "listen"), one.key + ".listen",
                     "listens beyond loopback on every address; say with address = \"HOST:PORT\" how peers reach it");
    if (x.address && is_wildcard(*x.address))
      read_.complain(field(one.text, "address"), one.key + ".address", "must be an address that peers can connect to");
    if (x.address && !x.listen)
      read_.complain(field(one.text, "address"), one.key + ".address", "needs a listen address");
    if (x.listen && x.address && is_loopback(*x.listen) && !is_loopback(*x.address))
      read_.complain(field(one.text, "listen"), one.key + ".listen",
                     "only this host can reach loopback, but address = \"" + to_string(*x.address) +
                         "\" promises more");
    if (x.ledger && !x.is_controller())
      read_.complain(field(one.text, "ledger"), one.key + ".ledger", "only cloud and hybrid nodes keep a ledger");
    if (x.ledger && is_wildcard(*x.ledger))
      read_.complain(field(one.text, "ledger"), one.key + ".ledger",
                     "must be an address that other voters can connect to");
  }

  void check_join(const described_node& one) {
    const auto& x = one.settings;
    const auto text = field(one.text, "join");
    if (x.join.empty() && !x.is_controller() && !x.role.empty() && text.is == written::kind::none)
      read_.problems.push_back(
          {one.text.from,
           one.key,
           {},
           "a node with role " + x.role + " must join a cloud or hybrid node: join = \"NAME\" or \"HOST:PORT\""});
    auto names = std::vector<std::string>{};
    for (const auto& other : nodes_)
      names.push_back(other.settings.name);
    for (const auto& target : x.join) {
      if (target.name.empty())
        continue;
      const auto other =
          std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& n) { return n.settings.name == target.name; });
      const auto near = nearest(target.name, names);
      if (other == nodes_.end())
        read_.complain(text, one.key + ".join",
                       "there is no node \"" + target.name + '"' +
                           (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
      else if (target.name == x.name)
        read_.complain(text, one.key + ".join", "a node cannot join itself");
      else if (!other->settings.listen && !other->settings.address)
        read_.complain(text, one.key + ".join", "node \"" + target.name + "\" does not listen");
    }
  }

  /// No two things at one address or in one directory.
  void check_places() {
    auto ports = std::map<std::string, std::string>{};
    auto directories = std::map<std::string, std::string>{};
    for (const auto& one : nodes_) {
      const auto& x = one.settings;
      const auto key = [&](const char* name) { return one.key + '.' + name; };
      for (const auto& [address, name] : {std::pair{&x.listen, "listen"}, {&x.api, "api"}, {&x.ledger, "ledger"}})
        if (*address)
          claim(ports, to_string(**address), one, key(name), name);
      if (!x.data_dir.empty())
        claim(directories, (x.data_dir / "").lexically_normal().string(), one, key("data_dir"), "data_dir");
    }
  }

  void claim(std::map<std::string, std::string>& taken, const std::string& place, const described_node& by,
             const std::string& key, const char* name) {
    const auto [before, fresh] = taken.emplace(place, key);
    if (fresh || before->second == key) // two nodes of one name have been complained of
      return;
    auto text = field(by.text, name);
    if (text.is == written::kind::none)
      text = {.is = written::kind::text, .text = place, .from = by.text.from};
    read_.complain(text, key, "is taken by " + before->second);
  }

  void show(const std::string& key, std::string value) {
    const auto place = read_.places.find(key);
    result_.shown.push_back(
        {key, std::move(value), place == read_.places.end() ? "default" : to_string(place->second)});
  }

  void show_sections() {
    const auto& x = result_.settings;
    constexpr auto formats = std::array{"auto", "human", "json"};
    show("fabric.name", x.fabric.name);
    show("cache.redis", x.cache.redis.empty() ? "(embedded)" : x.cache.redis);
    show("log.level", std::string{host::to_string(x.log.level)});
    show("log.format", formats[static_cast<std::size_t>(x.log.format)]);
    show("scheduler.patience", print_span(x.scheduler.patience));
    show("scheduler.policy", x.scheduler.policy);
    show("trust.handshake", print_span(x.trust.handshake));
    show("trust.life", print_span(x.trust.life));
  }

  void show_node(const described_node& one) {
    const auto& x = one.settings;
    const auto& r = x.resources;
    const auto put = [&](const char* name, std::string value) { show(one.key + '.' + name, std::move(value)); };
    const auto place = [](const std::optional<endpoint>& e) { return e ? to_string(*e) : std::string{"(none)"}; };
    auto join = std::string{};
    for (const auto& target : x.join)
      join += (join.empty() ? "" : " ") + (target.name.empty() ? to_string(target.address) : target.name);
    put("role", x.role);
    put("listen", place(x.listen));
    put("api", place(x.api));
    put("ledger", place(x.ledger));
    put("address", place(x.address ? x.address : x.listen));
    put("join", join.empty() ? "(none)" : join);
    put("zone", x.zone);
    put("region", x.region);
    for (const auto& [name, value] : x.labels)
      show(one.key + ".labels." + name, value);
    put("resources.cpu", r.cpu_milli ? fmt::format("{}", static_cast<double>(*r.cpu_milli) / 1000) : "(detected)");
    put("resources.memory", r.memory_bytes ? print_size(*r.memory_bytes) : "(detected)");
    put("resources.disk", r.disk_bytes ? print_size(*r.disk_bytes) : "(detected)");
    put("resources.gpu", r.gpu_milli ? fmt::format("{}", static_cast<double>(*r.gpu_milli) / 1000) : "(detected)");
    put("data_dir", x.data_dir.string());
    put("workloads", x.workloads ? "true" : "false");
    put("templates", x.templates ? print_size(*x.templates) : "(an eighth of the memory)");
    put("checkpoints", x.checkpoints ? print_size(*x.checkpoints) : "(10 GiB)");
  }

  resolved finish() {
    auto& settings = result_.settings;
    show_sections();
    for (const auto& one : nodes_) {
      show_node(one);
      settings.nodes.push_back(one.settings);
    }
    for (auto& node : settings.nodes)
      for (auto& target : node.join)
        if (const auto* other = settings.find(target.name); other != nullptr && (other->address || other->listen))
          target.address = other->address ? *other->address : *other->listen;
    settings.self = self_;
    if (!self_ && settings.nodes.size() == 1)
      settings.self = 0;
    result_.problems = std::move(read_.problems);
    std::stable_sort(result_.problems.begin(), result_.problems.end(), [](const problem& a, const problem& b) {
      return std::tie(a.where.source, a.where.line) < std::tie(b.where.source, b.where.line);
    });
    return std::move(result_);
  }

  const written& all_;
  std::filesystem::path data_root_;
  settings_reader read_;
  std::vector<described_node> nodes_;
  bool nodes_written_ = false;
  std::optional<std::size_t> self_;
  resolved result_;
};

} // namespace

std::string to_string(const endpoint& x) {
  return (x.host.find(':') == x.host.npos ? x.host : '[' + x.host + ']') + ':' + std::to_string(x.port);
}

std::optional<endpoint> parse_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos || colon == 0)
    return {};
  auto host = text.substr(0, colon);
  const auto bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed)
    host = host.substr(1, host.size() - 2);
  constexpr auto host_length_max = std::size_t{253};
  const auto fits = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           (bracketed && c == ':');
  };
  if (host.empty() || host.size() > host_length_max || !std::all_of(host.begin(), host.end(), fits))
    return {};
  auto port = 0u;
  const auto digits = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size() || port == 0 || port > 65535)
    return {};
  return endpoint{std::string{host}, static_cast<std::uint16_t>(port)};
}

bool is_loopback(const endpoint& x) {
  return x.host.starts_with("127.") || x.host == "::1" || x.host == "localhost";
}

bool is_wildcard(const endpoint& x) {
  return x.host == "0.0.0.0" || x.host == "::";
}

const node_settings* configuration::find(std::string_view name) const {
  const auto found = std::find_if(nodes.begin(), nodes.end(), [&](const auto& x) { return x.name == name; });
  return found == nodes.end() ? nullptr : &*found;
}

resolved resolve(const std::vector<layer>& layers, const std::filesystem::path& data_root) {
  auto all = written{.is = written::kind::table};
  auto problems = std::vector<problem>{};
  for (const auto& one : layers) {
    all = overlay(all, one.settings);
    problems.insert(problems.end(), one.problems.begin(), one.problems.end());
  }
  return resolution{all, std::move(problems), data_root}.run();
}

} // namespace novacron::node
