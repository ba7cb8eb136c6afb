#pragma once

/// The record of who ordered what and who was refused: each line is bound to the one before, so that a change shows.
///
/// A line is `{"number":7,"time":"...","who":"...","what":"...","result":"...","hash":"..."}`. Its hash is SHA-256 of
/// the hash before and of the line up to its own hash. `head` holds the number and hash of the last line that is on
/// disk, so that lines cut off at the end are missed too. Whoever may write the files may of course write all of them
/// anew: keep a hash that `novacron audit verify` printed somewhere else to be sure.

#include "actors/host/certificate.hpp"

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace novacron::node {

struct audit_entry {
  std::uint64_t number = 0;
  std::string time;
  std::string who;
  std::string what;
  std::string result;
};

/// The line of an entry that follows one with the hash `before`, without a newline.
std::string audit_line(const audit_entry& x, std::string_view before);
/// The hash at the end of a line; empty when it has none.
std::string_view audit_hash(std::string_view line);
/// Whether a line follows one with the hash `before` and is as it was written.
bool follows(std::string_view line, std::string_view before);

/// What is wrong with a log, and what it holds.
struct audit_verdict {
  std::uint64_t entries = 0;
  /// Numbers of the first and the last entry that are kept.
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  /// Of the last entry.
  std::string hash;
  std::vector<std::string> faults;
};
/// The log may be written meanwhile.
audit_verdict verify_audit(const std::filesystem::path& directory);
/// The lines with numbers above `after`, at most the last `limit` of them.
std::vector<std::string> read_audit(const std::filesystem::path& directory, std::uint64_t after, std::size_t limit);

/// The same as JSON, for the API.
std::string show_audit(const std::filesystem::path& directory, std::uint64_t after, std::size_t limit);
std::string show_verdict(const std::filesystem::path& directory);

struct audit_limits {
  /// A file that is larger is followed by the next.
  std::uintmax_t file_bytes = std::uintmax_t{4} << 20;
  /// The oldest goes when there are more.
  std::size_t files_max = 8;
  /// Longer texts are cut.
  std::size_t text_bytes_max = 512;
};

/// The log of one node. May be used from any thread; survives the end of its process and of its host at any point.
class audit_log {
public:
  /// Goes on where the log in `directory` ends. Throws std::system_error when it cannot be written.
  audit_log(std::filesystem::path directory, audit_limits limits = {},
            std::function<host::wall_time()> now = std::chrono::system_clock::now);
  ~audit_log();
  audit_log(const audit_log&) = delete;
  audit_log& operator=(const audit_log&) = delete;

  /// Waits for no disk but when a file is full. False when the disk takes no more.
  bool note(std::string_view who, std::string_view what, std::string_view result);
  const std::filesystem::path& directory() const { return directory_; }

private:
  void resume();
  void begin_file();
  bool write_head(std::uint64_t last, const std::string& hash) const;
  void settle();
  bool append(std::string_view who, std::string_view what, std::string_view result);

  const std::filesystem::path directory_;
  const audit_limits limits_;
  const std::function<host::wall_time()> now_;
  std::mutex guard_;
  int file_ = -1;
  int head_ = -1;
  std::uintmax_t size_ = 0;
  std::uint64_t last_ = 0;
  /// The entry before the first that is kept.
  std::uint64_t before_ = 0;
  std::string hash_;
  /// The last line that is on disk, or could not be brought there.
  std::uint64_t settled_ = 0;
  bool ended_ = false;
  std::condition_variable more_;
  /// Brings lines to disk, and lets the head count them then.
  std::thread settler_;
};

} // namespace novacron::node
