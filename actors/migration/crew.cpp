#include "actors/migration/crew.hpp"

#include <time.h>

#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace novacron::migration {
namespace {

std::int64_t thread_nanoseconds() {
  auto now = timespec{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

} // namespace

void crew::run(std::size_t count, const std::function<void(std::size_t)>& work, const std::function<void()>& fail) {
  auto first = std::exception_ptr{};
  auto once = std::once_flag{};
  {
    auto threads = std::vector<std::jthread>{};
    for (auto i = std::size_t{0}; i < count; ++i)
      threads.emplace_back([&, i] {
        try {
          work(i);
        } catch (...) {
          std::call_once(once, [&] {
            first = std::current_exception();
            fail();
          });
        }
        nanoseconds_ += thread_nanoseconds();
      });
  }
  if (first)
    std::rethrow_exception(first);
}

} // namespace novacron::migration
