#include "actors/workload/lease.hpp"

#include "actors/host/files.hpp"
#include "actors/workload/shim/lease_page.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace novacron::workload {
namespace {

/// Makes the file with room on the disk, so that no later store to it can fail.
void lay_out(const std::filesystem::path& file) {
  std::filesystem::create_directories(file.parent_path());
  const auto fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    throw std::system_error{errno, std::system_category(), "cannot make the lease " + file.string()};
  const auto problem = ::posix_fallocate(fd, 0, sizeof(shim::lease_page));
  ::close(fd);
  if (problem != 0)
    throw std::system_error{problem, std::system_category(), "no room for the lease " + file.string()};
}

class shared_page : public lease {
public:
  explicit shared_page(const std::filesystem::path& data) {
    const auto file = lease_file(data);
    lay_out(file);
    page_ = shim::share_lease(file.c_str(), true);
    if (page_ == nullptr)
      throw std::system_error{errno, std::system_category(), "cannot read the lease " + file.string()};
    auto boot = host::read_file("/proc/sys/kernel/random/boot_id", sizeof page_->boot - 1).value_or("");
    boot.resize(sizeof page_->boot);
    if (std::memcmp(page_->boot, boot.data(), boot.size()) == 0)
      return;
    shim::confirm_in(*page_, 0);
    std::ranges::copy(boot, page_->boot);
  }
  ~shared_page() override { ::munmap(page_, sizeof *page_); }
  shared_page(const shared_page&) = delete;
  shared_page& operator=(const shared_page&) = delete;

  duration confirmed() const override { return duration{static_cast<duration::rep>(shim::confirmed_in(*page_))}; }
  void confirm(duration sent) override { shim::confirm_in(*page_, static_cast<std::uint64_t>(sent.count())); }

private:
  shim::lease_page* page_ = nullptr;
};

} // namespace

duration since_boot() { return duration{static_cast<duration::rep>(shim::boot_nanoseconds())}; }

std::filesystem::path lease_file(const std::filesystem::path& data) { return data / "agent" / "lease"; }

std::shared_ptr<lease> open_lease(const std::filesystem::path& data) { return std::make_shared<shared_page>(data); }

} // namespace novacron::workload
