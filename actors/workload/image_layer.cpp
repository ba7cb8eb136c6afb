#include "actors/workload/image_layer.hpp"

#include "actors/workload/image_digest.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <new>

namespace novacron::workload {
namespace {

// Chosen: deeper than any real image, shallow enough to delete with one descriptor per level.
constexpr std::size_t depth_max = 128;
constexpr std::size_t path_max = 4095;
constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view whiteout_opaque = ".wh..wh..opq";
constexpr std::string_view whiteout_other = ".wh..wh.";

using reader = std::unique_ptr<archive, int (*)(archive*)>;

reader new_reader() {
  auto result = reader{archive_read_new(), archive_read_free};
  if (!result)
    throw std::bad_alloc{};
  return result;
}

std::string complaint_of(archive* x) {
  const auto* text = archive_error_string(x);
  return text == nullptr ? "is damaged" : text;
}

/// The plain bytes of a layer, hashed on their way into the tar reader.
struct plain_stream {
  reader raw = new_reader();
  digester digest;
  std::uint64_t total = 0;
  std::uint64_t limit = 0;
  bool opened = false;
  bool too_long = false;

  /// The next bytes, 0 at the end, -1 when it is damaged or too long.
  la_ssize_t next(const void** bytes) {
    auto size = std::size_t{0};
    auto offset = la_int64_t{0};
    do {
      const auto status = opened ? archive_read_data_block(raw.get(), bytes, &size, &offset) : ARCHIVE_EOF;
      if (status == ARCHIVE_EOF)
        return 0;
      if (status < ARCHIVE_WARN)
        return -1;
    } while (size == 0);
    total += size;
    too_long = total > limit;
    if (too_long)
      return -1;
    digest.add(*bytes, size);
    return static_cast<la_ssize_t>(size);
  }
};

la_ssize_t read_plain(archive* entries, void* stream, const void** bytes) {
  auto& source = *static_cast<plain_stream*>(stream);
  const auto count = source.next(bytes);
  if (count < 0)
    archive_set_error(entries, EINVAL, "%s", source.too_long ? "is too long" : complaint_of(source.raw.get()).c_str());
  return count;
}

timespec modified_of(archive_entry* entry) {
  return {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
}

std::array<timespec, 2> times_of(timespec modified) {
  return {modified, modified};
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == path.npos)
    return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::string join(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

/// Attributes that programs need; others (labels of another host's policy) stay out. They are a courtesy: a file system
/// without them loses them.
void copy_attributes(archive_entry* entry, int fd) {
  const char* name = nullptr;
  const void* value = nullptr;
  auto size = std::size_t{0};
  archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    const auto text = std::string_view{name == nullptr ? "" : name};
    if (text == "security.capability" || text.starts_with("user."))
      ::fsetxattr(fd, name, value, size, 0);
  }
}

} // namespace

utf8_names::utf8_names() : fresh_{::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)} {
  if (fresh_ != nullptr)
    former_ = ::uselocale(static_cast<locale_t>(fresh_));
}

utf8_names::~utf8_names() {
  if (fresh_ == nullptr)
    return;
  ::uselocale(static_cast<locale_t>(former_));
  ::freelocale(static_cast<locale_t>(fresh_));
}

std::string clean_path(std::string_view text) {
  const auto refuse = [&](const char* why) {
    throw image_error{image_problem::hostile, "entry '" + std::string{text.substr(0, 200)} + "' " + why};
  };
  if (text.starts_with('/'))
    refuse("has an absolute path");
  if (text.size() > path_max)
    refuse("has too long a path");
  auto path = std::string{};
  auto depth = std::size_t{0};
  while (!text.empty()) {
    const auto end = text.find('/');
    const auto part = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (part == "..")
      throw image_error{image_problem::hostile, "an entry leads out of the root by '..'"};
    if (part.empty() || part == ".")
      continue;
    if (++depth > depth_max)
      throw image_error{image_problem::hostile, "an entry lies deeper than " + std::to_string(depth_max)};
    path += (path.empty() ? "" : "/") + std::string{part};
  }
  return path;
}

layer_unpacker::layer_unpacker(const std::filesystem::path& root, const image_limits& limits)
    : limits_{limits}, root_{open_directory(root)} {
  directories_.emplace("", late{});
}

void layer_unpacker::refuse(image_problem kind, const std::string& why) const {
  throw image_error{kind, where_ + (path_.empty() ? "" : ", entry '" + path_.substr(0, 200) + "'") + ": " + why};
}

void layer_unpacker::fail(int code, const std::string& what) const {
  if (code == ELOOP || code == EXDEV)
    refuse(image_problem::hostile, "lies behind a symbolic link");
  if (code == ENOTDIR)
    refuse(image_problem::corrupt, "lies in something that is no directory");
  if (code == ENAMETOOLONG || code == EINVAL || code == EILSEQ)
    refuse(image_problem::corrupt, "has a name that the file system does not take");
  throw storage_error(where_ + ", entry '" + path_.substr(0, 200) + "': cannot " + what, code);
}

std::string layer_unpacker::apply(int file, const std::string& where) {
  const auto names = utf8_names{};
  where_ = where;
  path_.clear();
  auto plain = plain_stream{};
  plain.limit = limits_.unpacked_bytes_max - std::min(stream_bytes_, limits_.unpacked_bytes_max);
  archive_read_support_filter_gzip(plain.raw.get());
  archive_read_support_filter_zstd(plain.raw.get());
  archive_read_support_format_raw(plain.raw.get());
  archive_read_support_format_empty(plain.raw.get());
  archive_entry* whole = nullptr;
  if (archive_read_open_fd(plain.raw.get(), file, 65536) != ARCHIVE_OK)
    refuse(image_problem::corrupt, complaint_of(plain.raw.get()));
  const auto status = archive_read_next_header(plain.raw.get(), &whole);
  if (status < ARCHIVE_WARN)
    refuse(image_problem::corrupt, complaint_of(plain.raw.get()));
  plain.opened = status != ARCHIVE_EOF;
  const auto refuse_if_too_long = [&] {
    if (plain.too_long)
      refuse(image_problem::hostile, "is larger than the limit of " + std::to_string(limits_.unpacked_bytes_max));
  };
  const auto entries = new_reader();
  archive_read_support_format_tar(entries.get());
  archive_read_support_format_empty(entries.get());
  try {
    if (archive_read_open(entries.get(), &plain, nullptr, read_plain, nullptr) != ARCHIVE_OK)
      refuse(image_problem::corrupt, complaint_of(entries.get()));
    apply_entries(entries.get());
  } catch (const image_error& problem) {
    if (problem.problem == image_problem::corrupt)
      refuse_if_too_long();
    throw;
  }
  // What follows the end of the tar belongs to the digest.
  const void* rest = nullptr;
  auto count = la_ssize_t{0};
  while ((count = plain.next(&rest)) > 0)
    ;
  refuse_if_too_long();
  if (count < 0)
    refuse(image_problem::corrupt, complaint_of(plain.raw.get()));
  stream_bytes_ += plain.total;
  return plain.digest.finish();
}

void layer_unpacker::apply_entries(archive* entries) {
  made_.clear();
  for (;;) {
    path_.clear();
    archive_entry* entry = nullptr;
    const auto status = archive_read_next_header(entries, &entry);
    if (status == ARCHIVE_EOF)
      return;
    const auto complaint = status == ARCHIVE_OK ? std::string{} : complaint_of(entries);
    // A name that was bent to fit our character set is another name.
    if (status < ARCHIVE_WARN || complaint.find("converted") != complaint.npos)
      refuse(image_problem::corrupt, complaint);
    place(entries, entry);
  }
}

void layer_unpacker::place(archive* entries, archive_entry* entry) {
  const auto* text = archive_entry_pathname(entry);
  if (text == nullptr)
    refuse(image_problem::corrupt, "has an entry without a readable name");
  try {
    path_ = clean_path(text);
  } catch (const image_error& problem) {
    refuse(problem.problem, problem.what());
  }
  const auto type = archive_entry_filetype(entry);
  const auto* target = archive_entry_hardlink(entry);
  if (path_.empty() && (type != AE_IFDIR || target != nullptr))
    refuse(image_problem::hostile, "would replace the root directory");
  const auto [directory, name] = split_path(path_);
  if (std::string_view{name}.starts_with(whiteout_prefix))
    return whiteout(directory, name);
  if (target == nullptr && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK && type != AE_IFIFO)
    return;
  const auto parent = open_parent(directory);
  claim(path_);
  if (target != nullptr)
    place_hardlink(target, parent, name);
  else if (type == AE_IFDIR)
    place_directory(entry, parent, name);
  else if (type == AE_IFLNK)
    place_symlink(entry, parent, name);
  else if (type == AE_IFIFO)
    place_fifo(entry, parent, name);
  else
    place_file(entries, entry, parent, name);
}

namespace {

struct owner {
  uid_t uid;
  gid_t gid;
};

bool is_owner(la_int64_t id) {
  return id >= 0 && id < 0xffff'ffff;
}

/// Nothing when the numbers are no owner of anything.
bool owner_of(archive_entry* entry, owner& result) {
  result = {static_cast<uid_t>(archive_entry_uid(entry)), static_cast<gid_t>(archive_entry_gid(entry))};
  return is_owner(archive_entry_uid(entry)) && is_owner(archive_entry_gid(entry));
}

/// Without the right to give files away (a node that is not root) all belong to us.
bool may_give_away() {
  return ::geteuid() == 0;
}

} // namespace

void layer_unpacker::place_file(archive* entries, archive_entry* entry, int parent, const std::string& name) {
  auto who = owner{};
  if (!owner_of(entry, who))
    refuse(image_problem::hostile, "has an owner that cannot be");
  const auto size = archive_entry_size(entry);
  if (size < 0)
    refuse(image_problem::hostile, "has a size that cannot be");
  spend(static_cast<std::uint64_t>(size));
  make_room(parent, name, false);
  const auto file =
      owned_fd{::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (!file)
    fail(errno, "make it");
  const void* bytes = nullptr;
  auto count = std::size_t{0};
  auto offset = la_int64_t{0};
  auto status = 0;
  while ((status = archive_read_data_block(entries, &bytes, &count, &offset)) == ARCHIVE_OK) {
    if (offset < 0 || offset > size || static_cast<std::uint64_t>(size - offset) < count)
      refuse(image_problem::corrupt, "holds more than its size says");
    write_all_at(file.get(), {static_cast<const char*>(bytes), count}, offset, where_ + ", entry '" + path_ + "'");
  }
  if (status != ARCHIVE_EOF)
    refuse(image_problem::corrupt, complaint_of(entries));
  if (::ftruncate(file.get(), size) != 0)
    fail(errno, "set its size");
  if (may_give_away() && ::fchown(file.get(), who.uid, who.gid) != 0)
    fail(errno, "set its owner");
  copy_attributes(entry, file.get());
  // After the owner: changing that clears the set-uid bit.
  if (::fchmod(file.get(), archive_entry_perm(entry) & 07777) != 0)
    fail(errno, "set its mode");
  ::futimens(file.get(), times_of(modified_of(entry)).data());
}

void layer_unpacker::place_directory(archive_entry* entry, int parent, const std::string& name) {
  auto who = owner{};
  if (!owner_of(entry, who))
    refuse(image_problem::hostile, "has an owner that cannot be");
  if (!name.empty()) {
    make_room(parent, name, true);
    if (::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST)
      fail(errno, "make it");
  }
  if (may_give_away() &&
      ::fchownat(parent, name.c_str(), who.uid, who.gid, AT_SYMLINK_NOFOLLOW | (name.empty() ? AT_EMPTY_PATH : 0)) != 0)
    fail(errno, "set its owner");
  directories_[path_] = {static_cast<unsigned>(archive_entry_perm(entry) & 07777), modified_of(entry)};
}

void layer_unpacker::place_symlink(archive_entry* entry, int parent, const std::string& name) {
  auto who = owner{};
  const auto* target = archive_entry_symlink(entry);
  if (target == nullptr || *target == '\0')
    refuse(image_problem::corrupt, "is a link to nothing");
  if (!owner_of(entry, who))
    refuse(image_problem::hostile, "has an owner that cannot be");
  make_room(parent, name, false);
  if (::symlinkat(target, parent, name.c_str()) != 0)
    fail(errno, "make it");
  if (may_give_away() && ::fchownat(parent, name.c_str(), who.uid, who.gid, AT_SYMLINK_NOFOLLOW) != 0)
    fail(errno, "set its owner");
  ::utimensat(parent, name.c_str(), times_of(modified_of(entry)).data(), AT_SYMLINK_NOFOLLOW);
}

void layer_unpacker::place_fifo(archive_entry* entry, int parent, const std::string& name) {
  auto who = owner{};
  if (!owner_of(entry, who))
    refuse(image_problem::hostile, "has an owner that cannot be");
  make_room(parent, name, false);
  if (::mkfifoat(parent, name.c_str(), 0600) != 0)
    fail(errno, "make it");
  if (may_give_away() && ::fchownat(parent, name.c_str(), who.uid, who.gid, AT_SYMLINK_NOFOLLOW) != 0)
    fail(errno, "set its owner");
  // Nobody else is in here, so that the name still is the fifo.
  if (::fchmodat(parent, name.c_str(), archive_entry_perm(entry) & 07777, 0) != 0)
    fail(errno, "set its mode");
  ::utimensat(parent, name.c_str(), times_of(modified_of(entry)).data(), AT_SYMLINK_NOFOLLOW);
}

void layer_unpacker::place_hardlink(const std::string& target, int parent, const std::string& name) {
  auto path = std::string{};
  try {
    path = clean_path(target);
  } catch (const image_error& problem) {
    refuse(problem.problem, std::string{"is a hard link, "} + problem.what());
  }
  if (path == path_ || path.empty())
    refuse(image_problem::corrupt, "is a hard link to itself or to the root");
  const auto [directory, last] = split_path(path);
  const auto from = open_beneath(root_.get(), directory, O_PATH | O_DIRECTORY);
  if (!from && errno == ENOENT)
    refuse(image_problem::corrupt, "is a hard link to nothing");
  if (!from)
    fail(errno, "link it");
  make_room(parent, name, false);
  if (::linkat(from.get(), last.c_str(), parent, name.c_str(), 0) == 0)
    return;
  if (errno == ENOENT || errno == EPERM)
    refuse(image_problem::corrupt, "is a hard link to '" + path.substr(0, 200) + "', which is no file");
  fail(errno, "link it");
}

void layer_unpacker::whiteout(const std::string& directory, const std::string& name) {
  if (name == whiteout_opaque) {
    const auto parent = open_parent(directory);
    for_each_name(parent, [&](const std::string& child) { remove_lower(parent, child, join(directory, child)); });
    return;
  }
  // Bookkeeping of another union file system.
  if (std::string_view{name}.starts_with(whiteout_other))
    return;
  const auto victim = name.substr(whiteout_prefix.size());
  if (victim.empty() || victim == "." || victim == "..")
    refuse(image_problem::hostile, "is a whiteout of no name");
  remove_lower(open_parent(directory), victim, join(directory, victim));
}

void layer_unpacker::remove_lower(int parent, const std::string& name, const std::string& path) {
  if (!made_.contains(path)) {
    forget_parent(path);
    return remove_tree(parent, name);
  }
  const auto inside = open_beneath(parent, name, O_RDONLY | O_DIRECTORY);
  if (inside)
    for_each_name(inside.get(),
                  [&](const std::string& child) { remove_lower(inside.get(), child, join(path, child)); });
}

/// Consecutive entries mostly share their directory: it stays open.
int layer_unpacker::open_parent(const std::string& directory) {
  if (directory.empty())
    return root_.get();
  if (parent_ && parent_path_ == directory)
    return parent_.get();
  parent_ = open_beneath(root_.get(), directory, O_PATH | O_DIRECTORY);
  if (!parent_ && errno == ENOENT) {
    make_directory(directory);
    parent_ = open_beneath(root_.get(), directory, O_PATH | O_DIRECTORY);
  }
  if (!parent_)
    fail(errno, "open its directory");
  parent_path_ = directory;
  return parent_.get();
}

/// A directory that no entry described, and those above it.
void layer_unpacker::make_directory(const std::string& directory) {
  const auto [above, name] = split_path(directory);
  auto parent = open_beneath(root_.get(), above, O_PATH | O_DIRECTORY);
  if (!parent && errno == ENOENT) {
    make_directory(above);
    parent = open_beneath(root_.get(), above, O_PATH | O_DIRECTORY);
  }
  if (!parent)
    fail(errno, "open its directory");
  if (::mkdirat(parent.get(), name.c_str(), 0700) == 0) {
    directories_[directory] = late{};
    claim(directory);
  } else if (errno != EEXIST) {
    fail(errno, "make its directory");
  }
}

/// Removes what is in the way; a directory stays for a directory.
void layer_unpacker::make_room(int parent, const std::string& name, bool for_directory) {
  struct stat status {};
  if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT)
      fail(errno, "look for it");
    return;
  }
  if (S_ISDIR(status.st_mode) && for_directory)
    return;
  forget_parent(path_);
  remove_tree(parent, name);
}

/// The open directory is of no use once it, or one above it, is gone.
void layer_unpacker::forget_parent(const std::string& removed) {
  if (parent_path_ == removed || parent_path_.starts_with(removed + "/")) {
    parent_path_.clear();
    parent_ = owned_fd{};
  }
}

void layer_unpacker::claim(const std::string& path) {
  if (++entries_ > limits_.entries_max)
    refuse(image_problem::hostile, "there are more than " + std::to_string(limits_.entries_max) + " entries");
  for (auto part = path; !part.empty(); part = split_path(part).first) {
    if (!made_.insert(part).second)
      return;
    name_bytes_ += part.size();
    if (name_bytes_ > limits_.name_bytes_max)
      refuse(image_problem::hostile, "the names of the entries are too long altogether");
  }
}

void layer_unpacker::spend(std::uint64_t bytes) {
  if (bytes > limits_.unpacked_bytes_max || bytes_ > limits_.unpacked_bytes_max - bytes)
    refuse(image_problem::hostile,
           "the files are larger than the limit of " + std::to_string(limits_.unpacked_bytes_max) + " bytes");
  bytes_ += bytes;
}

void layer_unpacker::finish() {
  parent_ = owned_fd{};
  parent_path_.clear();
  // From below: a directory may forbid us to enter it once it has its mode.
  for (auto each = directories_.rbegin(); each != directories_.rend(); ++each) {
    const auto directory = open_beneath(root_.get(), each->first, O_RDONLY | O_DIRECTORY);
    // A later layer took it away or put a file in its place.
    if (!directory)
      continue;
    ::fchmod(directory.get(), each->second.mode);
    ::futimens(directory.get(), times_of(each->second.modified).data());
  }
}

} // namespace novacron::workload
