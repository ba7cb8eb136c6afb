#include "actors/workload/image_oci.hpp"

#include "actors/workload/image_digest.hpp"

#include <nlohmann/json.hpp>
#include <sys/utsname.h>

#include <algorithm>

namespace novacron::workload {
namespace {

using nlohmann::json;

constexpr int depth_max = 32;
// Chosen: bounds the memory of a hostile text, in which a value costs some 60 bytes for 3 of text.
constexpr std::size_t values_max = 200'000;

[[noreturn]] void refuse(const std::string& where, const std::string& why) {
  throw image_error{image_problem::corrupt, where + ": " + why};
}

json parse(std::string_view text, const std::string& where) {
  auto values = std::size_t{0};
  const auto guard = [&](int depth, json::parse_event_t, json&) {
    if (depth > depth_max)
      refuse(where, "is nested too deeply");
    if (++values > values_max)
      refuse(where, "has too many values");
    return true;
  };
  auto document = json::parse(text.begin(), text.end(), guard, false);
  if (!document.is_object() && !document.is_array())
    refuse(where, "is not valid JSON");
  return document;
}

/// The member called `key`, null when it is not there.
const json& member(const json& x, const char* key) {
  static const auto nothing = json{};
  if (!x.is_object())
    return nothing;
  const auto found = x.find(key);
  return found == x.end() ? nothing : *found;
}

std::string text_of(const json& x, const char* key, const std::string& where) {
  const auto& value = member(x, key);
  if (value.is_null())
    return {};
  if (!value.is_string())
    refuse(where, std::string{key} + " is not a text");
  auto text = value.get<std::string>();
  // It ends up in argv, environments and paths, none of which can carry it.
  if (text.find('\0') != text.npos)
    refuse(where, std::string{key} + " holds a zero byte");
  return text;
}

std::vector<std::string> texts_of(const json& x, const char* key, const std::string& where) {
  const auto& values = member(x, key);
  auto all = std::vector<std::string>{};
  if (values.is_null())
    return all;
  if (!values.is_array())
    refuse(where, std::string{key} + " is not a list");
  for (const auto& value : values) {
    if (!value.is_string() || value.get_ref<const std::string&>().find('\0') != std::string::npos)
      refuse(where, std::string{key} + " holds something that is not a text");
    all.push_back(value.get<std::string>());
  }
  return all;
}

std::vector<std::string> keys_of(const json& x, const char* key, const std::string& where) {
  const auto& values = member(x, key);
  auto all = std::vector<std::string>{};
  if (values.is_null())
    return all;
  if (!values.is_object())
    refuse(where, std::string{key} + " is not an object");
  for (const auto& [name, ignored] : values.items())
    all.push_back(name);
  return all;
}

std::map<std::string, std::string> map_of(const json& x, const char* key, const std::string& where) {
  auto all = std::map<std::string, std::string>{};
  for (const auto& name : keys_of(x, key, where))
    all[name] = text_of(member(x, key), name.c_str(), where);
  return all;
}

descriptor descriptor_of(const json& x, const std::string& where) {
  if (!x.is_object())
    refuse(where, "holds a descriptor that is not an object");
  const auto& platform = member(x, "platform");
  auto result = descriptor{.media_type = text_of(x, "mediaType", where),
                           .digest = text_of(x, "digest", where),
                           .size = 0,
                           .os = text_of(platform, "os", where),
                           .architecture = text_of(platform, "architecture", where),
                           .annotations = map_of(x, "annotations", where)};
  if (!is_digest(result.digest))
    refuse(where, "names a blob by something that is no sha256 digest");
  const auto& size = member(x, "size");
  if (!size.is_number_unsigned())
    refuse(where, "gives no size for blob " + result.digest);
  result.size = size.get<std::uint64_t>();
  return result;
}

std::vector<descriptor> descriptors_of(const json& x, const char* key, const std::string& where) {
  const auto& values = member(x, key);
  if (!values.is_array())
    refuse(where, std::string{"has no list of "} + key);
  auto all = std::vector<descriptor>{};
  for (const auto& value : values)
    all.push_back(descriptor_of(value, where));
  return all;
}

void put(json& into, const char* key, const json& value) {
  if (!value.empty() && value != "")
    into[key] = value;
}

json json_of(const descriptor& x) {
  auto result = json{{"mediaType", x.media_type}, {"digest", x.digest}, {"size", x.size}};
  if (!x.os.empty() || !x.architecture.empty())
    result["platform"] = {{"os", x.os}, {"architecture", x.architecture}};
  put(result, "annotations", x.annotations);
  return result;
}

json keys_as_object(const std::vector<std::string>& keys) {
  auto result = json::object();
  for (const auto& key : keys)
    result[key] = json::object();
  return result;
}

image_config config_of(const json& x, const std::string& where) {
  return {.entrypoint = texts_of(x, "Entrypoint", where),
          .cmd = texts_of(x, "Cmd", where),
          .env = texts_of(x, "Env", where),
          .workdir = text_of(x, "WorkingDir", where),
          .user = text_of(x, "User", where),
          .exposed_ports = keys_of(x, "ExposedPorts", where),
          .labels = map_of(x, "Labels", where),
          .stop_signal = text_of(x, "StopSignal", where)};
}

} // namespace

image_index read_index(std::string_view text, const std::string& where) {
  return {descriptors_of(parse(text, where), "manifests", where)};
}

image_manifest read_manifest(std::string_view text, const std::string& where) {
  const auto document = parse(text, where);
  return {descriptor_of(member(document, "config"), where), descriptors_of(document, "layers", where)};
}

image_description read_description(std::string_view text, const std::string& where) {
  const auto document = parse(text, where);
  auto result = image_description{.os = text_of(document, "os", where),
                                  .architecture = text_of(document, "architecture", where),
                                  .config = config_of(member(document, "config"), where),
                                  .diff_ids = texts_of(member(document, "rootfs"), "diff_ids", where)};
  if (!std::all_of(result.diff_ids.begin(), result.diff_ids.end(), is_digest))
    refuse(where, "has a diff_id that is no sha256 digest");
  return result;
}

std::vector<docker_image> read_docker_manifest(std::string_view text, const std::string& where) {
  const auto document = parse(text, where);
  if (!document.is_array())
    refuse(where, "is not a list of images");
  auto all = std::vector<docker_image>{};
  for (const auto& x : document)
    all.push_back({text_of(x, "Config", where), texts_of(x, "RepoTags", where), texts_of(x, "Layers", where)});
  return all;
}

std::string name_of(const descriptor& x) {
  const auto found = x.annotations.find(ref_name);
  return found == x.annotations.end() ? "" : found->second;
}

bool is_index(const descriptor& x) {
  return x.media_type == media::index || x.media_type == "application/vnd.docker.distribution.manifest.list.v2+json";
}

std::string write_index(const image_index& x) {
  auto manifests = json::array();
  for (const auto& entry : x.manifests)
    manifests.push_back(json_of(entry));
  return json{{"schemaVersion", 2}, {"mediaType", media::index}, {"manifests", manifests}}.dump();
}

std::string write_manifest(const image_manifest& x) {
  auto layers = json::array();
  for (const auto& layer : x.layers)
    layers.push_back(json_of(layer));
  return json{{"schemaVersion", 2}, {"mediaType", media::manifest}, {"config", json_of(x.config)}, {"layers", layers}}
      .dump();
}

std::string write_description(const image_description& x) {
  auto config = json::object();
  put(config, "Entrypoint", x.config.entrypoint);
  put(config, "Cmd", x.config.cmd);
  put(config, "Env", x.config.env);
  put(config, "WorkingDir", x.config.workdir);
  put(config, "User", x.config.user);
  put(config, "ExposedPorts", keys_as_object(x.config.exposed_ports));
  put(config, "Labels", x.config.labels);
  put(config, "StopSignal", x.config.stop_signal);
  return json{{"architecture", x.architecture},
              {"os", x.os},
              {"config", config},
              {"rootfs", {{"type", "layers"}, {"diff_ids", x.diff_ids}}}}
      .dump();
}

std::string chain_of(const std::vector<std::string>& diff_ids) {
  auto chain = std::string{};
  for (const auto& diff_id : diff_ids)
    chain = chain.empty() ? diff_id : digest_of(chain + " " + diff_id);
  return chain.empty() ? digest_of("") : chain;
}

bool is_image_name(std::string_view text) {
  const auto is_alphanumeric = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  return !text.empty() && text.size() <= 255 && is_alphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_alphanumeric(c) || std::string_view{"._:/@+-"}.find(c) != std::string_view::npos;
         });
}

std::string host_architecture() {
  auto host = utsname{};
  ::uname(&host);
  const auto machine = std::string{host.machine};
  if (machine == "x86_64")
    return "amd64";
  if (machine == "aarch64")
    return "arm64";
  return machine.starts_with("arm") ? "arm" : machine;
}

image_error storage_error(const std::string& what, int code) {
  return {image_problem::storage, what + ": " + std::generic_category().message(code)};
}

} // namespace novacron::workload
