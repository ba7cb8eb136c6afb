#include "actors/workload/output_watch.hpp"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <mutex>
#include <system_error>
#include <vector>

namespace novacron::workload {

struct output_watch::state {
  struct reader {
    std::filesystem::path directory;
    std::function<void()> what;
    /// Empty means any file, again and again.
    std::string file;
  };

  host::loop& loop;
  int fd;
  std::mutex guard;
  std::map<int, std::filesystem::path> directories;
  std::map<std::uint64_t, reader> readers;
  std::uint64_t last = 0;

  explicit state(host::loop& l) : loop{l}, fd{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)} {
    if (fd < 0)
      throw std::system_error{errno, std::system_category(), "cannot watch files"};
  }
  ~state() { ::close(fd); }

  std::uint64_t add(reader x) {
    const auto lock = std::lock_guard{guard};
    const auto wd = ::inotify_add_watch(fd, x.directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO);
    if (wd >= 0)
      directories[wd] = x.directory;
    readers[++last] = std::move(x);
    return last;
  }

  void remove(std::uint64_t number) {
    const auto lock = std::lock_guard{guard};
    const auto found = readers.find(number);
    if (found == readers.end())
      return;
    const auto directory = found->second.directory;
    readers.erase(found);
    for (const auto& [key, reader] : readers)
      if (reader.directory == directory)
        return;
    for (auto at = directories.begin(); at != directories.end();)
      if (at->second == directory) {
        ::inotify_rm_watch(fd, at->first);
        at = directories.erase(at);
      } else {
        ++at;
      }
  }

  void tell(int wd, const std::string& file) {
    auto told = std::vector<std::function<void()>>{};
    auto finished = std::vector<std::uint64_t>{};
    {
      const auto lock = std::lock_guard{guard};
      const auto where = directories.find(wd);
      if (where == directories.end())
        return;
      for (const auto& [number, reader] : readers)
        if (reader.directory == where->second && (reader.file.empty() || reader.file == file)) {
          told.push_back(reader.what);
          if (!reader.file.empty())
            finished.push_back(number);
        }
    }
    for (const auto number : finished)
      remove(number);
    for (const auto& each : told)
      each();
  }

  void read_events() {
    alignas(inotify_event) auto block = std::array<char, 8192>{};
    for (;;) {
      const auto count = ::read(fd, block.data(), block.size());
      if (count <= 0)
        return;
      for (auto at = 0l; at < count;) {
        const auto* event = reinterpret_cast<const inotify_event*>(block.data() + at);
        tell(event->wd, event->len > 0 ? event->name : "");
        at += static_cast<long>(sizeof(inotify_event) + event->len);
      }
    }
  }
};

output_watch::output_watch(host::loop& loop) : state_{std::make_shared<state>(loop)} {
  loop.watch(state_->fd, EPOLLIN, [s = state_.get()](std::uint32_t) { s->read_events(); });
}

output_watch::~output_watch() { state_->loop.forget(state_->fd); }

std::shared_ptr<void> output_watch::add(const std::filesystem::path& directory, std::function<void()> what) {
  const auto number = state_->add({directory, std::move(what), {}});
  // The handle may outlive us.
  return {nullptr, [weak = std::weak_ptr{state_}, number](void*) {
            if (const auto alive = weak.lock())
              alive->remove(number);
          }};
}

void output_watch::once(const std::filesystem::path& directory, const std::string& file, std::function<void()> what) {
  const auto number = state_->add({directory, what, file});
  auto error = std::error_code{};
  if (!std::filesystem::exists(directory / file, error))
    return;
  state_->remove(number);
  state_->loop.post(std::move(what));
}

void output_watch::forget(const std::filesystem::path& directory) {
  auto numbers = std::vector<std::uint64_t>{};
  {
    const auto lock = std::lock_guard{state_->guard};
    for (const auto& [number, reader] : state_->readers)
      if (reader.directory == directory)
        numbers.push_back(number);
  }
  for (const auto number : numbers)
    state_->remove(number);
}

} // namespace novacron::workload
