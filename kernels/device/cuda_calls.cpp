#include "kernels/device/cuda_calls.hpp"

#include <dlfcn.h>

namespace novacron::kernels::device {
namespace {

template <class Call>
bool find(void* library, const char* name, Call& call) {
  call = reinterpret_cast<Call>(dlsym(library, name));
  return call != nullptr;
}

} // namespace

// The library stays loaded: it runs threads of its own.
std::optional<cuda_calls> find_cuda_calls() {
  auto* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return {};
  auto x = cuda_calls{};
  const auto all =
      find(library, "cuInit", x.cuInit) && find(library, "cuDeviceGetCount", x.cuDeviceGetCount) &&
      find(library, "cuDeviceGet", x.cuDeviceGet) && find(library, "cuDeviceGetName", x.cuDeviceGetName) &&
      find(library, "cuDeviceGetAttribute", x.cuDeviceGetAttribute) &&
      find(library, "cuDevicePrimaryCtxSetFlags_v2", x.cuDevicePrimaryCtxSetFlags) &&
      find(library, "cuDevicePrimaryCtxRetain", x.cuDevicePrimaryCtxRetain) &&
      find(library, "cuDevicePrimaryCtxRelease_v2", x.cuDevicePrimaryCtxRelease) &&
      find(library, "cuCtxSetCurrent", x.cuCtxSetCurrent) && find(library, "cuCtxSynchronize", x.cuCtxSynchronize) &&
      find(library, "cuModuleLoadData", x.cuModuleLoadData) && find(library, "cuModuleUnload", x.cuModuleUnload) &&
      find(library, "cuModuleGetFunction", x.cuModuleGetFunction) && find(library, "cuMemAlloc_v2", x.cuMemAlloc) &&
      find(library, "cuMemFree_v2", x.cuMemFree) && find(library, "cuMemHostAlloc", x.cuMemHostAlloc) &&
      find(library, "cuMemFreeHost", x.cuMemFreeHost) && find(library, "cuMemHostRegister_v2", x.cuMemHostRegister) &&
      find(library, "cuMemHostUnregister", x.cuMemHostUnregister) && find(library, "cuMemcpyAsync", x.cuMemcpyAsync) &&
      find(library, "cuStreamCreate", x.cuStreamCreate) && find(library, "cuStreamDestroy_v2", x.cuStreamDestroy) &&
      find(library, "cuStreamSynchronize", x.cuStreamSynchronize) && find(library, "cuLaunchKernel", x.cuLaunchKernel);
  return all ? std::optional{x} : std::nullopt;
}

} // namespace novacron::kernels::device
