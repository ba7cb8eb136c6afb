#pragma once

/// Agents on a stage, and what stands in for the disks and drivers around them.

#include "actors/host/crew.hpp"
#include "actors/host/files.hpp"
#include "actors/workload/agent_actor.hpp"
#include "spec/stage.hpp"
#include "spec/workload/idle_driver.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace novacron::workload {

struct forgetful_disk : host::disk {
  void make_directory(const std::filesystem::path&) override {}
  std::optional<std::string> read(const std::filesystem::path&) override { return {}; }
  void replace(const std::filesystem::path&, std::string_view) override {}
  void settle(const std::filesystem::path&) override {}
};

/// What it runs ends when it is told to.
struct mortal_driver : idle_driver {
  std::map<std::string, over> running_now;
  void start(const std::string& name, then<running> done, over ended_then) override {
    running_now[name] = std::move(ended_then);
    done(running{.pid = 1});
  }
  void signal(const std::string& name, int, then<> done) override {
    end(name);
    done(nothing{});
  }
  void end(const std::string& name) {
    if (auto found = running_now.extract(name))
      found.mapped()(ended{});
  }
};

/// It was here before the agent.
struct found_driver : mortal_driver {
  std::vector<leftover> found;
  std::vector<leftover> sweep() override { return found; }
  void adopt(const std::string& name, then<running> done, over ended_then) override {
    start(name, std::move(done), std::move(ended_then));
  }
};

/// A disk with the content that a file has, whichever.
struct damaged_disk : forgetful_disk {
  std::optional<std::string> content;
  std::optional<std::string> read(const std::filesystem::path&) override { return content; }
};

struct paper_lease : lease {
  duration last{};
  duration confirmed() const override { return last; }
  void confirm(duration sent) override { last = sent; }
};

inline agent_settings settings_of(std::string node) {
  auto x = agent_settings{};
  x.node = std::move(node);
  x.data = "/nowhere";
  x.disk = std::make_shared<forgetful_disk>();
  x.lease = std::make_shared<paper_lease>();
  return x;
}

/// All on the stage, and by its clock.
inline agent_settings settings_on(spec::stage& on, std::shared_ptr<host::disk> disk) {
  auto x = settings_of("edge-1");
  x.disk = std::move(disk);
  x.workers = std::make_shared<host::crew>([](const std::function<void()>& work) { work(); });
  x.since_boot = [&] { return on.elapsed(); };
  return x;
}

inline void add(wire::Assign& to, const std::string& name, const std::string& image) {
  auto& one = *to.add_instances();
  one.set_name(name);
  one.set_epoch(1);
  one.set_generation(1);
  one.mutable_spec()->mutable_program()->set_image(image);
}

} // namespace novacron::workload
