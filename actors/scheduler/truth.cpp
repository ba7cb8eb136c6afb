#include "actors/scheduler/truth.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace novacron::scheduler {
namespace {

const std::map<std::uint32_t, std::string> no_instances;
const std::set<std::string> nobody_there;

struct split {
  std::string_view kind;
  std::string name;
};

split split_key(std::string_view key) {
  const auto slash = key.find('/');
  return slash == key.npos ? split{key, ""} : split{key.substr(0, slash), std::string{key.substr(slash + 1)}};
}

} // namespace

std::string generation_key(const std::string& workload, std::uint64_t generation) {
  return workload + "/" + std::to_string(generation);
}

std::string template_of(const wire::WorkloadSpec& spec) {
  auto fixed = spec;
  fixed.clear_replicas();
  fixed.clear_priority();
  fixed.clear_preempts();
  fixed.clear_batch();
  // How many there are, not what they are.
  if (spec.has_function()) {
    fixed.mutable_function()->clear_instances_min();
    fixed.mutable_function()->clear_instances_max();
    fixed.mutable_function()->clear_waiting_max();
    fixed.mutable_function()->clear_keep_alive_ms();
  }
  // Only `stop_after` concerns what runs: its node holds it to that.
  if (spec.on_disconnect().action() != wire::ON_DISCONNECT_STOP_AFTER)
    fixed.clear_on_disconnect();
  fixed.mutable_placement()->clear_policy();
  fixed.mutable_placement()->clear_prefer();
  fixed.mutable_placement()->clear_gang();
  fixed.mutable_placement()->clear_reservation();
  auto text = std::string{};
  {
    auto out = google::protobuf::io::StringOutputStream{&text};
    auto coded = google::protobuf::io::CodedOutputStream{&out};
    coded.SetSerializationDeterministic(true);
    fixed.SerializeToCodedStream(&coded);
  }
  return text;
}

void truth::write(const wire::LedgerEntry& entry) {
  const auto [kind, name] = split_key(entry.key());
  if (kind == "workload") {
    auto& at = workloads[name];
    at.revision = entry.revision();
    at.value.ParseFromString(entry.value());
    templates_[generation_key(name, at.value.generation())] = template_of(at.value.spec());
  } else if (kind == "instance") {
    auto& at = instances[name];
    if (at.revision != 0)
      index_instance(at.value, false);
    at.revision = entry.revision();
    at.value.ParseFromString(entry.value());
    index_instance(at.value, true);
  } else if (kind == "node") {
    auto& at = nodes[name];
    at.revision = entry.revision();
    at.value.ParseFromString(entry.value());
  } else if (kind == "quota") {
    auto& at = quotas[name];
    at.revision = entry.revision();
    at.value.ParseFromString(entry.value());
  } else if (kind == "policy") {
    auto& at = policies[name];
    at.revision = entry.revision();
    at.value.ParseFromString(entry.value());
  } else if (kind == "reservation") {
    auto& at = reservations[name];
    at.revision = entry.revision();
    at.value.ParseFromString(entry.value());
  } else if (kind == "migration") {
    auto& at = migrations[name];
    at.revision = entry.revision();
    at.value.ParseFromString(entry.value());
  } else if (entry.key() == settings_key) {
    settings.revision = entry.revision();
    settings.value.ParseFromString(entry.value());
  } else if (kind == "generation") {
    auto& spec = generations[name];
    spec.ParseFromString(entry.value());
    templates_[name] = template_of(spec);
  }
}

void truth::remove(const std::string& key) {
  const auto [kind, name] = split_key(key);
  if (kind == "workload") {
    if (const auto* gone = find_workload(name))
      templates_.erase(generation_key(name, gone->generation()));
    workloads.erase(name);
  } else if (kind == "instance") {
    if (const auto* gone = find_instance(name))
      index_instance(*gone, false);
    instances.erase(name);
  } else if (kind == "node") {
    nodes.erase(name);
  } else if (kind == "quota") {
    quotas.erase(name);
  } else if (kind == "policy") {
    policies.erase(name);
  } else if (kind == "reservation") {
    reservations.erase(name);
  } else if (kind == "migration") {
    migrations.erase(name);
  } else if (key == settings_key) {
    settings = {};
  } else if (kind == "generation") {
    generations.erase(name);
    templates_.erase(name);
  }
}

void truth::index_instance(const wire::Instance& x, bool present) {
  auto& siblings = of_workload_[x.workload()];
  if (present)
    siblings[x.ordinal()] = x.name();
  else
    siblings.erase(x.ordinal());
  if (siblings.empty())
    of_workload_.erase(x.workload());
  const auto put = [&](auto& index, const std::string& node) {
    auto& there = index[node];
    if (present)
      there.insert(x.name());
    else
      there.erase(x.name());
    if (there.empty())
      index.erase(node);
  };
  // Where it goes is a place of its own only while it runs.
  static const auto nowhere = std::string{};
  for (const auto* node : {&x.node(), &x.leaving().node(), x.has_move() ? &x.next().node() : &nowhere})
    if (!node->empty()) {
      put(on_node_, *node);
      if (x.outcome() == wire::PHASE_STOPPING)
        put(ending_on_, *node);
    }
}

const wire::Instance* truth::find_instance(const std::string& name) const {
  const auto found = instances.find(name);
  return found == instances.end() ? nullptr : &found->second.value;
}

const wire::WorkloadRecord* truth::find_workload(const std::string& name) const {
  const auto found = workloads.find(name);
  return found == workloads.end() ? nullptr : &found->second.value;
}

std::uint64_t truth::revision_of(const std::string& key) const {
  const auto [kind, name] = split_key(key);
  const auto look = [&name = name](const auto& records) {
    const auto found = records.find(name);
    return found == records.end() ? std::uint64_t{0} : found->second.revision;
  };
  if (kind == "workload")
    return look(workloads);
  if (kind == "instance")
    return look(instances);
  if (kind == "quota")
    return look(quotas);
  if (kind == "policy")
    return look(policies);
  if (kind == "reservation")
    return look(reservations);
  if (kind == "migration")
    return look(migrations);
  return key == settings_key ? settings.revision : look(nodes);
}

const std::map<std::uint32_t, std::string>& truth::instances_of(const std::string& workload) const {
  const auto found = of_workload_.find(workload);
  return found == of_workload_.end() ? no_instances : found->second;
}

const std::set<std::string>& truth::instances_on(const std::string& node) const {
  const auto found = on_node_.find(node);
  return found == on_node_.end() ? nobody_there : found->second;
}

const std::set<std::string>& truth::ending_on(const std::string& node) const {
  const auto found = ending_on_.find(node);
  return found == ending_on_.end() ? nobody_there : found->second;
}

std::set<std::uint64_t> truth::generations_of(const std::string& workload) const {
  auto numbers = std::set<std::uint64_t>{};
  const auto prefix = workload + "/";
  for (auto at = generations.lower_bound(prefix); at != generations.end() && at->first.starts_with(prefix); ++at)
    numbers.insert(std::stoull(at->first.substr(prefix.size())));
  return numbers;
}

const wire::WorkloadSpec* truth::spec_of(const std::string& workload, std::uint64_t generation) const {
  const auto* now = find_workload(workload);
  if (now && now->generation() == generation)
    return &now->spec();
  const auto former = generations.find(generation_key(workload, generation));
  return former != generations.end() ? &former->second : now ? &now->spec() : nullptr;
}

bool truth::outdated(const std::string& workload, std::uint64_t generation) const {
  const auto* now = find_workload(workload);
  if (!now || now->generation() == generation)
    return false;
  const auto former = templates_.find(generation_key(workload, generation));
  const auto current = templates_.find(generation_key(workload, now->generation()));
  return former == templates_.end() || current == templates_.end() || former->second != current->second;
}

} // namespace novacron::scheduler
