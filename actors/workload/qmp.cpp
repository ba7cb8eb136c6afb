#include "actors/workload/qmp.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace novacron::workload {
namespace {

using json = nlohmann::json;

/// Chosen: deeper nesting than any answer of a monitor has.
constexpr auto depth_max = 64;

bool too_deep(std::string_view text) {
  auto depth = 0;
  for (const auto x : text) {
    depth += x == '[' || x == '{' ? 1 : x == ']' || x == '}' ? -1 : 0;
    if (depth > depth_max)
      return true;
  }
  return false;
}

std::string text_of(const json& x) { return x.dump(-1, ' ', false, json::error_handler_t::replace); }

std::string words_of(const json& error) {
  if (error.is_object() && error.contains("desc") && error["desc"].is_string())
    return error["desc"].get<std::string>();
  return text_of(error);
}

} // namespace

qmp_sentence read_qmp(std::string_view line) {
  if (line.size() > qmp_line_bytes_max || too_deep(line))
    return qmp_noise{};
  const auto x = json::parse(line, nullptr, false);
  if (!x.is_object())
    return qmp_noise{};
  if (x.contains("QMP"))
    return qmp_greeting{};
  if (x.contains("event") && x["event"].is_string())
    return qmp_event{x["event"].get<std::string>(), x.contains("data") ? text_of(x["data"]) : "{}"};
  if (!x.contains("id") || !x["id"].is_number_unsigned())
    return qmp_noise{};
  const auto number = x["id"].get<std::uint64_t>();
  if (x.contains("error"))
    return qmp_answer{number, true, words_of(x["error"])};
  if (x.contains("return"))
    return qmp_answer{number, false, text_of(x["return"])};
  return qmp_noise{};
}

std::vector<std::string> line_gatherer::take(std::string_view bytes) {
  auto lines = std::vector<std::string>{};
  while (!bytes.empty()) {
    const auto feed = bytes.find('\n');
    const auto part = bytes.substr(0, feed);
    if (!skipping_ && rest_.size() + part.size() > max_) {
      skipping_ = true;
      rest_.clear();
      rest_.shrink_to_fit();
      lines.emplace_back();
    }
    if (!skipping_)
      rest_ += part;
    if (feed == bytes.npos)
      return lines;
    if (!std::exchange(skipping_, false))
      lines.push_back(std::exchange(rest_, {}));
    bytes.remove_prefix(feed + 1);
  }
  return lines;
}

std::shared_ptr<qmp_client> qmp_client::open(host::loop& loop, int fd, std::function<void(const qmp_event&)> heard) {
  auto self = std::shared_ptr<qmp_client>{new qmp_client{loop, fd, std::move(heard)}};
  loop.watch(fd, EPOLLIN, [weak = std::weak_ptr{self}](std::uint32_t) {
    if (const auto alive = weak.lock())
      alive->readable();
  });
  return self;
}

qmp_client::qmp_client(host::loop& loop, int fd, std::function<void(const qmp_event&)> heard)
    : loop_{loop}, fd_{fd}, heard_{std::move(heard)} {}

qmp_client::~qmp_client() {
  loop_.forget(fd_);
  ::close(fd_);
}

void qmp_client::ask(const std::string& command, const std::string& arguments, duration limit, then<std::string> done) {
  loop_.post([weak = weak_from_this(), command, arguments, limit, done = std::move(done)] {
    const auto self = weak.lock();
    if (!self || self->over_)
      return done(trouble{fault::unreachable, "the machine's monitor has gone"});
    const auto number = ++self->count_;
    self->open_[number] = done;
    auto send = [raw = self.get(), command, arguments, number] { raw->send(command, arguments, number); };
    if (self->agreed_)
      send();
    else
      self->waiting_.push_back(std::move(send));
    self->loop_.after(limit, [weak, number, command] {
      if (const auto alive = weak.lock())
        alive->answer(number, trouble{fault::timeout, "the machine's monitor did not answer to " + command});
    });
  });
}

void qmp_client::send(const std::string& command, const std::string& arguments, std::uint64_t number) {
  const auto line = fmt::format("{{\"execute\":\"{}\",\"arguments\":{},\"id\":{}}}\n", command,
                                arguments.empty() ? "{}" : arguments, number);
  // A monitor that does not read what fits into a socket's buffer is stuck: its command times out.
  if (::send(fd_, line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size()))
    end();
}

void qmp_client::readable() {
  auto block = std::array<char, 16384>{};
  const auto count = ::recv(fd_, block.data(), block.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (count <= 0)
    return end();
  for (const auto& line : lines_.take({block.data(), static_cast<std::size_t>(count)}))
    hear(read_qmp(line));
}

void qmp_client::hear(const qmp_sentence& x) {
  if (std::holds_alternative<qmp_greeting>(x)) {
    send("qmp_capabilities", "{}", 0);
    agreed_ = true;
    for (const auto& each : std::exchange(waiting_, {}))
      each();
  } else if (const auto* said = std::get_if<qmp_answer>(&x)) {
    answer(said->number, said->failed ? outcome<std::string>{trouble{fault::unspecified, said->text}}
                                      : outcome<std::string>{said->text});
  } else if (const auto* event = std::get_if<qmp_event>(&x); event != nullptr && heard_) {
    heard_(*event);
  }
}

void qmp_client::answer(std::uint64_t number, outcome<std::string> x) {
  if (const auto found = open_.extract(number))
    found.mapped()(std::move(x));
}

void qmp_client::end() {
  if (std::exchange(over_, true))
    return;
  loop_.forget(fd_);
  waiting_.clear();
  for (const auto& [number, done] : std::exchange(open_, {}))
    done(trouble{fault::unreachable, "the machine's monitor has gone"});
}

} // namespace novacron::workload
