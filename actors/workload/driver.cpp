#include "actors/workload/driver.hpp"

namespace novacron::workload {

std::chrono::milliseconds patience_of(const wire::WorkloadSpec& spec) {
  const auto& policy = spec.on_disconnect();
  return std::chrono::milliseconds{policy.action() == wire::ON_DISCONNECT_STOP_AFTER ? policy.after_ms() : 0};
}

std::chrono::milliseconds grace_of(const wire::WorkloadSpec& spec) {
  constexpr auto usual = std::uint64_t{10'000};
  return std::chrono::milliseconds{spec.stop_grace_ms() > 0 ? spec.stop_grace_ms() : usual};
}

void driver::serve(const std::string& name, then<std::shared_ptr<exec_process>> done) {
  done(trouble{fault::unsupported, "the driver of " + name + " runs no functions"});
}

void driver::convert(const conversion& what, then<converted> done, over) {
  done(trouble{fault::unsupported, "this node cannot change the format of " + what.to.name()});
}

std::string driver::why_unconvertible(const std::string&) const {
  return {};
}

outcome<> driver::examine(const wire::Instance&, const image_root&) {
  return nothing{};
}

void driver::get_ready(const wire::Instance&, then<> done) {
  done(nothing{});
}

void driver::hold(const std::string& name, bool held, then<> done) {
  pause(name, held, std::move(done));
}

outcome<> driver::copy_files(const std::string& name, const std::filesystem::path&) {
  return trouble{fault::unsupported, "the files of " + name + " cannot be had"};
}

std::filesystem::path driver::place(const std::string&) const {
  return {};
}

std::filesystem::path driver::files_place(const std::string& name) const {
  return place(name);
}

void driver::checkpoint(const std::string& name, const checkpoint_order&, then<wire::Checkpoint> done) {
  done(trouble{fault::unsupported, "the driver of " + name + " makes no checkpoints"});
}

void driver::set_back(const std::string& name, const std::string&, then<> done) {
  done(trouble{fault::unsupported, "the driver of " + name + " has no checkpoints"});
}

void driver::receive(const std::string& name, then<running> done, over) {
  done(trouble{fault::unsupported, "the driver of " + name + " cannot take in what runs elsewhere"});
}

void driver::arrive(const wire::Instance& what, then<> done) {
  done(trouble{fault::unsupported, "the driver of " + what.name() + " cannot take in what runs elsewhere"});
}

bool driver::departs(const std::string&) const {
  return false;
}

std::string driver::why_immovable(const std::string&) const {
  return {};
}

} // namespace novacron::workload
