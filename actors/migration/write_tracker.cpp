#include "actors/migration/write_tracker.hpp"

#include "actors/migration/channel.hpp"
#include "actors/migration/guest_memory.hpp"
#include "actors/migration/watch/features.hpp"
#include "kernels/page.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

namespace novacron::migration {
namespace {

// Debian 12's headers are older than these (Linux 6.7).
struct page_region {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};
struct scan_order {
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;
  std::uint64_t vec;
  std::uint64_t vec_len;
  std::uint64_t max_pages;
  std::uint64_t category_inverted;
  std::uint64_t category_mask;
  std::uint64_t category_anyof_mask;
  std::uint64_t return_mask;
};
constexpr auto pagemap_scan = _IOWR('f', 16, scan_order);
/// PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC: what is found is protected again in the same step, and memory that is
/// not under our protection is an error.
constexpr auto scan_and_protect = std::uint64_t{3};
constexpr auto page_is_written = std::uint64_t{2};

std::system_error wrong(const char* what) {
  return {errno, std::generic_category(), what};
}

class descriptor {
public:
  explicit descriptor(int fd) : fd_{fd} {}
  ~descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int get() const { return fd_; }

private:
  int fd_;
};

/// A copy of the userfaultfd that our library opened before all else in the process.
int borrow_watch(pid_t pid) {
  auto first = -1;
  auto error = std::error_code{};
  for (const auto& each : std::filesystem::directory_iterator{fmt::format("/proc/{}/fd", pid), error}) {
    const auto number = std::stoi(each.path().filename().string());
    if (std::filesystem::read_symlink(each.path(), error) == "anon_inode:[userfaultfd]" &&
        (first < 0 || number < first))
      first = number;
  }
  if (first < 0)
    throw migration_error{fmt::format("process {} was not started with novacron's watch library, or its kernel has no "
                                      "userfaultfd; restart the guest on a kernel from 6.7 on",
                                      pid)};
  const auto process = descriptor{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  const auto fd = static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), first, 0));
  if (fd < 0)
    throw wrong("the guest's watch cannot be borrowed");
  return fd;
}

int open_page_map(pid_t pid) {
  const auto fd = ::open(fmt::format("/proc/{}/pagemap", pid).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    throw wrong("the guest's page map cannot be opened");
  return fd;
}

class write_tracker final : public dirty_tracker {
public:
  explicit write_tracker(pid_t pid)
      : watch_{borrow_watch(pid)}, page_map_{open_page_map(pid)}, mapping_{find_mapping(pid)} {
    auto order =
        uffdio_register{.range = {mapping_.begin, mapping_.size}, .mode = UFFDIO_REGISTER_MODE_WP, .ioctls = 0};
    if (::ioctl(watch_.get(), UFFDIO_REGISTER, &order) != 0)
      throw wrong("the guest's memory cannot be watched");
  }
  ~write_tracker() override {
    auto range = uffdio_range{mapping_.begin, mapping_.size};
    ::ioctl(watch_.get(), UFFDIO_UNREGISTER, &range);
  }
  write_tracker(const write_tracker&) = delete;
  write_tracker& operator=(const write_tracker&) = delete;

  void collect(page_set& into) override {
    const auto end = mapping_.begin + mapping_.size;
    for (auto at = mapping_.begin; at < end;) {
      auto order = scan_order{.size = sizeof(scan_order),
                              .flags = scan_and_protect,
                              .start = at,
                              .end = end,
                              .walk_end = 0,
                              .vec = reinterpret_cast<std::uint64_t>(regions_.data()),
                              .vec_len = regions_.size(),
                              .max_pages = 0,
                              .category_inverted = 0,
                              .category_mask = page_is_written,
                              .category_anyof_mask = 0,
                              .return_mask = page_is_written};
      const auto count = ::ioctl(page_map_.get(), pagemap_scan, &order);
      if (count < 0 && errno == EINTR)
        continue;
      if (count < 0)
        throw wrong("the guest's written pages cannot be found");
      for (auto i = 0; i < count; ++i) {
        const auto& x = regions_[static_cast<std::size_t>(i)];
        into.insert({(x.start - mapping_.begin) / kernels::page_size, (x.end - x.start) / kernels::page_size});
      }
      at = order.walk_end;
    }
  }

private:
  descriptor watch_;
  descriptor page_map_;
  guest_mapping mapping_;
  std::vector<page_region> regions_ = std::vector<page_region>(8192);
};

} // namespace

std::unique_ptr<dirty_tracker> track_writes(pid_t pid) {
  return std::make_unique<write_tracker>(pid);
}

std::string tracking_lack() {
  const auto watch = descriptor{watch::open_watch()};
  if (watch.get() < 0)
    return "the kernel cannot follow a guest's writes without stopping it (userfaultfd with asynchronous write "
           "protection, Linux 6.7), or this user may not";
  const auto map = descriptor{::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
  auto order = scan_order{.size = sizeof(scan_order),
                          .flags = 0,
                          .start = 0,
                          .end = 0,
                          .walk_end = 0,
                          .vec = 0,
                          .vec_len = 0,
                          .max_pages = 0,
                          .category_inverted = 0,
                          .category_mask = page_is_written,
                          .category_anyof_mask = 0,
                          .return_mask = page_is_written};
  if (::ioctl(map.get(), pagemap_scan, &order) != 0 && errno == ENOTTY)
    return "the kernel has no PAGEMAP_SCAN (Linux 6.7)";
  return {};
}

} // namespace novacron::migration
