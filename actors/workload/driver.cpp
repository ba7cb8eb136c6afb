#include "actors/workload/driver.hpp"

namespace novacron::workload {

void driver::snapshot(const std::string& name, const std::filesystem::path&, then<> done) {
  done(trouble{fault::unsupported, "the driver of " + name + " cannot save its state"});
}

void driver::restore(const std::string& name, const std::filesystem::path&, then<running> done, over) {
  done(trouble{fault::unsupported, "the driver of " + name + " cannot restore its state"});
}

} // namespace novacron::workload
