#include "kernels/device/engine.hpp"

#include <bit>

namespace novacron::kernels::device {
namespace {

enum kernel_number : unsigned { examine_kernel, encode_kernel, decode_kernel };
constexpr const char* kernel_names[] = {"examine_pages", "encode_blocks", "decode_blocks"};

// Of cuda.h.
constexpr auto attribute_host_pointers = 91;
constexpr auto host_portable = 1u;
constexpr auto host_mapped = 2u;
constexpr auto stream_on_its_own = 1u;
constexpr auto wait_asleep = 4u;

constexpr auto size_min = std::size_t{4096};

std::size_t index_of(memory_kind kind) {
  return static_cast<std::size_t>(kind);
}

} // namespace

lease& lease::operator=(lease&& other) noexcept {
  std::swap(from_, other.from_);
  std::swap(kind_, other.kind_);
  std::swap(at_, other.at_);
  std::swap(size_, other.size_);
  return *this;
}

lease::~lease() {
  if (from_ != nullptr)
    from_->give(kind_, at_, size_);
}

line::line(engine& of) : of_{&of} {
  of_->must(of_->calls_.cuStreamCreate(&stream_, stream_on_its_own), "cuStreamCreate");
}

line::~line() {
  of_->calls_.cuStreamDestroy(stream_);
}

void line::copy(void* to, const void* from, std::size_t size) {
  of_->must(of_->calls_.cuMemcpyAsync(reinterpret_cast<cuda_address>(to), reinterpret_cast<cuda_address>(from), size,
                                      stream_),
            "cuMemcpyAsync");
}

void line::launch(unsigned kernel, unsigned warp_count, unsigned warps_together, void* order) {
  void* parameters[] = {order};
  of_->must(of_->calls_.cuLaunchKernel(of_->kernels_[kernel], (warp_count + warps_together - 1) / warps_together, 1, 1,
                                       32 * warps_together, 1, 1, 0, stream_, parameters, nullptr),
            kernel_names[kernel]);
}

void line::examine(const examine_order& order) {
  auto copy = order;
  launch(examine_kernel, order.count, 4, &copy);
}

void line::encode(const encode_order& order) {
  auto copy = order;
  launch(encode_kernel, order.count, 1, &copy);
}

void line::decode(const decode_order& order) {
  auto copy = order;
  launch(decode_kernel, order.count, 4, &copy);
}

void line::wait() {
  of_->must(of_->calls_.cuStreamSynchronize(stream_), "cuStreamSynchronize");
}

engine::engine(const cuda_calls& calls, const void* image, engine_options options) : calls_{calls}, options_{options} {
  must(calls_.cuInit(0), "cuInit");
  auto count = 0;
  must(calls_.cuDeviceGetCount(&count), "cuDeviceGetCount");
  if (count == 0)
    throw device_fault{"there is no CUDA device"};
  must(calls_.cuDeviceGet(&device_, 0), "cuDeviceGet");
  char text[128] = {};
  must(calls_.cuDeviceGetName(text, sizeof text - 1, device_), "cuDeviceGetName");
  name_ = text;
  auto reaches = 0;
  must(calls_.cuDeviceGetAttribute(&reaches, attribute_host_pointers, device_), "cuDeviceGetAttribute");
  reaches_host_ = reaches != 0;
  // Who waits sleeps: guests need the processor.
  must(calls_.cuDevicePrimaryCtxSetFlags(device_, wait_asleep), "cuDevicePrimaryCtxSetFlags");
  must(calls_.cuDevicePrimaryCtxRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
  try {
    enter();
    must(calls_.cuModuleLoadData(&module_, image), "cuModuleLoadData");
    for (auto i = std::size_t{0}; i < kernels_.size(); ++i)
      must(calls_.cuModuleGetFunction(&kernels_[i], module_, kernel_names[i]), "cuModuleGetFunction");
  } catch (const device_fault&) {
    close();
    throw;
  }
}

engine::~engine() {
  calls_.cuCtxSetCurrent(context_);
  for (const auto kind : {memory_kind::device, memory_kind::host})
    for (const auto& [size, at] : stock_[index_of(kind)])
      free(kind, at);
  close();
}

void engine::close() noexcept {
  if (module_ != nullptr)
    calls_.cuModuleUnload(module_);
  calls_.cuDevicePrimaryCtxRelease(device_);
}

void engine::must(cuda_result result, const char* call) const {
  if (result != 0)
    throw device_fault{std::string{call} + " answered " + std::to_string(result)};
}

void engine::enter() const {
  must(calls_.cuCtxSetCurrent(context_), "cuCtxSetCurrent");
}

// Powers of two: what one batch gave back fits the next, whatever it needs.
lease engine::take(memory_kind kind, std::size_t size) {
  size = std::bit_ceil(size < size_min ? size_min : size);
  const auto k = index_of(kind);
  {
    const auto guard = std::lock_guard{mutex_};
    if (const auto found = stock_[k].find(size); found != stock_[k].end()) {
      auto* const at = found->second;
      stock_[k].erase(found);
      stock_size_[k] -= size;
      return {*this, kind, at, size};
    }
  }
  if (kind == memory_kind::device) {
    auto at = cuda_address{0};
    must(calls_.cuMemAlloc(&at, size), "cuMemAlloc");
    return {*this, kind, reinterpret_cast<std::byte*>(at), size};
  }
  void* at = nullptr;
  must(calls_.cuMemHostAlloc(&at, size, host_portable | host_mapped), "cuMemHostAlloc");
  return {*this, kind, static_cast<std::byte*>(at), size};
}

void engine::give(memory_kind kind, std::byte* at, std::size_t size) noexcept {
  const auto k = index_of(kind);
  const auto guard = std::lock_guard{mutex_};
  if (stock_size_[k] + size > options_.stock_max) {
    free(kind, at);
    return;
  }
  stock_[k].emplace(size, at);
  stock_size_[k] += size;
}

void engine::free(memory_kind kind, std::byte* at) noexcept {
  if (kind == memory_kind::device)
    calls_.cuMemFree(reinterpret_cast<cuda_address>(at));
  else
    calls_.cuMemFreeHost(at);
}

// The codecs of several streams read the same guest.
bool engine::attach(std::span<std::byte> memory) {
  const auto guard = std::lock_guard{mutex_};
  if (const auto known = attached_.find(memory.data()); known != attached_.end()) {
    const auto same = known->second.size == memory.size();
    known->second.count += same;
    return same;
  }
  if (!reaches_host_ || calls_.cuMemHostRegister(memory.data(), memory.size(), host_portable | host_mapped) != 0)
    return false;
  attached_[memory.data()] = {.size = memory.size(), .count = 1};
  return true;
}

void engine::detach(std::byte* memory) noexcept {
  const auto guard = std::lock_guard{mutex_};
  const auto known = attached_.find(memory);
  if (known == attached_.end() || --known->second.count > 0)
    return;
  calls_.cuMemHostUnregister(memory);
  attached_.erase(known);
}

void engine::settle() noexcept {
  calls_.cuCtxSetCurrent(context_);
  calls_.cuCtxSynchronize();
}

std::shared_ptr<engine> find_engine(std::string& why) {
  static auto mutex = std::mutex{};
  static auto last = std::weak_ptr<engine>{};
  const auto guard = std::lock_guard{mutex};
  if (auto known = last.lock())
    return known;
  if (device_image() == nullptr) {
    why = "built without nvcc";
    return nullptr;
  }
  const auto calls = find_cuda_calls();
  if (!calls) {
    why = "libcuda.so.1 is not there";
    return nullptr;
  }
  try {
    auto made = std::make_shared<engine>(*calls, device_image());
    last = made;
    return made;
  } catch (const device_fault& x) {
    why = x.what();
    return nullptr;
  }
}

} // namespace novacron::kernels::device
