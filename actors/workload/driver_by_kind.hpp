#pragma once

/// One driver for all kinds of workload: hands each instance to the driver of its kind.

#include "actors/workload/driver.hpp"

namespace novacron::workload {

/// Sweeps `machines` first.
std::shared_ptr<driver> make_driver_by_kind(std::shared_ptr<driver> containers, std::shared_ptr<driver> machines);

} // namespace novacron::workload
