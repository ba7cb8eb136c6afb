#include "actors/state/raft_engine.hpp"

#include "actors/host/files.hpp"
#include "actors/state/election.hpp"
#include "actors/state/raft_library.hpp"
#include "actors/state/voter_transport.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

namespace novacron::ledger {
namespace {

#ifdef RAFT_VERSION_NUMBER
/// Debian 13's library takes one entry at a time: of more it would keep the first and forget the others in silence.
constexpr auto batch_max = std::size_t{1};
#else
constexpr auto batch_max = std::numeric_limits<std::size_t>::max();
#endif

/// Entries kept in memory behind a snapshot, for voters that are a little late.
constexpr auto trailing_max = std::uint32_t{4096};

/// The log wants lengths that are multiples of 8, so the real one stands in front.
std::size_t padded(std::size_t size) {
  return (sizeof(std::uint64_t) + size + 7) & ~std::size_t{7};
}

bool fill(raft_buffer& buffer, std::string_view entry) {
  buffer.len = padded(entry.size());
  buffer.base = raft_malloc(buffer.len);
  if (!buffer.base)
    return false;
  const auto size = std::uint64_t{entry.size()};
  auto* bytes = static_cast<char*>(buffer.base);
  std::memset(bytes + buffer.len - 8, 0, 8);
  std::memcpy(bytes, &size, sizeof size);
  std::memcpy(bytes + sizeof size, entry.data(), entry.size());
  return true;
}

std::string_view content(const raft_buffer& buffer) {
  auto size = std::uint64_t{0};
  if (buffer.len < sizeof size)
    return {};
  std::memcpy(&size, buffer.base, sizeof size);
  if (size > buffer.len - sizeof size)
    return {};
  return {static_cast<const char*>(buffer.base) + sizeof size, size};
}

/// What a small durable write takes here. The least of three, as one may have waited for somebody else's; one is enough
/// where elections are in no danger.
duration time_of_write(const std::filesystem::path& directory, std::uint32_t election_ms) {
  auto least = duration::max();
  for (auto i = 0; i < 3 && election_ms_for(election_ms, least) > election_ms; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    try {
      host::replace_file(directory / "write-time", "x", true);
    } catch (const std::system_error&) {
      // A disk that takes nothing is told by the library, which needs it.
      return {};
    }
    least = std::min<duration>(least, std::chrono::steady_clock::now() - begin);
  }
  auto error = std::error_code{};
  std::filesystem::remove(directory / "write-time", error);
  return least;
}

engine::verdict verdict_of(int status) {
  switch (status) {
    case 0: return {true, {}, {}};
    case RAFT_NOTLEADER: return {false, fault::not_leader, "this node does not lead the ledger"};
    case RAFT_LEADERSHIPLOST: return {false, fault::unavailable, "leadership was lost on the way"};
    case RAFT_NOSPACE:
    case RAFT_IOERR: return {false, fault::storage, std::string{"the ledger's disk: "} + raft_strerror(status)};
    case RAFT_BADID:
    case RAFT_NOTFOUND: return {false, fault::not_found, "no such voter"};
    case RAFT_DUPLICATEID:
    case RAFT_DUPLICATEADDRESS: return {false, fault::conflict, "a voter with this name or address is there already"};
    case RAFT_CANTCHANGE: return {false, fault::overloaded, "another change of the voters is under way"};
    case RAFT_NOCONNECTION: return {false, fault::unreachable, "the new voter did not catch up"};
    default: return {false, fault::unavailable, raft_strerror(status)};
  }
}

template <class Request>
struct asked {
  Request request;
  engine::decided told;

  static void answered(Request* r, int status) {
    const auto self = std::unique_ptr<asked>{static_cast<asked*>(r->data)};
    self->told(verdict_of(status));
  }
};

template <class Request>
asked<Request>* make_asked(engine::decided told) {
  auto* x = new asked<Request>{{}, std::move(told)};
  x->request.data = x;
  return x;
}

} // namespace

struct engine::state {
  uv_loop_t* loop = nullptr;
  server_options options;
  hooks calls;
  std::string address;
  voter_transport peers;
  raft_uv_transport transport{};
  raft_io io{};
  raft_fsm fsm{};
  struct raft raft {};
  bool io_there = false;
  bool raft_there = false;
  bool failed = false;
  raft_uv_accept_cb on_accepted = nullptr;
  raft_uv_transport_close_cb on_transport_closed = nullptr;
  bool transport_closed = false;
  std::function<void()> on_closed;
  struct raft_transfer transfer {};
  bool handing_over = false;

  static state& of(raft_uv_transport* t) { return *static_cast<state*>(t->impl); }
  static state& of(raft_fsm* f) { return *static_cast<state*>(f->data); }

  static voter_transport::config peers_config(const server_options& o) {
    return {.node = o.node, .address = o.address, .trust = o.trust, .allocate = raft_malloc};
  }

  state(uv_loop_t* l, const server_options& o, hooks c)
      : loop{l}, options{o}, calls{std::move(c)},
        // A ledger that cannot grow still needs an address in its log.
        address{o.node + "@" + (o.address.empty() ? "none:0" : o.address)}, peers{l, peers_config(o)} {
    fill_transport();
    fsm.version = 1;
    fsm.data = this;
    fsm.apply = [](raft_fsm* f, const raft_buffer* buffer, void** result) {
      auto& s = of(f);
      *result = nullptr;
      // The index is not handed over, but it is always the one after the last that was applied.
      s.calls.apply(raft_last_applied(&s.raft) + 1, content(*buffer));
      return 0;
    };
    fsm.snapshot = [](raft_fsm* f, raft_buffer* buffers[], unsigned* count) -> int {
      auto& s = of(f);
      // One may have been asked for, with a threshold of its own.
      raft_set_snapshot_threshold(&s.raft, s.options.snapshot_entries);
      const auto bytes = s.calls.snapshot();
      *buffers = static_cast<raft_buffer*>(raft_malloc(sizeof(raft_buffer)));
      if (!*buffers)
        return RAFT_NOMEM;
      *count = 1;
      if (fill(**buffers, bytes))
        return 0;
      raft_free(*buffers);
      return RAFT_NOMEM;
    };
    fsm.restore = [](raft_fsm* f, raft_buffer* buffer) -> int {
      if (!of(f).calls.restore(content(*buffer)))
        return RAFT_MALFORMED;
      raft_free(buffer->base);
      return 0;
    };
  }

  void fill_transport() {
    transport.impl = this;
#ifdef RAFT_VERSION_NUMBER
    transport.version = 1;
#endif
    transport.init = [](raft_uv_transport*, raft_id, const char*) { return 0; };
    transport.listen = [](raft_uv_transport* t, raft_uv_accept_cb told) -> int {
      auto& s = of(t);
      s.on_accepted = told;
      if (s.options.address.empty())
        return 0;
      const auto problem = s.peers.listen([t, &s](std::uint64_t id, const std::string& from, uv_stream_t* stream) {
        s.on_accepted(t, id, from.c_str(), stream);
      });
      std::snprintf(t->errmsg, sizeof t->errmsg, "%s", problem.c_str());
      return problem.empty() ? 0 : RAFT_IOERR;
    };
    transport.connect = [](raft_uv_transport* t, raft_uv_connect* request, raft_id id, const char* to,
                           raft_uv_connect_cb told) {
      request->cb = told;
      of(t).peers.connect(id, to, [request](uv_stream_t* stream, voter_transport::outcome how) {
        request->cb(request, stream,
                    how == voter_transport::outcome::connected   ? 0
                    : how == voter_transport::outcome::cancelled ? RAFT_CANCELED
                                                                 : RAFT_NOCONNECTION);
      });
      return 0;
    };
    transport.close = [](raft_uv_transport* t, raft_uv_transport_close_cb told) {
      of(t).peers.close([t, told] {
        of(t).transport_closed = true;
        told(t);
      });
    };
  }

  /// The library overruns its buffer when it loads an open segment that is shorter than it was made. What is missing
  /// can only be zeros: it was never written to, or lost with a torn write.
  void mend_open_segments() const {
    auto problem = std::error_code{};
    for (const auto& file : std::filesystem::directory_iterator{options.directory, problem})
      if (file.path().filename().string().starts_with("open-") && file.file_size(problem) < options.segment_bytes)
        std::filesystem::resize_file(file.path(), options.segment_bytes, problem);
  }

  std::string start() {
    mend_open_segments();
    // Before the library begins to write itself.
    const auto election_ms =
        election_ms_for(options.election_ms, time_of_write(options.directory, options.election_ms));
    const auto id = voter_id(options.node);
    if (const auto rc = raft_uv_init(&io, loop, options.directory.c_str(), &transport))
      return std::string{"the ledger's directory "} + options.directory.string() + ": " + raft_strerror(rc);
    io_there = true;
    // A log that lost acknowledged entries must not come up as if it had not: the operator decides.
    raft_uv_set_auto_recovery(&io, false);
    raft_uv_set_segment_size(&io, options.segment_bytes);
    raft_uv_set_connect_retry_delay(&io, 100);
    if (const auto rc = raft_init(&raft, &io, &fsm, id, address.c_str()))
      return std::string{"the ledger cannot be opened: "} + raft_strerror(rc) + ": " + raft_errmsg(&raft);
    raft_there = true;
    if (options.bootstrap)
      if (const auto problem = bootstrap(id); !problem.empty())
        return problem;
    raft_set_pre_vote(&raft, true);
    raft_set_election_timeout(&raft, election_ms);
    raft_set_heartbeat_timeout(&raft, options.heartbeat_ms);
#ifdef RAFT_VERSION_NUMBER
    // In KiB, of what is set aside for entries: by default more than two small segments.
    raft_set_capacity_threshold(
        &raft, static_cast<unsigned short>(std::min<std::uint64_t>(options.segment_bytes / 4096, 4096)));
#endif
    raft_set_snapshot_threshold(&raft, options.snapshot_entries);
    raft_set_snapshot_trailing(&raft, std::min(options.snapshot_entries / 2, trailing_max));
    if (const auto rc = raft_start(&raft))
      return std::string{"the ledger cannot be loaded: "} + raft_strerror(rc) + ": " + raft_errmsg(&raft);
    return {};
  }

  std::string bootstrap(std::uint64_t id) {
    auto first = raft_configuration{};
    raft_configuration_init(&first);
    raft_configuration_add(&first, id, address.c_str(), RAFT_VOTER);
    const auto rc = raft_bootstrap(&raft, &first);
    raft_configuration_close(&first);
    // The ledger is there already: so it is at every start but the first.
    if (rc == 0 || rc == RAFT_CANTBOOTSTRAP)
      return {};
    return std::string{"the ledger cannot be begun: "} + raft_strerror(rc) + ": " + raft_errmsg(&raft);
  }

  unsigned voters() const {
    auto count = 0u;
    for (auto i = 0u; i < raft.configuration.n; ++i)
      count += raft.configuration.servers[i].role == RAFT_VOTER;
    return count;
  }

  const raft_server* find(std::uint64_t id) const {
    for (auto i = 0u; i < raft.configuration.n; ++i)
      if (raft.configuration.servers[i].id == id)
        return &raft.configuration.servers[i];
    return nullptr;
  }

  /// Hands over as many of the entries from `begin` on as the library takes at a time. Returns how many, 0 with a
  /// reason.
  std::size_t propose(const std::vector<std::string_view>& entries, std::size_t begin, verdict& why) {
    auto buffers = std::vector<raft_buffer>(std::min(entries.size() - begin, batch_max));
    auto filled = std::size_t{0};
    while (filled < buffers.size() && fill(buffers[filled], entries[begin + filled]))
      ++filled;
    struct proposal {
      struct raft_apply request;
      state* here;
    };
    auto* p = new proposal{{}, this};
    p->request.data = p;
    auto answered = [](struct raft_apply* r, int status, void*) {
      const auto self = std::unique_ptr<proposal>{static_cast<proposal*>(r->data)};
      if (status == 0)
        return;
      if (status == RAFT_IOERR || status == RAFT_NOSPACE)
        self->here->failed = true;
      self->here->calls.doubted();
    };
    const auto rc = filled < buffers.size() ? static_cast<int>(RAFT_NOMEM)
                                            : raft_apply(&raft, &p->request, buffers.data(),
                                                         static_cast<unsigned>(buffers.size()), answered);
    if (rc == 0)
      return buffers.size();
    for (auto i = std::size_t{0}; i < filled; ++i)
      raft_free(buffers[i].base);
    delete p;
    // Debian 13's library counts the room that it set aside only when it is opened.
    if (rc == RAFT_IOERR || rc == RAFT_NOSPACE)
      failed = true;
    why = verdict_of(rc);
    return 0;
  }

  /// Gives the new server a vote once it has caught up.
  void promote(std::uint64_t id, decided told) {
    auto* step = make_asked<struct raft_change>(std::move(told));
    if (const auto rc = raft_assign(&raft, &step->request, id, RAFT_VOTER, &asked<struct raft_change>::answered))
      asked<struct raft_change>::answered(&step->request, rc);
  }
};

engine::engine(uv_loop_s* loop, const server_options& options, hooks calls)
    : state_{std::make_unique<state>(loop, options, std::move(calls))} {}

engine::~engine() = default;

std::string engine::start() {
  auto problem = state_->start();
  state_->failed = !problem.empty();
  return problem;
}

void engine::close(std::function<void()> done) {
  auto& s = *state_;
  s.on_closed = std::move(done);
  if (!s.raft_there) {
    s.peers.close([&s] { std::exchange(s.on_closed, nullptr)(); });
    return;
  }
  s.raft.data = &s;
  raft_close(&s.raft, [](struct raft* r) {
    auto& there = *static_cast<state*>(r->data);
    raft_uv_close(&there.io);
    std::exchange(there.on_closed, nullptr)();
  });
}

bool engine::leads() const {
  return raft_state(&state_->raft) == RAFT_LEADER;
}

bool engine::alone() const {
  return leads() && state_->voters() == 1;
}

bool engine::broken() const {
  return state_->failed || raft_state(&state_->raft) == RAFT_UNAVAILABLE;
}

std::string engine::leader() const {
  auto id = raft_id{0};
  const char* address = nullptr;
  raft_leader(&state_->raft, &id, &address);
  return id != 0 && address ? parse_voter_address(address).node : std::string{};
}

std::uint64_t engine::term() const {
  return state_->raft.current_term;
}
std::uint64_t engine::applied() const {
  return raft_last_applied(&state_->raft);
}
std::uint64_t engine::committed() const {
  return state_->raft.commit_index;
}
std::uint64_t engine::refused_peers() const {
  return state_->peers.refused();
}

std::vector<v1::LedgerMember> engine::members() const {
  auto all = std::vector<v1::LedgerMember>{};
  const auto& from = state_->raft.configuration;
  for (auto i = 0u; i < from.n; ++i) {
    auto& member = all.emplace_back();
    const auto text = std::string_view{from.servers[i].address};
    member.set_id(from.servers[i].id);
    member.set_node(parse_voter_address(text).node);
    member.set_address(std::string{text.substr(text.find('@') + 1)});
    member.set_role(from.servers[i].role == RAFT_VOTER     ? "voter"
                    : from.servers[i].role == RAFT_STANDBY ? "standby"
                                                           : "spare");
  }
  return all;
}

std::uint64_t engine::propose(const std::vector<std::string_view>& entries, std::size_t& accepted, verdict& why) {
  auto& s = *state_;
  const auto first = raft_last_index(&s.raft) + 1;
  accepted = 0;
  why = {true, {}, {}};
  while (accepted < entries.size()) {
    const auto count = s.propose(entries, accepted, why);
    if (count == 0)
      break;
    accepted += count;
  }
  return first;
}

void engine::barrier(decided told) {
  auto* step = make_asked<struct raft_barrier>(std::move(told));
  if (const auto rc = raft_barrier(&state_->raft, &step->request, &asked<struct raft_barrier>::answered))
    asked<struct raft_barrier>::answered(&step->request, rc);
}

void engine::add(const std::string& node, const std::string& address, decided told) {
  auto& s = *state_;
  const auto id = voter_id(node);
  const auto full = node + "@" + address;
  const auto* there = s.find(id);
  if (there && there->address != full)
    return told({false, fault::conflict, node + " is a member at " + there->address + "; remove it first"});
  if (there && there->role == RAFT_VOTER)
    return told({true, {}, {}});
  if (there)
    return s.promote(id, std::move(told));
  auto* step = make_asked<struct raft_change>([&s, id, told](const verdict& added) {
    if (!added.ok)
      return told(added);
    s.promote(id, told);
  });
  if (const auto rc = raft_add(&s.raft, &step->request, id, full.c_str(), &asked<struct raft_change>::answered))
    asked<struct raft_change>::answered(&step->request, rc);
}

void engine::remove(const std::string& node, decided told) {
  auto& s = *state_;
  if (!s.find(voter_id(node)))
    return told({false, fault::not_found, node + " is not a member of the ledger"});
  if (s.raft.configuration.n == 1)
    return told({false, fault::conflict, "the last voter cannot be removed"});
  auto* step = make_asked<struct raft_change>(std::move(told));
  if (const auto rc = raft_remove(&s.raft, &step->request, voter_id(node), &asked<struct raft_change>::answered))
    asked<struct raft_change>::answered(&step->request, rc);
}

void engine::snapshot(decided told) {
  snapshot_soon();
  barrier(std::move(told));
}

void engine::snapshot_soon() {
  // The library takes one after an entry that finds the threshold reached.
  raft_set_snapshot_threshold(&state_->raft, 1);
}

void engine::hand_over() {
  auto& s = *state_;
  if (s.handing_over || !leads() || s.voters() < 2)
    return;
  s.transfer.data = &s;
  const auto rc = raft_transfer(&s.raft, &s.transfer, 0,
                                [](struct raft_transfer* t) { static_cast<state*>(t->data)->handing_over = false; });
  s.handing_over = rc == 0;
}

} // namespace novacron::ledger
