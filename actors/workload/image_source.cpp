#include "actors/workload/image_source.hpp"

#include "actors/workload/image_digest.hpp"
#include "actors/workload/image_layer.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

namespace novacron::workload {
namespace {

// Chosen: an image of 128 layers has some 400 members in the oldest of the formats.
constexpr std::size_t members_max = 10'000;
constexpr auto links_followed_max = 8;

std::string complaint_of(archive* x) {
  const auto* text = archive_error_string(x);
  return text == nullptr ? "is damaged" : text;
}

/// What a link in `member` to `target` means, as a member.
std::string resolve(const std::string& member, const std::string& target) {
  auto path = (std::filesystem::path{member}.parent_path() / target).lexically_normal().string();
  return clean_path(path);
}

} // namespace

image_source::image_source(const std::filesystem::path& path, int staging, const image_limits& limits)
    : staging_{staging}, limits_{limits}, where_{path.string()} {
  auto file = owned_fd{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (!file && (errno == ENOENT || errno == ENOTDIR))
    throw image_error{image_problem::bad_request, "there is no file or directory " + where_};
  if (!file)
    throw storage_error("cannot open " + where_, errno);
  struct stat status {};
  ::fstat(file.get(), &status);
  if (S_ISDIR(status.st_mode))
    directory_ = std::move(file);
  else if (S_ISREG(status.st_mode))
    read_archive(file.get());
  else
    throw image_error{image_problem::bad_request, where_ + " is neither a directory nor a file"};
}

const image_piece* image_source::copy(const std::string& member,
                                      const std::function<std::ptrdiff_t(char*, std::size_t)>& read) {
  auto piece = image_piece{.file = "piece-" + std::to_string(pieces_.size()), .digest = {}, .size = 0};
  const auto file =
      owned_fd{::openat(staging_, piece.file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (!file)
    throw storage_error("cannot write a copy of " + where_, errno);
  auto digest = digester{};
  auto block = std::array<char, 65536>{};
  while (const auto count = read(block.data(), block.size())) {
    if (count < 0)
      throw image_error{image_problem::corrupt, where_ + ": cannot read " + member};
    const auto bytes = std::string_view{block.data(), static_cast<std::size_t>(count)};
    piece.size += bytes.size();
    bytes_ += bytes.size();
    if (piece.size > limits_.blob_bytes_max || bytes_ > limits_.unpacked_bytes_max)
      throw image_error{image_problem::hostile, where_ + ": " + member + " is larger than the limit"};
    digest.add(bytes.data(), bytes.size());
    write_all(file.get(), bytes, "a copy of " + where_);
  }
  piece.digest = digest.finish();
  return &pieces_.emplace(member, std::move(piece)).first->second;
}

void image_source::read_archive(int file) {
  const auto names = utf8_names{};
  const auto source = std::unique_ptr<archive, int (*)(archive*)>{archive_read_new(), archive_read_free};
  archive_read_support_filter_gzip(source.get());
  archive_read_support_filter_zstd(source.get());
  archive_read_support_format_tar(source.get());
  if (archive_read_open_fd(source.get(), file, 65536) != ARCHIVE_OK)
    throw image_error{image_problem::bad_request, where_ + ": " + complaint_of(source.get())};
  for (auto count = std::size_t{0};; ++count) {
    archive_entry* entry = nullptr;
    const auto status = archive_read_next_header(source.get(), &entry);
    if (status == ARCHIVE_EOF)
      return;
    if (status < ARCHIVE_WARN)
      throw image_error{count == 0 ? image_problem::bad_request : image_problem::corrupt,
                        where_ + ": " + complaint_of(source.get())};
    if (count >= members_max)
      throw image_error{image_problem::hostile, where_ + ": holds more than " + std::to_string(members_max) + " files"};
    take_member(source.get(), entry);
  }
}

void image_source::take_member(archive* source, archive_entry* entry) {
  const auto* text = archive_entry_pathname(entry);
  const auto member = clean_path(text == nullptr ? "" : text);
  if (const auto* hard = archive_entry_hardlink(entry)) {
    links_[member] = clean_path(hard);
  } else if (const auto* soft = archive_entry_symlink(entry)) {
    links_[member] = resolve(member, soft);
  } else if (archive_entry_filetype(entry) == AE_IFREG) {
    if (pieces_.contains(member))
      throw image_error{image_problem::corrupt, where_ + ": holds " + member + " twice"};
    copy(member, [&](char* into, std::size_t size) { return archive_read_data(source, into, size); });
  }
}

const image_piece* image_source::copy_from_directory(const std::string& member) {
  const auto file = open_beneath(directory_.get(), member, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  if (!file && errno == ENOENT)
    return nullptr;
  if (!file)
    throw image_error{image_problem::corrupt,
                      where_ + ": cannot read " + member + ": " + std::generic_category().message(errno)};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    throw image_error{image_problem::corrupt, where_ + ": " + member + " is no file"};
  return copy(member, [&](char* into, std::size_t size) {
    auto count = ssize_t{0};
    while ((count = ::read(file.get(), into, size)) < 0 && errno == EINTR)
      ;
    return count;
  });
}

const image_piece* image_source::find(const std::string& member) {
  auto name = clean_path(member);
  for (auto i = 0; i < links_followed_max && links_.contains(name); ++i)
    name = links_[name];
  if (const auto found = pieces_.find(name); found != pieces_.end())
    return &found->second;
  return directory_ ? copy_from_directory(name) : nullptr;
}

std::optional<std::string> image_source::text(const std::string& member) {
  const auto* piece = find(member);
  if (piece == nullptr)
    return {};
  if (piece->size > limits_.json_bytes_max)
    throw image_error{image_problem::hostile, where_ + ": " + member + " is larger than the limit for JSON"};
  return read_file(staging_, piece->file, limits_.json_bytes_max);
}

} // namespace novacron::workload
