#include "actors/node/audit.hpp"

#include "actors/host/files.hpp"
#include "actors/host/log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <charconv>
#include <cstdio>
#include <deque>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

namespace novacron::node {
namespace {

namespace fs = std::filesystem;

/// What the first line of a fabric's first file follows.
const auto origin = std::string(64, '0');
constexpr auto hash_mark = std::string_view{",\"hash\":\""};
constexpr auto hash_digits = std::size_t{64};
/// As wide as the largest number, so that it is written over in place by one write.
constexpr auto head_bytes = std::size_t{20 + 1 + 64 + 1 + 20 + 1};

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::uint64_t number_of(std::string_view line) {
  constexpr auto begin = std::string_view{"{\"number\":"};
  auto value = std::uint64_t{0};
  if (line.starts_with(begin))
    std::from_chars(line.data() + begin.size(), line.data() + line.size(), value);
  return value;
}

/// What a file begins with: the entry before its first one.
struct file_start {
  std::uint64_t number = 0;
  std::string hash;
};
std::string start_line(const file_start& x) {
  return fmt::format("{{\"after\":{}{}{}\"}}", x.number, hash_mark, x.hash);
}
std::optional<file_start> parse_start(std::string_view line) {
  constexpr auto begin = std::string_view{"{\"after\":"};
  auto found = file_start{};
  if (!line.starts_with(begin))
    return {};
  std::from_chars(line.data() + begin.size(), line.data() + line.size(), found.number);
  found.hash = audit_hash(line);
  return found.hash.empty() ? std::nullopt : std::optional{found};
}

struct head_line {
  std::uint64_t last = 0;
  std::string hash;
  /// The entry before the first that is kept.
  std::uint64_t before = 0;
};
std::string to_text(const head_line& x) {
  return fmt::format("{:020} {} {:020}\n", x.last, x.hash, x.before);
}
std::optional<head_line> read_head(const fs::path& directory) {
  const auto text = host::read_file(directory / "head").value_or("");
  auto found = head_line{};
  if (text.size() != head_bytes)
    return {};
  std::from_chars(text.data(), text.data() + 20, found.last);
  found.hash = text.substr(21, hash_digits);
  std::from_chars(text.data() + 86, text.data() + 106, found.before);
  return found;
}

/// In the order in which they were written.
std::vector<fs::path> files_in(const fs::path& directory) {
  auto found = std::vector<fs::path>{};
  auto ignored = std::error_code{};
  for (const auto& x : fs::directory_iterator{directory, ignored})
    if (const auto name = x.path().filename().string(); name.starts_with("audit-") && name.ends_with(".jsonl"))
      found.push_back(x.path());
  std::ranges::sort(found);
  return found;
}

std::string cut(std::string_view text, std::size_t bytes_max) {
  return text.size() <= bytes_max ? std::string{text} : std::string{text.substr(0, bytes_max)} + "...";
}

/// Chosen: the ledger writes to the same disk, and a loss of power costs no more lines than a tenth of a second has.
constexpr auto between_settles = std::chrono::milliseconds{100};

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

bool settle_directory(const fs::path& directory) {
  const auto fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto settled = fd >= 0 && ::fsync(fd) == 0;
  ::close(fd);
  return settled;
}

[[noreturn]] void fail(const fs::path& what) {
  throw std::system_error{errno, std::system_category(), "cannot write " + what.string()};
}

/// Looks at one file after the other.
class examination {
public:
  void look_at(const fs::path& file) {
    auto in = std::ifstream{file};
    auto line = std::string{};
    const auto name = file.filename().string();
    const auto start = std::getline(in, line) ? parse_start(line) : std::nullopt;
    if (!start)
      return fault("{} does not begin as it must", name);
    if (found.entries == 0)
      number_ = start->number, found.hash = start->hash;
    else if (start->number != number_ || start->hash != found.hash)
      fault("{} does not go on where the file before ends", name);
    while (std::getline(in, line)) {
      if (in.eof())
        break; // being written at this moment, or torn; the log itself mends that at its next start
      look_at(line, name);
    }
  }

  void look_at(const head_line& head, std::uint64_t before_first) {
    if (head.last > number_)
      fault("the last entries, {} to {}, are gone", number_ + 1, head.last);
    else if (head.last == number_ && !found.hash.empty() && head.hash != found.hash)
      fault("the last entry, {}, is not the one that was written", number_);
    if (head.before < before_first)
      fault("the first entries, {} to {}, are gone", head.before + 1, before_first);
  }

  audit_verdict found;

private:
  void look_at(const std::string& line, const std::string& file) {
    const auto number = number_of(line);
    if (number != number_ + 1)
      fault("{}: after entry {} comes {}", file, number_,
            number == 0 ? "something that is no entry" : std::to_string(number));
    else if (!follows(line, found.hash))
      fault("{}: entry {} was changed, or the one before it", file, number);
    number_ = std::max(number, number_);
    found.first = found.entries++ == 0 ? number : found.first;
    found.last = number_;
    found.hash = audit_hash(line);
  }

  template <class... Values>
  void fault(fmt::format_string<Values...> pattern, Values&&... values) {
    constexpr auto faults_max = std::size_t{100};
    if (found.faults.size() < faults_max)
      found.faults.push_back(fmt::format(pattern, std::forward<Values>(values)...));
  }

  std::uint64_t number_ = 0;
};

std::uint64_t before_first_of(const fs::path& file) {
  auto in = std::ifstream{file};
  auto line = std::string{};
  const auto start = std::getline(in, line) ? parse_start(line) : std::nullopt;
  return start ? start->number : 0;
}

audit_verdict examine(const fs::path& directory, const std::vector<fs::path>& files) {
  // First, so that lines which are added meanwhile are no more than it says.
  const auto head = read_head(directory);
  auto look = examination{};
  for (const auto& file : files)
    look.look_at(file);
  if (head)
    look.look_at(*head, files.empty() ? 0 : before_first_of(files.front()));
  else if (!files.empty())
    look.found.faults.emplace_back("the head is gone, so that nobody knows where the log ended");
  return std::move(look.found);
}

} // namespace

std::string audit_line(const audit_entry& x, std::string_view before) {
  const auto body = fmt::format("{{\"number\":{},\"time\":{},\"who\":{},\"what\":{},\"result\":{}", x.number,
                                json_text(x.time), json_text(x.who), json_text(x.what), json_text(x.result));
  return fmt::format("{}{}{}\"}}", body, hash_mark, host::to_hex(host::sha256(std::string{before} + body)));
}

std::string_view audit_hash(std::string_view line) {
  const auto size = hash_digits + 2;
  if (line.size() < size + hash_mark.size() || !line.ends_with("\"}") ||
      line.substr(line.size() - size - hash_mark.size(), hash_mark.size()) != hash_mark)
    return {};
  return line.substr(line.size() - size, hash_digits);
}

bool follows(std::string_view line, std::string_view before) {
  const auto hash = audit_hash(line);
  if (hash.empty())
    return false;
  const auto body = line.substr(0, line.size() - hash_digits - 2 - hash_mark.size());
  return host::to_hex(host::sha256(std::string{before}.append(body))) == hash;
}

audit_verdict verify_audit(const fs::path& directory) {
  // The oldest file may go, and a new one come, between two that are read. Chosen: nobody fills three files meanwhile.
  constexpr auto tries_max = 3;
  auto files = files_in(directory);
  for (auto tries = 1;; ++tries) {
    auto found = examine(directory, files);
    auto after = files_in(directory);
    if (after == files || tries == tries_max)
      return found;
    files = std::move(after);
  }
}

std::vector<std::string> read_audit(const fs::path& directory, std::uint64_t after, std::size_t limit) {
  auto kept = std::deque<std::string>{};
  for (const auto& file : files_in(directory)) {
    auto in = std::ifstream{file};
    for (auto line = std::string{}; std::getline(in, line) && !in.eof();)
      if (number_of(line) > after) {
        kept.push_back(std::move(line));
        if (kept.size() > limit)
          kept.pop_front();
      }
  }
  return {kept.begin(), kept.end()};
}

std::string show_audit(const fs::path& directory, std::uint64_t after, std::size_t limit) {
  auto entries = std::string{};
  for (const auto& line : read_audit(directory, after, limit))
    entries += (entries.empty() ? "" : ",\n") + line;
  return "{\"entries\":[" + entries + "]}\n";
}

std::string show_verdict(const fs::path& directory) {
  const auto found = verify_audit(directory);
  return nlohmann::json{{"whole", found.faults.empty()},
                        {"entries", found.entries},
                        {"first", found.first},
                        {"last", found.last},
                        {"hash", found.hash},
                        {"faults", found.faults}}
             .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
         "\n";
}

audit_log::audit_log(fs::path directory, audit_limits limits, std::function<host::wall_time()> now)
    : directory_{std::move(directory)}, limits_{limits}, now_{std::move(now)} {
  fs::create_directories(directory_);
  fs::permissions(directory_, fs::perms::owner_all);
  resume();
  settler_ = std::thread{[this] { settle(); }};
}

audit_log::~audit_log() {
  {
    const auto lock = std::lock_guard{guard_};
    ended_ = true;
  }
  more_.notify_one();
  settler_.join();
  ::close(file_);
  ::close(head_);
}

void audit_log::resume() {
  const auto head = read_head(directory_);
  const auto files = files_in(directory_);
  head_ = ::open((directory_ / "head").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (head_ < 0)
    fail(directory_ / "head");
  hash_ = origin;
  if (files.empty()) {
    last_ = head ? head->last : 0;
    // Before there is a file to miss its head: this process may end at any point.
    if (!head && (!write_head(last_, hash_) || ::fdatasync(head_) != 0))
      fail(directory_ / "head");
    begin_file();
    if (last_ > 0)
      append("this log", "starts again", fmt::format("all entries up to {} are gone", head->last));
    return;
  }
  const auto text = host::read_file(files.back()).value_or("");
  const auto whole = text.rfind('\n') == text.npos ? std::size_t{0} : text.rfind('\n') + 1;
  const auto from = whole < 2 ? std::size_t{0} : text.rfind('\n', whole - 2) + 1; // npos + 1 is the beginning
  const auto line = std::string_view{text}.substr(from, whole - std::min(whole, from + 1));
  const auto start = parse_start(line);
  last_ = start ? start->number : number_of(line);
  hash_ = start ? start->hash : std::string{audit_hash(line)};
  file_ = ::open(files.back().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file_ < 0 || ::ftruncate(file_, static_cast<off_t>(whole)) != 0)
    fail(files.back());
  size_ = whole;
  before_ = before_first_of(files.front());
  settled_ = head ? head->last : last_;
  if (whole < text.size())
    append("this log", "starts again", "a torn line was dropped");
  if (head && head->last > last_) {
    const auto missing = fmt::format("entries {} to {} are gone", last_ + 1, head->last);
    // The gap in the numbers stays for whoever verifies.
    last_ = head->last;
    append("this log", "starts again", missing);
  }
}

void audit_log::begin_file() {
  const auto path = directory_ / fmt::format("audit-{:020}.jsonl", last_ + 1);
  // The next file begins with what this one ends with.
  if (file_ >= 0 && ::fdatasync(file_) != 0)
    fail(directory_);
  // Under another name until its first line is there: this process, or its host, may end at any point.
  const auto draft = directory_ / "next";
  const auto fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  const auto first = start_line({last_, hash_}) + '\n';
  if (fd < 0 || !write_all(fd, first) || ::fsync(fd) != 0 || ::rename(draft.c_str(), path.c_str()) != 0) {
    ::close(fd);
    fail(path);
  }
  ::close(std::exchange(file_, fd));
  size_ = first.size();
  settled_ = last_;
  const auto files = files_in(directory_);
  const auto surplus = files.size() - std::min(files.size(), limits_.files_max);
  before_ = before_first_of(files[surplus]);
  // The head says first, and on disk, that the oldest are not missed, then they go.
  if (!settle_directory(directory_) || !write_head(last_, hash_) || ::fdatasync(head_) != 0)
    return;
  auto ignored = std::error_code{};
  for (auto i = std::size_t{0}; i < surplus; ++i)
    fs::remove(files[i], ignored);
}

bool audit_log::write_head(std::uint64_t last, const std::string& hash) const {
  const auto head = to_text({last, hash, before_});
  return ::pwrite(head_, head.data(), head.size(), 0) == static_cast<ssize_t>(head.size());
}

void audit_log::settle() {
  auto lock = std::unique_lock{guard_};
  while (true) {
    more_.wait(lock, [this] { return ended_ || settled_ < last_; });
    if (settled_ >= last_)
      return;
    const auto last = last_;
    const auto hash = hash_;
    // Its file may be full and closed meanwhile.
    const auto file = ::fcntl(file_, F_DUPFD_CLOEXEC, 0);
    lock.unlock();
    const auto done = file >= 0 && ::fdatasync(file) == 0;
    ::close(file);
    lock.lock();
    if (settled_ >= last)
      continue;
    settled_ = last;
    if (!done || !write_head(last, hash))
      host::log_rarely(host::level::error, "audit", "cannot bring {} to disk", directory_.string());
    more_.wait_for(lock, between_settles, [this] { return ended_; });
  }
}

bool audit_log::note(std::string_view who, std::string_view what, std::string_view result) {
  const auto lock = std::lock_guard{guard_};
  try {
    if (size_ > limits_.file_bytes)
      begin_file();
    return append(who, what, result);
  } catch (const std::system_error&) {
    return false;
  }
}

bool audit_log::append(std::string_view who, std::string_view what, std::string_view result) {
  const auto most = limits_.text_bytes_max;
  const auto entry = audit_entry{last_ + 1, host::rfc3339(now_()), cut(who, most), cut(what, most), cut(result, most)};
  auto line = audit_line(entry, hash_);
  auto hash = std::string{audit_hash(line)};
  line += '\n';
  if (!write_all(file_, line)) {
    // Nothing may stand behind half a line.
    if (::ftruncate(file_, static_cast<off_t>(size_)) != 0)
      host::log_rarely(host::level::error, "audit", "cannot mend {}", directory_.string());
    host::log_rarely(host::level::error, "audit", "cannot write to {}", directory_.string());
    return false;
  }
  size_ += line.size();
  last_ = entry.number;
  hash_ = std::move(hash);
  more_.notify_one();
  return true;
}

} // namespace novacron::node
