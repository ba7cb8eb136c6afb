#include "actors/state/frame.hpp"
#include "actors/state/ledger_client.hpp"
#include "messages/wire/ledger.pb.h"

#include <doctest/doctest.h>

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <future>
#include <string>
#include <vector>

using namespace novacron;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

/// The other end of a client: what it sends can be looked at before it is read.
class counterpart {
public:
  counterpart() {
    auto pattern = (fs::temp_directory_path() / "ledger-client-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    auto address = sockaddr_un{};
    address.sun_family = AF_UNIX;
    path().string().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener_, 1) == 0);
  }
  ~counterpart() {
    ::close(fd_);
    ::close(listener_);
    fs::remove_all(directory_);
  }
  counterpart(const counterpart&) = delete;
  counterpart& operator=(const counterpart&) = delete;

  fs::path path() const { return directory_ / "s"; }

  void let_in() {
    fd_ = ::accept(listener_, nullptr, nullptr);
    const auto patience = timeval{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }

  bool has_mail() const {
    auto byte = char{};
    return ::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }

  /// The numbers of the calls that come with one read.
  std::vector<std::uint64_t> read_once() {
    auto block = std::array<char, 64 * 1024>{};
    const auto count = ::recv(fd_, block.data(), block.size(), 0);
    REQUIRE(count > 0);
    in_.append(block.data(), static_cast<std::size_t>(count));
    auto numbers = std::vector<std::uint64_t>{};
    auto stream = ledger::frames{in_, ledger::call_bytes_max};
    while (const auto frame = stream.next()) {
      auto what = v1::LedgerCall{};
      REQUIRE(what.ParseFromArray(frame->data(), static_cast<int>(frame->size())));
      numbers.push_back(what.id());
    }
    in_.erase(0, stream.taken());
    return numbers;
  }

  /// All answers in one piece.
  void answer(const std::vector<std::uint64_t>& calls) const {
    auto out = std::string{};
    for (const auto id : calls) {
      auto reply = v1::LedgerReply{};
      reply.set_id(id);
      reply.mutable_status();
      ledger::put_frame(out, reply);
    }
    REQUIRE(::send(fd_, out.data(), out.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out.size()));
  }

private:
  int listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int fd_ = -1;
  fs::path directory_;
  std::string in_;
};

} // namespace

SCENARIO("what the answers of one read make a ledger's client ask goes out together") {
  constexpr auto count = 16;
  auto there = counterpart{};
  auto left = count;
  auto early = 0;
  auto over = std::promise<void>{};
  auto nothing = [](const auto&) {};
  auto here = ledger::client{{.socket = there.path()}};
  there.let_in();
  for (auto i = 0; i < count; ++i)
    here.status([&](const auto&) {
      here.status(nothing);
      early += there.has_mail() ? 1 : 0;
      if (--left == 0)
        over.set_value();
    });
  auto asked = std::vector<std::uint64_t>{};
  while (asked.size() < count)
    for (const auto id : there.read_once())
      asked.push_back(id);
  there.answer(asked);
  REQUIRE(over.get_future().wait_for(10s) == std::future_status::ready);
  CHECK(early == 0);
  CHECK(there.read_once().size() == count);
  WHEN("somebody else asks") {
    here.status(nothing);
    THEN("it goes out at once") {
      CHECK(there.has_mail());
    }
  }
}
