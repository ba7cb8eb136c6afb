#include "kernels/device/engine.hpp"

namespace novacron::kernels::device {

const void* device_image() {
  return nullptr;
}

} // namespace novacron::kernels::device
