#include "actors/state/backup.hpp"

#include "actors/host/secure_file.hpp"

#include <openssl/sha.h>
#include <uv.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <system_error>
#include <utility>

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
  try {
    host::write_atomically(path, snapshot, 0600);
    return {};
  } catch (const std::system_error& problem) {
    return problem.what();
  }
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
