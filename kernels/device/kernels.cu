// What the driver starts on a device: each warp takes one page or one block of an order.

#include "kernels/device/lz4.hpp"
#include "kernels/device/scan.hpp"

namespace novacron::kernels::device {

__device__ unsigned own_index() {
  return (blockIdx.x * blockDim.x + threadIdx.x) / lane_count;
}

extern "C" __global__ void __launch_bounds__(128) examine_pages(const __grid_constant__ examine_order order) {
  if (own_index() < order.count)
    examine(warp{}, order, own_index());
}

/// One warp to a group, for its table.
extern "C" __global__ void __launch_bounds__(32) encode_blocks(const __grid_constant__ encode_order order) {
  __shared__ std::uint16_t last[slot_count];
  if (own_index() < order.count)
    encode(warp{}, order, own_index(), last);
}

extern "C" __global__ void __launch_bounds__(128) decode_blocks(const __grid_constant__ decode_order order) {
  if (own_index() < order.count)
    decode(warp{}, order, own_index());
}

} // namespace novacron::kernels::device
