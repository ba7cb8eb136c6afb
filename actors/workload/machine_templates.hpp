#pragma once

/// The templates of a node: finds, makes, loads and throws away what machines are cloned from.

#include "actors/host/crew.hpp"
#include "actors/workload/machine_template.hpp"
#include "actors/workload/outcome.hpp"
#include "actors/workload/template_files.hpp"

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace novacron::workload {

/// What of the host decides whether a template still fits it.
struct template_host {
  /// Kernel and first files, by their content.
  std::string guest;
  std::uint64_t stamp_khz = 0;
};

struct template_settings {
  /// Where they are kept, each in a directory of its key:
  ///
  ///     memory     of its guest, with holes for what is zero
  ///     state      of its devices
  ///     template   what it is, and checksums of both; written last
  ///
  /// What is being made has ".part" behind its name.
  std::filesystem::path directory;
  std::shared_ptr<const machine_monitor> monitor;
  template_shelf::config shelf;
  /// How long the guest of one may take to come up.
  duration patience = std::chrono::minutes{3};
};

/// Functions may be called from any thread.
class machine_templates {
public:
  using found = std::shared_ptr<const ready_template>;

  /// Removes what is not whole. Throws std::system_error.
  explicit machine_templates(template_settings settings);
  ~machine_templates();
  machine_templates(const machine_templates&) = delete;
  machine_templates& operator=(const machine_templates&) = delete;

  /// Gives up what is being made; nothing is answered from then on.
  void end();

  /// Answers with a template of the machine `plan`, made if there is none; with a trouble when there is none to be had:
  /// the machine boots then. Blocks for as long as reading one takes; one that is made is answered on a thread of its
  /// own.
  void want(const machine_plan& plan, const std::string& tenant, const template_host& host, then<found> done);

  /// No clone of it came up: it is thrown away.
  void spoiled(const ready_template& which);

  [[nodiscard]] std::vector<template_facts> list() const;
  [[nodiscard]] outcome<> remove(const std::string& key);

private:
  struct waiting {
    std::vector<then<found>> who;
  };

  void begin_making(const machine_plan& original, const template_facts& facts);
  outcome<found> make(const machine_plan& original, const template_facts& facts);
  outcome<found> load(const std::string& key, const template_host& host);
  void answer(const std::string& key, const outcome<found>& x);
  void discard(const std::string& key);
  void sweep();
  [[nodiscard]] const std::string& processor();

  const template_settings settings_;
  mutable std::mutex guard_;
  template_shelf shelf_;
  std::map<std::string, found> loaded_;
  std::map<std::string, waiting> waiting_;
  /// Held while one is read, so that many starts at once read it once.
  std::mutex loading_;
  std::once_flag asked_;
  std::string processor_;
  std::atomic<std::uint64_t> discarded_ = 0;
  std::atomic<bool> ending_ = false;
  /// One at a time: each takes a processor for a while. The last, so that it ends first.
  host::crew maker_{1};
};

/// The templates of a node with that data directory, which may take `bytes_max`. Throws std::system_error.
std::shared_ptr<machine_templates> make_machine_templates(const std::filesystem::path& data,
                                                          std::shared_ptr<const machine_monitor> monitor,
                                                          std::uint64_t bytes_max);

} // namespace novacron::workload
