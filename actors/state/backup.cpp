#include "actors/state/backup.hpp"

#include <fcntl.h>
#include <openssl/sha.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace novacron::ledger {
namespace {

struct job {
  uv_work_t work{};
  std::function<void()> run;
  std::function<void()> told;
};

/// Runs `run` beside the loop and `told` on it.
void beside(uv_loop_t* loop, std::function<void()> run, std::function<void()> told) {
  auto* j = new job{{}, std::move(run), std::move(told)};
  j->work.data = j;
  uv_queue_work(loop, &j->work, [](uv_work_t* w) { static_cast<job*>(w->data)->run(); },
                [](uv_work_t* w, int) {
                  const auto done = std::unique_ptr<job>{static_cast<job*>(w->data)};
                  done->told();
                });
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  }
  return ::fsync(fd) == 0;
}

std::string hex_digest(const std::string& bytes) {
  unsigned char sum[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), sum);
  auto text = std::string{};
  for (auto i = 0; i < 16; ++i) {
    text.push_back("0123456789abcdef"[sum[i] >> 4]);
    text.push_back("0123456789abcdef"[sum[i] & 15]);
  }
  return text;
}

} // namespace

std::string write_backup_now(const std::filesystem::path& path, const std::string& snapshot) {
  const auto draft = path.string() + ".part";
  const auto fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    return "cannot write " + draft + ": " + std::strerror(errno);
  const auto whole = write_all(fd, snapshot);
  const auto reason = errno;
  ::close(fd);
  if (!whole || ::rename(draft.c_str(), path.c_str()) != 0) {
    const auto text = "cannot write " + path.string() + ": " + std::strerror(whole ? errno : reason);
    ::unlink(draft.c_str());
    return text;
  }
  return {};
}

backup_file read_backup_now(const std::filesystem::path& path) {
  auto file = backup_file{};
  auto in = std::ifstream{path, std::ios::binary};
  if (!in) {
    file.problem = "cannot read " + path.string();
    return file;
  }
  const auto bytes = std::string{std::istreambuf_iterator<char>{in}, {}};
  if (!file.content.restore(bytes))
    file.problem = path.string() + " is not a whole backup";
  file.client = "restore:" + hex_digest(bytes);
  return file;
}

void write_backup(uv_loop_s* loop, const std::filesystem::path& path, std::string snapshot,
                  std::function<void(const std::string&)> told) {
  auto problem = std::make_shared<std::string>();
  beside(loop, [=, bytes = std::move(snapshot)] { *problem = write_backup_now(path, bytes); }, [=] { told(*problem); });
}

void read_backup(uv_loop_s* loop, const std::filesystem::path& path, std::function<void(backup_file)> told) {
  auto file = std::make_shared<backup_file>();
  beside(loop, [=] { *file = read_backup_now(path); }, [=] { told(std::move(*file)); });
}

} // namespace novacron::ledger
