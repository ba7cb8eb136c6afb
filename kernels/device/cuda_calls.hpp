#pragma once

/// The calls of NVIDIA's driver that we use, found when the program runs: it starts without the driver as well.

#include <cstddef>
#include <cstdint>
#include <optional>

namespace novacron::kernels::device {

using cuda_result = int;
using cuda_device = int;
using cuda_address = std::uint64_t;
using cuda_handle = void*;

/// Named as in cuda.h, without the numbers of their versions. 0 is success, 600 "not yet".
struct cuda_calls {
  cuda_result (*cuInit)(unsigned flags);
  cuda_result (*cuDeviceGetCount)(int* count);
  cuda_result (*cuDeviceGet)(cuda_device* device, int ordinal);
  cuda_result (*cuDeviceGetName)(char* name, int size, cuda_device device);
  cuda_result (*cuDeviceGetAttribute)(int* value, int attribute, cuda_device device);
  cuda_result (*cuDevicePrimaryCtxSetFlags)(cuda_device device, unsigned flags);
  cuda_result (*cuDevicePrimaryCtxRetain)(cuda_handle* context, cuda_device device);
  cuda_result (*cuDevicePrimaryCtxRelease)(cuda_device device);
  cuda_result (*cuCtxSetCurrent)(cuda_handle context);
  cuda_result (*cuCtxSynchronize)();
  cuda_result (*cuModuleLoadData)(cuda_handle* module, const void* image);
  cuda_result (*cuModuleUnload)(cuda_handle module);
  cuda_result (*cuModuleGetFunction)(cuda_handle* function, cuda_handle module, const char* name);
  cuda_result (*cuMemAlloc)(cuda_address* at, std::size_t size);
  cuda_result (*cuMemFree)(cuda_address at);
  cuda_result (*cuMemHostAlloc)(void** at, std::size_t size, unsigned flags);
  cuda_result (*cuMemFreeHost)(void* at);
  cuda_result (*cuMemHostRegister)(void* at, std::size_t size, unsigned flags);
  cuda_result (*cuMemHostUnregister)(void* at);
  cuda_result (*cuMemcpyAsync)(cuda_address to, cuda_address from, std::size_t size, cuda_handle stream);
  cuda_result (*cuStreamCreate)(cuda_handle* stream, unsigned flags);
  cuda_result (*cuStreamDestroy)(cuda_handle stream);
  cuda_result (*cuStreamSynchronize)(cuda_handle stream);
  cuda_result (*cuLaunchKernel)(cuda_handle function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_size,
                                cuda_handle stream, void** parameters, void** extra);
};

/// What libcuda.so.1 offers; nothing where it is missing or lacks one of them.
std::optional<cuda_calls> find_cuda_calls();

} // namespace novacron::kernels::device
