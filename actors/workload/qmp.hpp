#pragma once

/// QEMU's control protocol: reads what a monitor says, and asks it things, each with a deadline.

#include "actors/host/loop.hpp"
#include "actors/workload/outcome.hpp"
#include "messages/vocabulary.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace novacron::workload {

/// The first thing a monitor says.
struct qmp_greeting {};
/// The answer to the command with that number: its result as JSON, or what was wrong with it.
struct qmp_answer {
  std::uint64_t number = 0;
  bool failed = false;
  /// JSON of the result, or the words of the error.
  std::string text;
};
struct qmp_event {
  std::string name;
  /// JSON; "{}" when it came with nothing.
  std::string data;
};
/// What is no sentence of this protocol; never an end of the conversation.
struct qmp_noise {};
using qmp_sentence = std::variant<qmp_greeting, qmp_answer, qmp_event, qmp_noise>;

/// Chosen: the longest answer that we ask for has a few KiB.
constexpr auto qmp_line_bytes_max = std::size_t{1} << 20;

/// One line of a monitor, whatever is in it.
qmp_sentence read_qmp(std::string_view line);

/// Makes lines of bytes in pieces of any size. What is longer than a line may be comes out as an empty one.
class line_gatherer {
public:
  explicit line_gatherer(std::size_t bytes_max) : max_{bytes_max} {}
  std::vector<std::string> take(std::string_view bytes);

private:
  std::size_t max_;
  std::string rest_;
  bool skipping_ = false;
};

/// A conversation with one monitor. Functions may be called from any thread; what they are given is called on the loop's.
/// Ends with the last reference to it: what has not been answered by then is not any more.
class qmp_client : public std::enable_shared_from_this<qmp_client> {
public:
  /// Takes over the connected socket `fd`.
  static std::shared_ptr<qmp_client> open(host::loop& loop, int fd, std::function<void(const qmp_event&)> heard);
  ~qmp_client();
  qmp_client(const qmp_client&) = delete;
  qmp_client& operator=(const qmp_client&) = delete;

  /// `arguments` is a JSON object. Answers with the JSON of the result; `timeout` after `limit`, `unreachable` when the
  /// conversation is over.
  void ask(const std::string& command, const std::string& arguments, duration limit, then<std::string> done);

private:
  qmp_client(host::loop& loop, int fd, std::function<void(const qmp_event&)> heard);
  void send(const std::string& command, const std::string& arguments, std::uint64_t number);
  void readable();
  void hear(const qmp_sentence& x);
  void answer(std::uint64_t number, outcome<std::string> x);
  void end();

  host::loop& loop_;
  int fd_;
  std::function<void(const qmp_event&)> heard_;
  line_gatherer lines_{qmp_line_bytes_max};
  // All below is used on the loop's thread only.
  std::uint64_t count_ = 0;
  bool over_ = false;
  /// Commands are kept until the monitor has greeted and agreed to take them.
  bool agreed_ = false;
  std::vector<std::function<void()>> waiting_;
  std::map<std::uint64_t, then<std::string>> open_;
};

} // namespace novacron::workload
