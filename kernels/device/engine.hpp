#pragma once

/// One CUDA device, with memory that is taken once and used again.

#include "kernels/device/cuda_calls.hpp"
#include "kernels/device/work.hpp"

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace novacron::kernels::device {

/// The device did not do what it was told: which call, and what it answered. Nothing is to be expected of it any more.
struct device_fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// `host` is memory of the host that stays where it is and that the device reaches at the same address.
enum class memory_kind : std::uint8_t { device, host };

class engine;

/// Memory of an engine; it goes back to the engine's stock when nobody holds it. A multiple of sixteen, at least as
/// much as was asked for, and at an address that is a multiple of 256.
class lease {
public:
  lease() = default;
  lease(lease&& other) noexcept { *this = std::move(other); }
  lease& operator=(lease&& other) noexcept;
  ~lease();

  template <class T = std::byte>
  T* as() const {
    return reinterpret_cast<T*>(at_);
  }
  std::size_t size() const { return size_; }

private:
  friend class engine;
  lease(engine& from, memory_kind kind, std::byte* at, std::size_t size)
      : from_{&from}, kind_{kind}, at_{at}, size_{size} {}

  engine* from_ = nullptr;
  memory_kind kind_ = memory_kind::host;
  std::byte* at_ = nullptr;
  std::size_t size_ = 0;
};

/// A line of orders that are done one after another, beside those of other lines. Only of the engine that outlives it.
class line {
public:
  explicit line(engine& of);
  line(const line&) = delete;
  line& operator=(const line&) = delete;
  ~line();

  void copy(void* to, const void* from, std::size_t size);
  void examine(const examine_order& order);
  void encode(const encode_order& order);
  void decode(const decode_order& order);
  /// Until all of it is done.
  void wait();

private:
  void launch(unsigned kernel, unsigned warp_count, unsigned warps_together, void* order);

  engine* of_;
  cuda_handle stream_ = nullptr;
};

struct engine_options {
  /// What is kept though nobody uses it, of either kind. Chosen: two codecs with four lines each of 8192 pages, so that
  /// the next migration finds its memory.
  std::size_t stock_max = std::size_t{2} << 30;
};

/// Shared by all codecs of a process. Each call throws a device_fault when the device fails.
class engine {
public:
  /// The image holds the kernels for several kinds of device; the driver picks. Takes the first device.
  engine(const cuda_calls& calls, const void* image, engine_options options = {});
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;
  ~engine();

  const std::string& name() const { return name_; }
  /// Every thread says so before it uses the engine or anything of it.
  void enter() const;
  lease take(memory_kind kind, std::size_t size);
  /// Makes memory that somebody else owns reachable for the device, at the same address; false where that cannot be.
  /// Attached several times it is detached as often.
  bool attach(std::span<std::byte> memory);
  void detach(std::byte* memory) noexcept;
  /// Until the device works on nothing any more, whether it failed or not.
  void settle() noexcept;

private:
  friend class lease;
  friend class line;

  void must(cuda_result result, const char* call) const;
  void give(memory_kind kind, std::byte* at, std::size_t size) noexcept;
  void free(memory_kind kind, std::byte* at) noexcept;
  void close() noexcept;

  cuda_calls calls_;
  engine_options options_;
  cuda_device device_ = 0;
  cuda_handle context_ = nullptr;
  cuda_handle module_ = nullptr;
  std::array<cuda_handle, 3> kernels_{};
  bool reaches_host_ = false;
  std::string name_;
  std::mutex mutex_;
  std::array<std::multimap<std::size_t, std::byte*>, 2> stock_;
  std::array<std::size_t, 2> stock_size_{};
  struct attachment {
    std::size_t size = 0;
    std::size_t count = 0;
  };
  std::map<std::byte*, attachment> attached_;
};

/// The engine of this process, made when first asked for; nullptr where there is no device, no driver, or no image in
/// this build. `why` then says so in words.
std::shared_ptr<engine> find_engine(std::string& why);

/// The kernels of this build; nullptr if it was built without nvcc.
const void* device_image();

} // namespace novacron::kernels::device
