#include "actors/host/process.hpp"
#include "actors/node/doctor_probe.hpp"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

namespace novacron::node {
namespace {

/// What the child tells through the pipe; `step` says where it stopped.
struct report {
  int step = 0;
  int error = 0;
  std::int64_t nanoseconds = 0;
  bool sse3 = false;
  bool ran = false;
};

#if defined(__x86_64__)

constexpr auto steps =
    std::array{"it did not answer", "KVM_CREATE_VM",     "no memory", "KVM_SET_USER_MEMORY_REGION", "KVM_CREATE_VCPU",
               "mapping the vcpu",  "setting registers", "KVM_RUN",   "an unexpected exit"};

std::int64_t now_nanoseconds() {
  auto time = timespec{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

bool has_sse3(int kvm) {
  constexpr auto entries = 128u;
  alignas(kvm_cpuid2) auto room = std::array<unsigned char, sizeof(kvm_cpuid2) + entries * sizeof(kvm_cpuid_entry2)>{};
  auto* list = reinterpret_cast<kvm_cpuid2*>(room.data());
  list->nent = entries;
  if (::ioctl(kvm, KVM_GET_SUPPORTED_CPUID, list) != 0)
    return false;
  // Behind the head in `room`: newer kernel headers declare the list itself with no elements, for C++.
  const auto* found = reinterpret_cast<const kvm_cpuid_entry2*>(room.data() + sizeof(kvm_cpuid2));
  for (auto i = 0u; i < list->nent && i < entries; ++i)
    if (found[i].function == 1)
      return (found[i].ecx & 1) != 0;
  return false;
}

/// Runs in the child, where no more than system calls is safe.
report run_guest(int kvm) {
  // No in-kernel interrupt controller: with one, HLT never comes back to us.
  constexpr unsigned char code[] = {0xb0, 0x42,       // mov al, 0x42
                                    0xe6, 0x10,       // out 0x10, al
                                    0xb9, 0xff, 0xff, // mov cx, 65535
                                    0xe2, 0xfe,       // loop to itself
                                    0xe6, 0x10,       // out 0x10, al
                                    0xf4};            // hlt
  constexpr auto memory_bytes = std::size_t{64} << 10;
  constexpr auto start = 0x1000u;
  auto said = report{};
  said.sse3 = has_sse3(kvm);
  auto stop = [&](int step) {
    said.step = step;
    said.error = errno;
    return said;
  };
  const auto vm = ::ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0)
    return stop(1);
  auto* memory = ::mmap(nullptr, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return stop(2);
  std::memcpy(static_cast<char*>(memory) + start, code, sizeof code);
  auto region = kvm_userspace_memory_region{};
  region.memory_size = memory_bytes;
  region.userspace_addr = reinterpret_cast<std::uint64_t>(memory);
  if (::ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) != 0)
    return stop(3);
  const auto vcpu = ::ioctl(vm, KVM_CREATE_VCPU, 0);
  if (vcpu < 0)
    return stop(4);
  const auto size = ::ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  auto* shared = size > 0 ? ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0)
                          : MAP_FAILED;
  if (shared == MAP_FAILED)
    return stop(5);
  const auto* run = static_cast<const kvm_run*>(shared);
  auto segments = kvm_sregs{};
  auto registers = kvm_regs{};
  registers.rip = start;
  registers.rflags = 2;
  if (::ioctl(vcpu, KVM_GET_SREGS, &segments) != 0)
    return stop(6);
  segments.cs.base = 0;
  segments.cs.selector = 0;
  if (::ioctl(vcpu, KVM_SET_SREGS, &segments) != 0 || ::ioctl(vcpu, KVM_SET_REGS, &registers) != 0)
    return stop(6);
  const auto begun = now_nanoseconds();
  for (auto outs = 0;;) {
    if (::ioctl(vcpu, KVM_RUN, 0) != 0)
      return stop(7);
    if (run->exit_reason == KVM_EXIT_IO && run->io.port == 0x10 && outs < 2)
      ++outs;
    else if (run->exit_reason == KVM_EXIT_HLT && outs == 2)
      break;
    else
      return stop(8);
  }
  said.nanoseconds = now_nanoseconds() - begun;
  said.ran = true;
  return said;
}

#else

constexpr auto steps = std::array{"it did not answer"};

/// Elsewhere KVM has no such tiny machine; that it makes one must do.
report run_guest(int kvm) {
  auto said = report{};
  said.sse3 = true;
  said.ran = ::ioctl(kvm, KVM_CREATE_VM, 0) >= 0;
  said.error = errno;
  return said;
}

#endif

[[noreturn]] void be_child(int kvm, int out) {
  ::alarm(2);
  const auto said = run_guest(kvm);
  [[maybe_unused]] const auto written = ::write(out, &said, sizeof said);
  ::_exit(0);
}

} // namespace

kvm_trial try_kvm() {
  auto trial = kvm_trial{};
  trial.device = ::access("/dev/kvm", F_OK) == 0;
  if (!trial.device)
    return trial;
  const auto kvm = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  trial.may_open = kvm >= 0;
  trial.trouble = trial.may_open ? "" : std::strerror(errno);
  auto ends = std::array<int, 2>{};
  if (kvm < 0 || ::pipe2(ends.data(), O_CLOEXEC) != 0)
    return trial;
  const auto child = ::fork();
  if (child == 0)
    be_child(kvm, ends[1]);
  ::close(ends[1]);
  auto said = report{};
  auto one = pollfd{ends[0], POLLIN, 0};
  constexpr auto patience_ms = 3000;
  const auto told =
      child > 0 && ::poll(&one, 1, patience_ms) == 1 && ::read(ends[0], &said, sizeof said) == sizeof said;
  ::close(ends[0]);
  ::close(kvm);
  if (child > 0) {
    ::kill(child, SIGKILL);
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR)
      ;
  }
  trial.ran = told && said.ran;
  trial.sse3 = said.sse3;
  trial.took = std::chrono::microseconds{said.nanoseconds / 1000};
  if (!trial.ran) {
    const auto step = static_cast<std::size_t>(said.step);
    trial.trouble = step < steps.size() ? steps[step] : "KVM_CREATE_VM";
    trial.trouble += said.error != 0 ? std::string{": "} + std::strerror(said.error) : "";
  }
  return trial;
}

} // namespace novacron::node
