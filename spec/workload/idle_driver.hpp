#pragma once

/// A driver for specs that are not about what runs.

#include "actors/workload/driver.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace novacron::workload {

/// Runs nothing, and says yes to everything.
struct idle_driver : driver {
  std::function<void(const std::string&)> started = [](const auto&) {};

  std::vector<leftover> sweep() override { return {}; }
  void prepare(const wire::Instance&, const image_root&, then<> done) override { done(nothing{}); }
  void start(const std::string& name, then<running> done, over) override {
    done(running{.pid = 1});
    started(name);
  }
  void adopt(const std::string&, then<running> done, over) override { done(running{.pid = 1}); }
  void signal(const std::string&, int, then<> done) override { done(nothing{}); }
  void pause(const std::string&, bool, then<> done) override { done(nothing{}); }
  void resize(const std::string&, const wire::Resources&, then<> done) override { done(nothing{}); }
  void stats(const std::string&, then<usage> done) override { done(usage{}); }
  void exec(const std::string&, const exec_order&, then<std::shared_ptr<exec_process>> done) override {
    done(trouble{fault::unsupported, "nothing runs here"});
  }
  void probe(const std::string&, const wire::HealthCheck&, then<> done) override { done(nothing{}); }
  void remember(const std::string&, const wire::InstanceStatus&) override {}
  std::filesystem::path logs(const std::string&) const override { return "/nowhere"; }
  std::shared_ptr<void> when_output(const std::string&, std::function<void()>) override { return {}; }
  void destroy(const std::string&, then<> done) override { done(nothing{}); }
};

} // namespace novacron::workload
