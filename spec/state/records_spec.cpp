#include "actors/state/records.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using ledger::records;
namespace wire = novacron::v1;

namespace {

wire::LedgerCommand command(const std::string& client, std::uint64_t sequence) {
  auto x = wire::LedgerCommand{};
  x.set_version(1);
  x.set_client(client);
  x.set_sequence(sequence);
  return x;
}

wire::LedgerCommand put(std::uint64_t sequence, const std::string& key, const std::string& value) {
  auto x = command("spec", sequence);
  auto& op = *x.add_ops();
  op.set_key(key);
  op.set_value(value);
  return x;
}

wire::LedgerCommand put_if(std::uint64_t sequence, const std::string& key, const std::string& value, std::uint64_t revision) {
  auto x = put(sequence, key, value);
  x.mutable_ops(0)->set_conditional(true);
  x.mutable_ops(0)->set_revision(revision);
  return x;
}

} // namespace

SCENARIO("a command is applied whole or not at all") {
  auto book = records{};
  CHECK(book.apply(7, put(1, "a", "1")).answer.applied());
  CHECK(book.all().at("a").revision == 7);
  WHEN("one of its conditions does not hold") {
    auto both = put(2, "b", "2");
    *both.add_ops() = put_if(2, "a", "3", 6).ops(0);
    const auto done = book.apply(8, both);
    THEN("nothing is written, and the key and its revision are named") {
      CHECK_FALSE(done.answer.applied());
      CHECK(done.answer.key() == "a");
      CHECK(done.answer.revision() == 7);
      CHECK(done.changed.written_size() == 0);
      CHECK_FALSE(book.all().contains("b"));
    }
  }
  WHEN("all conditions hold") {
    auto both = put_if(2, "b", "2", 0);
    *both.add_ops() = put_if(2, "a", "3", 7).ops(0);
    const auto done = book.apply(9, both);
    THEN("all is written with the index as revision") {
      CHECK(done.answer.applied());
      CHECK(done.changed.written_size() == 2);
      CHECK(done.changed.index() == 9);
      CHECK(book.all().at("a").value == "3");
      CHECK(book.all().at("b").revision == 9);
    }
  }
  WHEN("a record is removed") {
    auto away = command("spec", 2);
    away.add_ops()->set_key("a");
    away.mutable_ops(0)->set_remove(true);
    CHECK(book.apply(8, away).changed.removed_size() == 1);
    THEN("its revision is 0 again and its bytes are gone") {
      CHECK(book.apply(9, put_if(3, "a", "x", 0)).answer.applied());
      CHECK(book.bytes() == 2);
    }
  }
}

SCENARIO("a repeated command is answered, not applied") {
  auto book = records{};
  const auto first = book.apply(5, put(1, "a", "old"));
  book.apply(6, put(2, "a", "new"));
  const auto again = book.apply(7, put(1, "a", "old"));
  CHECK(again.answer.index() == 5);
  CHECK(again.answer.applied());
  CHECK(again.changed.written_size() == 0);
  CHECK(book.all().at("a").value == "new");
  CHECK(book.index() == 7);

  THEN("also one whose condition did not hold the first time") {
    CHECK_FALSE(book.apply(8, put_if(3, "b", "x", 99)).answer.applied());
    book.apply(9, put(4, "b", "y"));
    CHECK_FALSE(book.apply(10, put_if(3, "b", "x", 9)).answer.applied());
  }
  THEN("also when commands overtook one another") {
    book.apply(8, put(9, "c", "9"));
    CHECK(book.apply(9, put(8, "c", "8")).answer.applied());
    CHECK(book.all().at("c").value == "8");
  }
  THEN("the snapshot remembers the answers") {
    auto copy = records{};
    REQUIRE(copy.restore(book.snapshot()));
    CHECK(copy.apply(8, put(1, "a", "old")).answer.index() == 5);
  }
}

SCENARIO("what is remembered of clients has a limit") {
  auto book = records{};
  auto index = std::uint64_t{0};
  WHEN("a client sends more commands than answers are kept") {
    for (auto i = std::uint64_t{1}; i <= ledger::answers_max + 1; ++i)
      book.apply(++index, put(i, "k", std::to_string(i)));
    THEN("the oldest is not applied again, and said to be forgotten") {
      CHECK(book.apply(++index, put(1, "k", "again")).forgotten);
      CHECK(book.all().at("k").value == std::to_string(ledger::answers_max + 1));
      CHECK_FALSE(book.apply(++index, put(2, "k", "again")).forgotten);
    }
  }
  WHEN("there are more clients than are kept") {
    for (auto i = std::size_t{0}; i <= ledger::sessions_max; ++i) {
      auto x = command("client-" + std::to_string(i), 1);
      x.add_ops()->set_key("k");
      book.apply(++index, x);
      // The first one is heard again halfway.
      if (i == ledger::sessions_max / 2) {
        auto again = command("client-0", 2);
        again.add_ops()->set_key("k");
        book.apply(++index, again);
      }
    }
    THEN("the one that was silent longest is forgotten") {
      CHECK(book.sessions() == ledger::sessions_max);
      auto x = command("client-0", 2);
      x.add_ops()->set_key("k");
      CHECK(book.apply(++index, x).answer.index() != index);
      auto y = command("client-1", 1);
      y.add_ops()->set_key("k");
      CHECK(book.apply(++index, y).answer.index() == index);
    }
  }
}

SCENARIO("a snapshot is the same everywhere and never believed when damaged") {
  auto book = records{};
  for (auto i = std::uint64_t{1}; i < 20; ++i)
    book.apply(i, put(i, "key/" + std::to_string(i % 7), std::string(i, 'v')));
  const auto bytes = book.snapshot();
  auto copy = records{};
  REQUIRE(copy.restore(bytes));
  CHECK(copy.snapshot() == bytes);
  CHECK(copy.bytes() == book.bytes());
  CHECK(copy.index() == 19);
  const auto before = copy.snapshot();
  THEN("every truncation is refused") {
    auto believed = 0;
    for (auto size = std::size_t{0}; size < bytes.size(); ++size)
      believed += copy.restore(bytes.substr(0, size));
    CHECK(believed == 0);
    CHECK(copy.snapshot() == before);
  }
  THEN("every flipped bit is refused") {
    auto believed = 0;
    for (auto i = std::size_t{0}; i < bytes.size() * 8; ++i) {
      auto damaged = bytes;
      damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
      believed += copy.restore(damaged);
    }
    CHECK(believed == 0);
    CHECK(copy.snapshot() == before);
  }
}

SCENARIO("only well-formed commands are taken") {
  CHECK(ledger::refusal(put(1, "a", "b")).empty());
  CHECK(ledger::parse_command(put(1, "a", "b").SerializeAsString()).has_value());
  auto bad = put(1, "a", "b");
  SUBCASE("another version") { bad.set_version(2); }
  SUBCASE("no client") { bad.clear_client(); }
  SUBCASE("no sequence") { bad.clear_sequence(); }
  SUBCASE("no key") { bad.mutable_ops(0)->clear_key(); }
  SUBCASE("a key with a line break") { bad.mutable_ops(0)->set_key("a\nb"); }
  SUBCASE("a key too long") { bad.mutable_ops(0)->set_key(std::string(ledger::key_bytes_max + 1, 'k')); }
  SUBCASE("writing and removing") { bad.mutable_ops(0)->set_remove(true); }
  SUBCASE("too large") { bad.mutable_ops(0)->set_value(std::string(ledger::command_bytes_max, 'v')); }
  SUBCASE("too many") {
    for (auto i = 0; i < ledger::ops_max; ++i)
      bad.add_ops()->set_key("k");
  }
  CHECK_FALSE(ledger::refusal(bad).empty());
  CHECK_FALSE(ledger::parse_command(bad.SerializeAsString()).has_value());
  CHECK_FALSE(ledger::parse_command("\xff\xff\xff").has_value());
  CHECK_FALSE(ledger::parse_command("").has_value());
}

SCENARIO("a prefix selects") {
  auto book = records{};
  auto index = std::uint64_t{0};
  for (const auto* key : {"a", "b/1", "b/2", "b0", "c"})
    book.apply(index + 1, put(index + 1, key, "x")), ++index;
  CHECK(book.below("b/").entries_size() == 2);
  CHECK(book.below("").entries_size() == 5);
  CHECK(book.below("zzz").entries_size() == 0);
}

SCENARIO("two states differ by one change") {
  auto before = records{};
  before.apply(1, put(1, "gone", "x"));
  before.apply(2, put(2, "same", "x"));
  before.apply(3, put(3, "other", "x"));
  auto after = wire::LedgerEntries{};
  REQUIRE(after.ParseFromString(before.below("").SerializeAsString()));
  after.set_index(9);
  after.mutable_entries()->DeleteSubrange(0, 1);
  after.mutable_entries(0)->set_value("y");
  after.mutable_entries(0)->set_revision(8);
  const auto change = ledger::difference(before.all(), after);
  CHECK(change.index() == 9);
  REQUIRE(change.written_size() == 1);
  CHECK(change.written(0).key() == "other");
  REQUIRE(change.removed_size() == 1);
  CHECK(change.removed(0) == "gone");
}

SCENARIO("a backup is written over an empty ledger, or over another history by force") {
  auto backup = records{};
  for (auto i = std::uint64_t{1}; i < 10; ++i)
    backup.apply(i, put(i, "key/" + std::to_string(i), std::string(200'000, 'v')));
  auto target = records{};
  auto play = [&](bool force) {
    const auto plan = ledger::plan_restoration(target, backup, "restore:1", force);
    for (const auto& command : plan.commands) {
      CHECK(ledger::refusal(command).empty());
      target.apply(target.index() + 1, command);
    }
    return plan;
  };
  WHEN("the ledger is empty") {
    CHECK(play(false).commands.size() > 1);
    THEN("it then holds what the backup holds, and doing it again does nothing") {
      CHECK(target.all().size() == backup.all().size());
      CHECK(play(false).commands.empty());
    }
  }
  WHEN("what was restored changes, it can be restored again") {
    play(false);
    target.apply(target.index() + 1, put(50, "key/1", "other"));
    CHECK_FALSE(play(true).commands.empty());
    CHECK(target.all().at("key/1").value == backup.all().at("key/1").value);
  }
  WHEN("it ends half-way, the next one does the rest") {
    const auto half = ledger::plan_restoration(target, backup, "restore:1", false);
    REQUIRE(half.commands.size() > 1);
    target.apply(target.index() + 1, half.commands.front());
    CHECK(play(false).refused.empty());
    CHECK(target.all().size() == backup.all().size());
  }
  WHEN("it holds something else") {
    target.apply(1, put(1, "mine", "x"));
    CHECK(play(false).refused.find("mine") != std::string::npos);
    CHECK(target.all().size() == 1);
    CHECK(play(true).refused.empty());
    THEN("force begins a new history") {
      CHECK_FALSE(target.all().contains("mine"));
      CHECK(target.all().size() == 9);
    }
  }
}
