/// Bytes from clients, from the log and from backups never crash the ledger, and what is accepted is stable.

#include "actors/state/frame.hpp"
#include "actors/state/history.hpp"
#include "actors/state/records.hpp"

#include <cstdint>
#include <cstdlib>

namespace {

using namespace novacron::ledger;

void require(bool holds) {
  if (!holds)
    std::abort();
}

void fuzz_entry(records& book, std::string_view bytes) {
  const auto command = parse_command(bytes);
  if (!command)
    return book.skip(book.index() + 1);
  const auto done = book.apply(book.index() + 1, *command);
  require(done.answer.applied() || done.changed.written_size() == 0);
  const auto again = book.apply(book.index() + 1, *command);
  require(again.forgotten || again.answer.index() == done.answer.index());
}

void fuzz_snapshot(std::string_view bytes) {
  auto book = records{};
  if (book.restore(bytes))
    require(records{}.restore(book.snapshot()));
}

void fuzz_calls(std::string_view bytes) {
  auto stream = frames{bytes, call_bytes_max};
  while (const auto frame = stream.next()) {
    auto call = wire::LedgerCall{};
    if (call.ParseFromArray(frame->data(), static_cast<int>(frame->size())) && call.has_command())
      parse_command(call.command());
  }
  require(stream.taken() <= bytes.size());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto bytes = std::string_view{reinterpret_cast<const char*>(data) + 1, size - 1};
  switch (data[0] % 4) {
    case 0: {
      auto book = records{};
      auto stream = frames{bytes, call_bytes_max};
      while (const auto frame = stream.next())
        fuzz_entry(book, *frame);
      const auto snapshot = book.snapshot();
      auto copy = records{};
      require(copy.restore(snapshot) && copy.snapshot() == snapshot);
      break;
    }
    case 1: fuzz_snapshot(bytes); break;
    case 2: fuzz_calls(bytes); break;
    case 3: {
      auto x = operation{};
      from_line(std::string{bytes}, x);
      break;
    }
  }
  return 0;
}
