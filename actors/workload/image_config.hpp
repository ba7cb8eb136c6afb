#pragma once

/// How an image wants its process started, and what becomes of that when a workload asks for something else.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace novacron::workload {

/// The part of an OCI image configuration that running it needs.
struct image_config {
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  /// "NAME=value", in the order of the image.
  std::vector<std::string> env;
  std::string workdir;
  /// "", "name", "uid", "name:group" or "uid:gid"; see image_user.hpp.
  std::string user;
  /// "80/tcp"
  std::vector<std::string> exposed_ports;
  std::map<std::string, std::string> labels;
  /// "SIGTERM" or a number; empty means SIGTERM.
  std::string stop_signal;
  bool operator==(const image_config&) const = default;
};

/// What a workload changes about it; empty fields change nothing.
struct process_wish {
  /// Takes the place of the image's `cmd`; the entrypoint stays, as with `docker run IMAGE COMMAND`.
  std::vector<std::string> command;
  std::map<std::string, std::string> env;
  std::string workdir;
  std::string user;
};

/// What the container's first process is started with.
struct process_arguments {
  std::vector<std::string> argv;
  /// "NAME=value" with each name once; PATH is always there.
  std::vector<std::string> env;
  /// Absolute.
  std::string workdir;
  std::string user;
};

/// `argv` is empty when neither the image nor the workload names a command.
process_arguments arguments_of(const image_config& image, const process_wish& wish = {});

/// The number of the image's stop signal: "SIGINT", "INT" and "2" are the same; SIGTERM for what is not understood.
int stop_signal_of(const image_config& image);

} // namespace novacron::workload
