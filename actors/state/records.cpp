#include "actors/state/records.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace novacron::ledger {
namespace {

constexpr std::string_view snapshot_magic = "NVLEDGER";
constexpr std::uint64_t snapshot_version = 1;

bool is_key(const std::string& key) {
  return !key.empty() && key.size() <= key_bytes_max &&
         std::none_of(key.begin(), key.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

using digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

digest digest_of(std::string_view bytes) {
  auto sum = digest{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), sum.data());
  return sum;
}

void put_number(std::string& out, std::uint64_t x) {
  for (auto i = 0; i < 8; ++i)
    out.push_back(static_cast<char>(x >> (8 * i)));
}

void put_message(std::string& out, const google::protobuf::MessageLite& x) {
  put_number(out, x.ByteSizeLong());
  x.AppendToString(&out);
}

/// Reads what the put_ functions wrote; `good` stays false after the first thing that is not there.
struct reader {
  std::string_view left;
  bool good = true;

  std::uint64_t number() {
    if (left.size() < 8) {
      good = false;
      return 0;
    }
    auto x = std::uint64_t{0};
    for (auto i = 0u; i < 8; ++i)
      x |= static_cast<std::uint64_t>(static_cast<unsigned char>(left[i])) << (8 * i);
    left.remove_prefix(8);
    return x;
  }

  void message(google::protobuf::MessageLite& x) {
    const auto size = number();
    good = good && size <= left.size() && x.ParseFromArray(left.data(), static_cast<int>(size));
    if (good)
      left.remove_prefix(size);
  }
};

} // namespace

std::string refusal(const wire::LedgerCommand& command) {
  if (command.version() != command_version)
    return "command version " + std::to_string(command.version()) + " is not known here";
  if (command.client().empty() || command.client().size() > client_bytes_max || command.sequence() == 0)
    return "a command needs a client and a sequence from 1";
  if (command.ops_size() > ops_max)
    return "more than " + std::to_string(ops_max) + " operations in one command";
  if (command.ByteSizeLong() > command_bytes_max)
    return "a command larger than 1 MiB";
  for (const auto& op : command.ops()) {
    if (!is_key(op.key()))
      return "a key must have 1 to 512 bytes and no control characters";
    if (op.remove() && !op.value().empty())
      return "an operation both removes and writes " + op.key();
  }
  return {};
}

std::string wrong_term(const wire::LedgerCommand& command, std::uint64_t now) {
  if (command.term() == 0 || command.term() == now)
    return {};
  return "this was decided in term " + std::to_string(command.term()) + "; now it is " + std::to_string(now);
}

std::optional<wire::LedgerCommand> parse_command(std::string_view bytes) {
  auto command = wire::LedgerCommand{};
  if (bytes.size() > command_bytes_max || !command.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      !refusal(command).empty())
    return {};
  return command;
}

records::outcome records::apply(std::uint64_t index, wire::LedgerCommand command) {
  index_ = index;
  auto done = outcome{};
  const auto [known, is_new] = sessions_.try_emplace(std::move(*command.mutable_client()));
  const auto& answers = known->second.answers;
  if (const auto same = answers.find(command.sequence()); same != answers.end()) {
    done.answer = same->second;
    return done;
  }
  if (answers.size() >= answers_max && command.sequence() < answers.begin()->first) {
    done.forgotten = true;
    return done;
  }
  done.answer.set_index(index);
  if (const auto* unmet = first_unmet(command)) {
    done.answer.set_key(unmet->key());
    done.answer.set_revision(revision_of(unmet->key()));
  } else {
    done.answer.set_applied(true);
    done.changed.set_index(index);
    for (auto& op : *command.mutable_ops())
      write(op, done.changed);
  }
  remember(known, command.sequence(), done.answer);
  return done;
}

const wire::LedgerOp* records::first_unmet(const wire::LedgerCommand& command) const {
  for (const auto& op : command.ops())
    if (op.conditional() && revision_of(op.key()) != op.revision())
      return &op;
  return nullptr;
}

std::uint64_t records::revision_of(const std::string& key) const {
  const auto found = all_.find(key);
  return found == all_.end() ? 0 : found->second.revision;
}

void records::write(wire::LedgerOp& op, wire::LedgerChanged& changed) {
  auto found = all_.lower_bound(op.key());
  const auto there = found != all_.end() && found->first == op.key();
  if (there)
    bytes_ -= found->second.value.size();
  if (op.remove()) {
    if (!there)
      return;
    bytes_ -= op.key().size();
    all_.erase(found);
    changed.add_removed(std::move(*op.mutable_key()));
    return;
  }
  bytes_ += op.value().size() + (there ? 0 : op.key().size());
  if (!there)
    found = all_.try_emplace(found, op.key());
  found->second.value = op.value();
  found->second.revision = index_;
  auto& entry = *changed.add_written();
  entry.set_key(std::move(*op.mutable_key()));
  entry.set_value(std::move(*op.mutable_value()));
  entry.set_revision(index_);
}

/// Every command comes through here: the nodes of both maps are used again rather than made anew.
void records::remember(session_map::iterator whose, std::uint64_t sequence, const wire::LedgerApplied& answer) {
  auto& [client, known] = *whose;
  if (auto mark = oldest_.extract(known.index)) {
    mark.key() = index_;
    oldest_.insert(oldest_.end(), std::move(mark));
  } else {
    oldest_.emplace_hint(oldest_.end(), index_, client);
  }
  known.index = index_;
  if (known.answers.size() >= answers_max) {
    auto oldest = known.answers.extract(known.answers.begin());
    oldest.key() = sequence;
    oldest.mapped() = answer;
    known.answers.insert(known.answers.end(), std::move(oldest));
  } else {
    known.answers.emplace_hint(known.answers.end(), sequence, answer);
  }
  if (sessions_.size() > sessions_max) {
    sessions_.erase(oldest_.begin()->second);
    oldest_.erase(oldest_.begin());
  }
}

wire::LedgerEntries records::below(std::string_view prefix) const {
  auto found = wire::LedgerEntries{};
  found.set_index(index_);
  for (auto i = all_.lower_bound(prefix); i != all_.end() && i->first.starts_with(prefix); ++i) {
    auto& entry = *found.add_entries();
    entry.set_key(i->first);
    entry.set_value(i->second.value);
    entry.set_revision(i->second.revision);
  }
  return found;
}

std::string records::snapshot() const {
  auto out = std::string{snapshot_magic};
  out.reserve(bytes_ + all_.size() * 32 + 1024);
  for (const auto x : {snapshot_version, index_, std::uint64_t{all_.size()}, std::uint64_t{sessions_.size()}})
    put_number(out, x);
  auto entry = wire::LedgerEntry{};
  for (const auto& [key, kept] : all_) {
    entry.set_key(key);
    entry.set_value(kept.value);
    entry.set_revision(kept.revision);
    put_message(out, entry);
  }
  for (const auto& [client, kept] : sessions_) {
    auto session = wire::LedgerSession{};
    session.set_client(client);
    session.set_index(kept.index);
    for (const auto& [sequence, answer] : kept.answers) {
      session.add_sequences(sequence);
      *session.add_answers() = answer;
    }
    put_message(out, session);
  }
  const auto sum = digest_of(out);
  out.append(reinterpret_cast<const char*>(sum.data()), sum.size());
  return out;
}

bool records::restore(std::string_view bytes) {
  if (bytes.size() < snapshot_magic.size() + SHA256_DIGEST_LENGTH || !bytes.starts_with(snapshot_magic))
    return false;
  const auto content = bytes.substr(0, bytes.size() - SHA256_DIGEST_LENGTH);
  const auto sum = digest_of(content);
  if (std::memcmp(sum.data(), bytes.data() + content.size(), sum.size()) != 0)
    return false;
  auto from = reader{content.substr(snapshot_magic.size())};
  if (from.number() != snapshot_version)
    return false;
  auto fresh = records{};
  fresh.index_ = from.number();
  const auto entries = from.number();
  const auto clients = from.number();
  for (auto i = std::uint64_t{0}; i < entries && from.good; ++i) {
    auto entry = wire::LedgerEntry{};
    from.message(entry);
    fresh.bytes_ += entry.key().size() + entry.value().size();
    from.good = from.good && fresh.all_.emplace(entry.key(), record{entry.value(), entry.revision()}).second;
  }
  for (auto i = std::uint64_t{0}; i < clients && from.good; ++i) {
    auto kept = wire::LedgerSession{};
    from.message(kept);
    from.good = from.good && kept.sequences_size() == kept.answers_size() && !fresh.sessions_.contains(kept.client()) &&
                fresh.oldest_.emplace(kept.index(), kept.client()).second;
    if (!from.good)
      break;
    auto& known = fresh.sessions_[kept.client()];
    known.index = kept.index();
    for (auto j = 0; j < kept.answers_size(); ++j)
      known.answers.emplace(kept.sequences(j), kept.answers(j));
  }
  if (!from.good || !from.left.empty())
    return false;
  *this = std::move(fresh);
  return true;
}

wire::LedgerChanged difference(const std::map<std::string, records::record, std::less<>>& before,
                               const wire::LedgerEntries& after) {
  auto changed = wire::LedgerChanged{};
  changed.set_index(after.index());
  auto there = std::map<std::string_view, std::uint64_t>{};
  for (const auto& entry : after.entries()) {
    there.emplace(entry.key(), entry.revision());
    const auto known = before.find(entry.key());
    if (known == before.end() || known->second.revision != entry.revision() || known->second.value != entry.value())
      *changed.add_written() = entry;
  }
  for (const auto& [key, kept] : before)
    if (!there.contains(key))
      changed.add_removed(key);
  return changed;
}

restoration plan_restoration(const records& now, const records& backup, const std::string& client, bool force) {
  // Half of what a command may have, so that its envelope and one more large value always fit.
  constexpr auto batch_bytes = command_bytes_max / 2;
  // What is left to do from another state are other commands: those of a restoration before would be taken for repeated.
  const auto identity = client + '@' + std::to_string(now.index());
  auto plan = restoration{};
  auto size = std::size_t{0};
  auto next = [&](std::size_t bytes) -> wire::LedgerOp& {
    if (plan.commands.empty() || plan.commands.back().ops_size() >= ops_max / 2 || size + bytes > batch_bytes) {
      auto& command = plan.commands.emplace_back();
      command.set_version(command_version);
      command.set_client(identity);
      command.set_sequence(plan.commands.size());
      size = 0;
    }
    size += bytes + 64;
    return *plan.commands.back().add_ops();
  };
  for (const auto& [key, kept] : now.all()) {
    const auto wanted = backup.all().find(key);
    if (wanted != backup.all().end() && wanted->second.value == kept.value)
      continue;
    if (!force) {
      plan.refused = "the ledger holds " + key + ", which the backup does not hold like this";
      plan.commands.clear();
      return plan;
    }
    if (wanted == backup.all().end()) {
      auto& op = next(key.size());
      op.set_key(key);
      op.set_remove(true);
    }
  }
  for (const auto& [key, kept] : backup.all()) {
    const auto there = now.all().find(key);
    if (there != now.all().end() && there->second.value == kept.value)
      continue;
    auto& op = next(key.size() + kept.value.size());
    op.set_key(key);
    op.set_value(kept.value);
  }
  return plan;
}

} // namespace novacron::ledger
