#include "kernels/device/lockstep.hpp"

#include "kernels/device/lz4.hpp"
#include "kernels/device/scan.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

namespace novacron::kernels::device {
namespace {

constexpr auto failure = cuda_result{719};
constexpr auto out_of_memory = cuda_result{2};

struct line_of_work {
  std::vector<std::function<void()>> waiting;
};

enum kernel_number : std::size_t { none, examine_kernel, encode_kernel, decode_kernel };

/// Counts a call; whether it fails. Codecs in several threads call as well.
bool fails() {
  auto& x = lockstep();
  const auto count = ++std::atomic_ref{x.call_count};
  return x.fails_at != 0 && count >= x.fails_at;
}

std::atomic_ref<std::size_t> held_count() {
  return std::atomic_ref{lockstep().held_count};
}

cuda_result answer() {
  return fails() ? failure : 0;
}

cuda_result take(void** at, std::size_t size) {
  if (fails())
    return out_of_memory;
  *at = std::aligned_alloc(256, (size + 255) / 256 * 256);
  // Not zeros: what is used without having been written shows.
  std::memset(*at, 0xA5, size);
  ++held_count();
  return 0;
}

cuda_result give(void* at) {
  std::free(at);
  --held_count();
  return 0;
}

template <class Order, class Work>
std::function<void()> each_of(const void* parameter, Work work) {
  auto order = Order{};
  std::memcpy(&order, parameter, sizeof order);
  return [order, work] {
    for (auto i = 0u; i < order.count; ++i)
      work(warp{lockstep().backwards}, order, i);
  };
}

std::function<void()> work_of(std::size_t kernel, const void* parameter) {
  switch (kernel) {
    case examine_kernel:
      return each_of<examine_order>(parameter, [](auto all, auto& x, auto i) { examine(all, x, i); });
    case encode_kernel:
      return each_of<encode_order>(parameter, [](auto all, auto& x, auto i) {
        const auto last = std::make_unique<std::uint16_t[]>(slot_count);
        encode(all, x, i, last.get());
      });
    default: return each_of<decode_order>(parameter, [](auto all, auto& x, auto i) { decode(all, x, i); });
  }
}

cuda_handle handle(std::size_t number) {
  return reinterpret_cast<cuda_handle>(number);
}

cuda_result get_function(cuda_handle* function, cuda_handle, const char* name) {
  const auto text = std::string_view{name};
  *function = handle(text == "examine_pages"   ? examine_kernel
                     : text == "encode_blocks" ? encode_kernel
                     : text == "decode_blocks" ? decode_kernel
                                               : none);
  return answer();
}

cuda_result wait(cuda_handle stream) {
  auto& x = *static_cast<line_of_work*>(stream);
  if (fails()) {
    x.waiting.clear();
    return failure;
  }
  for (const auto& work : std::exchange(x.waiting, {}))
    work();
  return 0;
}

constexpr auto calls = cuda_calls{
    .cuInit = [](unsigned) { return answer(); },
    .cuDeviceGetCount =
        [](int* count) {
          *count = 1;
          return answer();
        },
    .cuDeviceGet =
        [](cuda_device* device, int) {
          *device = 0;
          return answer();
        },
    .cuDeviceGetName =
        [](char* name, int size, cuda_device) {
          std::strncpy(name, "lockstep", static_cast<std::size_t>(size));
          return answer();
        },
    .cuDeviceGetAttribute =
        [](int* value, int, cuda_device) {
          *value = 1;
          return answer();
        },
    .cuDevicePrimaryCtxSetFlags = [](cuda_device, unsigned) { return answer(); },
    .cuDevicePrimaryCtxRetain =
        [](cuda_handle* context, cuda_device) {
          if (fails())
            return failure;
          *context = handle(1);
          ++held_count();
          return 0;
        },
    .cuDevicePrimaryCtxRelease =
        [](cuda_device) {
          --held_count();
          return 0;
        },
    .cuCtxSetCurrent = [](cuda_handle) { return answer(); },
    .cuCtxSynchronize = [] { return 0; },
    .cuModuleLoadData =
        [](cuda_handle* module, const void*) {
          if (fails())
            return failure;
          *module = handle(1);
          ++held_count();
          return 0;
        },
    .cuModuleUnload =
        [](cuda_handle) {
          --held_count();
          return 0;
        },
    .cuModuleGetFunction = get_function,
    .cuMemAlloc = [](cuda_address* at, std::size_t size) { return take(reinterpret_cast<void**>(at), size); },
    .cuMemFree = [](cuda_address at) { return give(reinterpret_cast<void*>(at)); },
    .cuMemHostAlloc = [](void** at, std::size_t size, unsigned) { return take(at, size); },
    .cuMemFreeHost = give,
    .cuMemHostRegister =
        [](void*, std::size_t, unsigned) {
          if (fails() || !lockstep().attaches)
            return failure;
          ++held_count();
          return 0;
        },
    .cuMemHostUnregister =
        [](void*) {
          --held_count();
          return 0;
        },
    .cuMemcpyAsync =
        [](cuda_address to, cuda_address from, std::size_t size, cuda_handle stream) {
          if (fails())
            return failure;
          static_cast<line_of_work*>(stream)->waiting.emplace_back(
              [=] { std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), size); });
          return 0;
        },
    .cuStreamCreate =
        [](cuda_handle* stream, unsigned) {
          if (fails())
            return failure;
          *stream = new line_of_work;
          ++held_count();
          return 0;
        },
    .cuStreamDestroy =
        [](cuda_handle stream) {
          delete static_cast<line_of_work*>(stream);
          --held_count();
          return 0;
        },
    .cuStreamSynchronize = wait,
    .cuLaunchKernel =
        [](cuda_handle function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
           cuda_handle stream, void** parameters, void**) {
          if (fails())
            return failure;
          static_cast<line_of_work*>(stream)->waiting.push_back(
              work_of(reinterpret_cast<std::size_t>(function), parameters[0]));
          return 0;
        },
};

} // namespace

lockstep_state& lockstep() {
  static auto state = lockstep_state{};
  return state;
}

const cuda_calls& lockstep_calls() {
  return calls;
}

} // namespace novacron::kernels::device
