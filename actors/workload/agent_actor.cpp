#include "actors/workload/agent_actor.hpp"

#include "actors/host/crew.hpp"
#include "actors/host/files.hpp"
#include "actors/workload/agent_numbers.hpp"
#include "actors/workload/assignment.hpp"
#include "actors/workload/assignment_parts.hpp"
#include "actors/workload/contact.hpp"
#include "actors/workload/instance_actor.hpp"
#include "actors/workload/lease.hpp"
#include "actors/workload/settling.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

using namespace std::chrono_literals;

/// The agent's door, and what it tells itself.
using agent_self = agent_actor::extend<caf::reacts_to<turn>, caf::reacts_to<instance_news>>;

struct copy {
  edition what;
  wire::Instance instance;
  instance_actor actor;
  /// Where others speak to it.
  instance_actor address;
  caf::actor_clock::time_point since;
  wire::InstanceStatus status;
  bool leaving = false;
};

struct agent_state {
  static inline const char* name = "agent";

  agent_settings settings;
  std::shared_ptr<workload::driver> driver;
  image_access images;
  caf::actor report_to;
  wire::Assign assigned;
  assignment_parts parts;
  std::map<std::string, copy> copies;
  std::optional<contact> controllers;
  /// The assignment on its way to the disk, and who waits for it: what each asked for is the number that was written.
  settling kept;
  struct unanswered {
    std::uint64_t number;
    caf::typed_response_promise<wire::Done> promise;
  };
  std::vector<unanswered> unsettled;
  /// Something assigned may not be started yet.
  bool waiting = false;
  /// The leases are being looked at.
  bool minding = false;
  std::uint64_t reports = 0;
  /// When the last report was sent.
  duration reported{};
  /// Something changed that no report has said yet.
  bool unsaid = false;
  /// Instances of which the last report that was answered does not say how they are now, and its number; 0 when none
  /// was since something went wrong: then the next one says all.
  std::set<std::string> changed;
  std::uint64_t answered = 0;
  /// Who assigned last understands reports of what changed, and has answered the last one.
  bool takes_changes = false;
  /// All there is was due while a report was on its way.
  bool whole_due = false;
  bool reporting = false;
  /// Reports that were not answered since the last one that was.
  unsigned failures = 0;
  agent_numbers seen;
};

using self_pointer = agent_self::stateful_pointer<agent_state>;

/// Images that are fetched at a time. Chosen: each waits on the network, and takes a thread.
constexpr auto fetches_max = 4u;

std::filesystem::path assign_file(const agent_state& s) { return s.settings.data / "agent" / "assign.pb"; }

void later(self_pointer self, duration delay, std::function<void()> work) {
  self->delayed_send(self, delay, turn{std::move(work)});
}

/// The shortest silence after which another node takes something over that this one was assigned; 0 for none.
duration shortest_patience(const agent_state& s) {
  auto shortest = duration::zero();
  for (const auto& each : s.assigned.instances())
    if (const duration patience = patience_of(each.spec());
        patience > duration::zero() && each.outcome() == wire::PHASE_UNSPECIFIED)
      shortest = shortest == duration::zero() ? patience : std::min(shortest, patience);
  return shortest;
}

/// Whether it must be said again what shall run here, because something may have been taken over in the meantime.
bool in_doubt(const agent_state& s) {
  const auto patience = shortest_patience(s);
  return patience > duration::zero() && !s.controllers->assured(patience, s.controllers->confirmed());
}

/// What every report begins with.
template <class Report>
Report begin_report(agent_state& s) {
  auto x = Report{};
  x.set_node(s.settings.node);
  // One that follows no assignment is sent its own.
  x.set_revision(in_doubt(s) ? 0 : s.assigned.revision());
  x.set_incarnation(s.settings.incarnation);
  x.set_number(++s.reports);
  auto by_phase = std::map<wire::Phase, std::size_t>{};
  for (const auto& [name, each] : s.copies) {
    ++by_phase[each.status.phase()];
    auto& used = *x.mutable_used();
    used.set_cpu_milli(used.cpu_milli() + each.status.used().cpu_milli());
    used.set_memory_bytes(used.memory_bytes() + each.status.used().memory_bytes());
  }
  s.seen.stands(by_phase);
  return x;
}

wire::NodeReport report(self_pointer self) {
  auto& s = self->state;
  auto all = begin_report<wire::NodeReport>(s);
  all.set_takes_changes(true);
  *all.mutable_capacity() = s.settings.capacity;
  for (const auto& [name, each] : s.copies)
    *all.add_instances() = each.status;
  for (auto& image : s.settings.images())
    all.add_images(std::move(image));
  return all;
}

wire::ReportChange report_change(self_pointer self) {
  auto& s = self->state;
  auto x = begin_report<wire::ReportChange>(s);
  x.set_base(s.answered);
  for (const auto& name : s.changed)
    if (const auto found = s.copies.find(name); found != s.copies.end())
      *x.add_instances() = found->second.status;
    else
      x.add_gone(name);
  return x;
}

void converge(self_pointer self);
void mind_leases(self_pointer self);
void begin_minding(self_pointer self);

/// A controller has answered what was sent at `sent`, so until then this node was not away for anybody.
void confirmed(self_pointer self, duration sent) {
  auto& s = self->state;
  const auto doubted = in_doubt(s);
  s.controllers->confirm(sent);
  if (shortest_patience(s) > duration::zero())
    s.settings.lease->confirm(s.controllers->confirmed());
  s.unsaid = s.unsaid || (in_doubt(s) && !doubted);
  if (s.waiting)
    converge(self);
  mind_leases(self);
}

/// After a report that nobody answered: short while a leader may be about to be found, then twice as long each time, up
/// to the interval of reports. A lone node is to be as quiet as any other.
duration pause_after(const agent_state& s) {
  constexpr auto shortest = duration{250ms};
  constexpr auto short_ones = 8u;
  constexpr auto doublings_max = 16u;
  const auto doublings = s.failures < short_ones ? 0u : std::min(s.failures - short_ones, doublings_max);
  return std::min(shortest * (1u << doublings), std::max(shortest, s.settings.report_interval));
}

void send_report(self_pointer self, bool whole = false);

void report_answered(self_pointer self, std::uint64_t number, duration sent) {
  auto& s = self->state;
  s.failures = 0;
  s.answered = number;
  // Whoever assigned last is there again.
  s.takes_changes = s.assigned.takes_changes();
  confirmed(self, sent);
  s.reporting = false;
  if (s.unsaid)
    send_report(self);
}

void report_failed(self_pointer self, const caf::error& problem) {
  auto& s = self->state;
  const auto another = s.answered != 0 && explain(problem).kind == fault::conflict;
  // Another controller may be the next to hear, and an older one; it assigns first.
  s.takes_changes = s.takes_changes && another;
  s.answered = 0;
  s.unsaid = true;
  s.reporting = false;
  // Who has another report of this node than the one before wants the whole, and is there to take it.
  if (another)
    return send_report(self);
  const auto pause = pause_after(s);
  later(self, pause, [self, failure = ++s.failures] {
    // Unless something has been answered meanwhile, or has failed again and waits for a pause of its own.
    if (self->state.failures == failure && self->state.unsaid)
      send_report(self);
  });
}

template <class Report>
void send_one(self_pointer self, const Report& x) {
  self->request(self->state.report_to, 2s, x)
      .then([self, number = x.number(),
             sent = self->state.reported](const wire::Done&) { report_answered(self, number, sent); },
            [self](const caf::error& problem) { report_failed(self, problem); });
}

/// One report is on its way at a time; what changes meanwhile goes into the next, which follows at once. It says what
/// changed, or all there is.
void send_report(self_pointer self, bool whole) {
  auto& s = self->state;
  s.whole_due = s.whole_due || whole;
  if (!s.report_to || s.reporting)
    return;
  s.reporting = true;
  s.unsaid = false;
  s.reported = s.settings.since_boot();
  if (std::exchange(s.whole_due, false) || s.answered == 0 || !s.takes_changes)
    send_one(self, report(self));
  else
    send_one(self, report_change(self));
  s.changed.clear();
}

void spawn_copy(self_pointer self, const leftover& former, bool known) {
  auto& s = self->state;
  const auto weak = caf::actor_cast<caf::weak_actor_ptr>(self->address());
  auto& one = s.copies[former.instance.name()];
  s.changed.insert(former.instance.name());
  one.what = {former.instance.epoch(), former.instance.generation()};
  one.instance = former.instance;
  one.leaving = false;
  one.status = former.status;
  one.status.set_name(former.instance.name());
  one.status.set_epoch(one.what.epoch);
  one.status.set_generation(one.what.generation);
  one.status.set_node(s.settings.node);
  if (one.status.phase() == wire::PHASE_UNSPECIFIED)
    one.status.set_phase(wire::PHASE_STARTING);
  one.actor = spawn_instance(self->system(), {.former = former,
                                              .known = known,
                                              .node = s.settings.node,
                                              .driver = s.driver,
                                              .images = s.images,
                                              .mover = s.settings.mover,
                                              .workers = s.settings.workers,
                                              .fetchers = s.settings.fetchers,
                                              .tell =
                                                  [weak](instance_news news) {
                                                    if (const auto strong = caf::actor_cast<caf::strong_actor_ptr>(weak))
                                                      caf::anon_send(caf::actor_cast<agent_self>(strong),
                                                                     std::move(news));
                                                  },
                                              .agent = self->address(),
                                              .figures_interval = s.settings.report_interval});
  self->monitor(one.actor);
  one.since = self->clock().now();
  one.address = caf::actor_cast<instance_actor>(
      s.settings.list(former.instance.name(), caf::actor_cast<caf::actor>(one.actor)));
}

/// Whether an instance may be started now. Without a controller another node may run it, unless it is one that is
/// never replaced.
bool may_start(const agent_state& s, const wire::Instance& x) {
  const auto action = x.spec().on_disconnect().action();
  if (const auto patience = patience_of(x.spec()); patience > duration::zero())
    return s.controllers->assured(patience, s.settings.since_boot());
  return s.controllers->instructed() || action != wire::ON_DISCONNECT_REPLACE;
}

/// What was converted is what its workload's next generation says: that is another name for what runs, no reason to
/// start it again.
void relabel(self_pointer self) {
  auto& s = self->state;
  for (const auto& each : s.assigned.instances()) {
    const auto found = s.copies.find(each.name());
    if (found == s.copies.end() || each.outcome() != wire::PHASE_UNSPECIFIED)
      continue;
    auto& here = found->second;
    if (here.leaving || !is_only_relabelled(here.instance, each))
      continue;
    auto as = each;
    // Its move is told by itself.
    take_move(as, here.instance);
    here.what.generation = each.generation();
    here.instance = as;
    here.status.set_generation(each.generation());
    self->send(here.actor, relabelled{as});
  }
}

/// What is here in the edition that is assigned may have to go elsewhere, to stay, or has come to stay.
void tell_moves(self_pointer self) {
  for (const auto& each : self->state.assigned.instances()) {
    const auto found = self->state.copies.find(each.name());
    if (found == self->state.copies.end() || found->second.leaving ||
        found->second.what != edition{each.epoch(), each.generation()} ||
        found->second.instance.move().SerializeAsString() == each.move().SerializeAsString())
      continue;
    take_move(found->second.instance, each);
    self->send(found->second.actor, move_news{each});
  }
}

void converge(self_pointer self) {
  relabel(self);
  auto& s = self->state;
  auto wanted = assigned_set{};
  auto by_name = std::map<std::string, const wire::Instance*>{};
  for (const auto& each : s.assigned.instances()) {
    // What has come to its end is listed so that its output is kept; it must not run once more.
    if (each.outcome() != wire::PHASE_UNSPECIFIED && !s.copies.contains(each.name()))
      continue;
    wanted[each.name()] = {each.epoch(), each.generation()};
    by_name[each.name()] = &each;
  }
  s.waiting = false;
  auto present = present_set{};
  for (const auto& [name, each] : s.copies)
    present[name] = {each.what, each.leaving};
  for (const auto& step : reconcile(wanted, present)) {
    if (step.what == step::kind::remove) {
      auto& leaver = s.copies.at(step.name);
      leaver.leaving = true;
      self->send(leaver.actor, remove_atom::value);
    } else if (may_start(s, *by_name.at(step.name))) {
      spawn_copy(self, {.instance = *by_name.at(step.name)}, false);
    } else {
      s.waiting = true;
    }
  }
  tell_moves(self);
  begin_minding(self);
}

/// What must not run on without a controller is ended by its driver. What waits to be started again is parked here,
/// and what is stopped starts again as soon as it is certain that it is still this node's.
void mind_leases(self_pointer self) {
  auto& s = self->state;
  const auto now = self->state.settings.since_boot();
  for (auto& [name, each] : s.copies) {
    const auto patience = patience_of(each.instance.spec());
    if (patience == 0ms || each.leaving)
      continue;
    if (s.controllers->silence(now) >= patience)
      self->send(each.actor, park_atom::value);
    else if (each.status.phase() == wire::PHASE_STOPPED && s.controllers->assured(patience, now))
      self->send(each.actor, wake_atom::value);
  }
}

/// Whether anything here is started, ended or started again by the passing of time.
bool depends_on_lease(const agent_state& s) {
  return s.waiting || shortest_patience(s) > duration::zero() || std::ranges::any_of(s.copies, [](const auto& x) {
           return !x.second.leaving && patience_of(x.second.instance.spec()) > 0ms;
         });
}

/// Reports often enough that a lease does not end because two reports were lost.
void mind_leases_often(self_pointer self) {
  auto& s = self->state;
  s.minding = depends_on_lease(s);
  if (!s.minding)
    return;
  mind_leases(self);
  const auto patience = shortest_patience(s);
  if (patience > duration::zero() && s.settings.since_boot() - s.reported >= patience / 4)
    send_report(self);
  later(self, 250ms, [self] { mind_leases_often(self); });
}

/// Most nodes run nothing that depends on a lease, and need not look at all.
void begin_minding(self_pointer self) {
  if (!self->state.minding)
    mind_leases_often(self);
}

caf::error not_this_node(const agent_state& s, const std::string& node) {
  return caf::make_error(fault::bad_request, "this is node " + s.settings.node + ", not " + node);
}

wire::Done done_with(const wire::Assign& x) {
  auto done = wire::Done{};
  done.set_index(x.revision());
  return done;
}

void settle(self_pointer self);

void settled(self_pointer self, const std::string& problem) {
  auto& s = self->state;
  s.kept.ended(problem.empty());
  for (auto& each : std::exchange(s.unsettled, {}))
    if (!problem.empty())
      each.promise.deliver(caf::make_error(fault::storage, problem));
    else if (s.kept.settled(each.number))
      each.promise.deliver(done_with(s.assigned));
    else
      s.unsettled.push_back(std::move(each));
  if (!s.unsettled.empty())
    settle(self);
}

void settle(self_pointer self) {
  auto& s = self->state;
  if (!s.kept.begin())
    return;
  s.settings.workers->give([self_weak = caf::actor_cast<caf::weak_actor_ptr>(self->address()), self,
                            file = assign_file(s), disk = s.settings.disk] {
    auto problem = std::string{};
    try {
      disk->settle(file);
    } catch (const std::system_error& failure) {
      problem = failure.what();
    }
    if (const auto strong = caf::actor_cast<caf::strong_actor_ptr>(self_weak))
      caf::anon_send(caf::actor_cast<agent_self>(strong), turn{[=] { settled(self, problem); }});
  });
}

/// Throws std::system_error; then the disk has what it had.
void write(agent_state& s, const wire::Assign& x) {
  s.settings.disk->replace(assign_file(s), x.SerializeAsString());
  s.kept.wrote();
}

/// Answers once what is assigned is certain to stay on the disk.
caf::result<wire::Done> answer_settled(self_pointer self) {
  auto& s = self->state;
  try {
    if (s.kept.lost())
      write(s, s.assigned);
  } catch (const std::system_error& problem) {
    return caf::make_error(fault::storage, std::string{problem.what()});
  }
  if (s.kept.settled(s.kept.written()))
    return done_with(s.assigned);
  auto promise = self->make_response_promise<wire::Done>();
  s.unsettled.push_back({s.kept.written(), promise});
  settle(self);
  return promise;
}

caf::result<wire::Done> take_assignment(self_pointer self, const wire::Assign& x) {
  auto& s = self->state;
  if (!supersedes(x.revision(), s.assigned.revision()))
    return answer_settled(self);
  auto former = s.assigned;
  former.set_revision(x.revision());
  const auto alike = former.SerializeAsString() == x.SerializeAsString();
  try {
    if (!alike || x.revision() != s.assigned.revision())
      write(s, x);
  } catch (const std::system_error& problem) {
    // On a full disk a node goes on with what it has there, of whatever revision.
    if (!alike)
      return caf::make_error(fault::storage, std::string{problem.what()});
  }
  s.assigned = x;
  s.controllers->instruct();
  if (shortest_patience(s) > duration::zero())
    s.settings.lease->confirm(s.controllers->confirmed());
  converge(self);
  mind_leases(self);
  // The answer waits for the disk, the starts do not.
  return answer_settled(self);
}

caf::result<wire::Done> assign(self_pointer self, const wire::Assign& part) {
  auto& s = self->state;
  if (part.node() != s.settings.node)
    return not_this_node(s, part.node());
  const auto step = s.parts.take(part);
  if (step.astray)
    return caf::make_error(fault::conflict, "that part does not follow the one before");
  if (!step.whole)
    return wire::Done{};
  s.takes_changes = step.whole->takes_changes();
  return take_assignment(self, *step.whole);
}

caf::result<wire::Done> assign_change(self_pointer self, const wire::AssignChange& x) {
  auto& s = self->state;
  if (x.node() != s.settings.node)
    return not_this_node(s, x.node());
  s.takes_changes = true;
  if (x.revision() <= s.assigned.revision()) {
    // Its answer was lost, or something newer came first. It is no new instruction, and may be long under way.
    return answer_settled(self);
  }
  if (x.base() != s.assigned.revision())
    return caf::make_error(fault::conflict,
                           fmt::format("this node follows assignment {}, not {}", s.assigned.revision(), x.base()));
  return take_assignment(self, changed(s.assigned, x));
}

void count(self_pointer self, const copy& known, const wire::InstanceStatus& now) {
  auto& seen = self->state.seen;
  if (now.phase() == wire::PHASE_RUNNING && known.status.phase() == wire::PHASE_STARTING)
    seen.started(std::chrono::duration<double>(self->clock().now() - known.since).count());
  if (now.restarts() > known.status.restarts())
    seen.restarted(now.restarts() - known.status.restarts());
}

void take_news(self_pointer self, const instance_news& news) {
  auto& s = self->state;
  const auto found = s.copies.find(news.status.name());
  // News of a copy that was replaced in the meantime says nothing.
  if (found == s.copies.end() || found->second.what != edition{news.status.epoch(), news.status.generation()})
    return;
  count(self, found->second, news.status);
  if (news.now)
    found->second.instance = *news.now;
  found->second.status = news.status;
  s.changed.insert(news.status.name());
  if (news.gone) {
    s.copies.erase(found);
    s.settings.unlist(news.status.name());
    converge(self);
  }
  if (news.urgent) {
    s.unsaid = true;
    send_report(self);
  }
}

/// An instance's actor has failed. What it watched runs on, and gets a new one.
void lost_actor(self_pointer self, const caf::actor_addr& which) {
  for (const auto& [name, each] : self->state.copies) {
    if (each.actor.address() != which)
      continue;
    later(self, 500ms, [self, which, former = leftover{.instance = each.instance, .status = each.status, .alive = true}] {
      const auto found = self->state.copies.find(former.instance.name());
      if (found == self->state.copies.end() || found->second.actor.address() != which)
        return;
      spawn_copy(self, former, true);
      converge(self);
    });
    return;
  }
}

void report_always(self_pointer self) {
  later(self, self->state.settings.report_interval, [self] { report_always(self); });
  send_report(self, true);
}

void wake_up(self_pointer self, const std::vector<leftover>& former) {
  auto& s = self->state;
  const auto kept = s.settings.disk->read(assign_file(s));
  if (!kept || !s.assigned.ParseFromString(*kept) || s.assigned.node() != s.settings.node) {
    // It cannot be read. What is here goes on until a controller says what shall be.
    s.assigned.Clear();
    s.kept.lose();
    for (const auto& each : former)
      *s.assigned.add_instances() = each.instance;
  }
  s.controllers.emplace(s.settings.lease->confirmed());
  for (const auto& each : former)
    spawn_copy(self, under(s.assigned, each), true);
  converge(self);
  // What held an image in a former life and is here no more.
  for (const auto& holder : s.images.holders())
    if (!s.copies.contains(holder))
      s.settings.workers->give([release = s.images.release, holder] { release(holder); });
  report_always(self);
}

/// The actor of the instance called `name`, or the error that says there is none.
caf::expected<instance_actor> find(self_pointer self, const std::string& name) {
  const auto found = self->state.copies.find(name);
  if (found == self->state.copies.end())
    return caf::make_error(fault::not_found, "there is no instance " + name + " on node " + self->state.settings.node);
  return found->second.address;
}

template <class Answer, class Question>
caf::result<Answer> pass_on(self_pointer self, const std::string& name, const Question& x) {
  auto target = find(self, name);
  if (!target)
    return std::move(target.error());
  return self->delegate(*target, x);
}

agent_self::behavior_type behave(self_pointer self, agent_settings settings, std::shared_ptr<driver> driver,
                                 image_access images, caf::actor report_to,
                                 const std::vector<leftover>& former) {
  auto& s = self->state;
  s.settings = std::move(settings);
  s.seen = agent_numbers{s.settings.numbers};
  s.driver = std::move(driver);
  s.images = std::move(images);
  s.report_to = std::move(report_to);
  // Rises also over agents of the same incarnation, when one that failed is followed by another: no report comes of a
  // nanosecond.
  s.reports = static_cast<std::uint64_t>(s.settings.since_boot().count());
  self->set_down_handler([self](const caf::down_msg& x) { lost_actor(self, x.source); });
  wake_up(self, former);
  return {
      [=](const wire::Assign& x) { return assign(self, x); },
      [=](const wire::AssignChange& x) { return assign_change(self, x); },
      [=](const wire::ReportRequest&) { return report(self); },
      [=](const wire::LogRequest& x) { return pass_on<wire::LogChunk>(self, x.instance(), x); },
      [=](const wire::ExecStart& x) { return pass_on<wire::ExecSession>(self, x.instance(), x); },
      [=](const wire::ExecExchange& x) {
        return pass_on<wire::ExecOutput>(self, x.session().substr(0, x.session().find('_')), x);
      },
      [=](const wire::PauseInstance& x) { return pass_on<wire::Done>(self, x.instance(), x); },
      [=](const wire::ResizeInstance& x) { return pass_on<wire::Done>(self, x.instance(), x); },
      [=](const wire::RestartInstance& x) { return pass_on<wire::Done>(self, x.instance(), x); },
      [=](const wire::ConvertInstance& x) { return pass_on<wire::Converted>(self, x.instance(), x); },
      [=](const wire::CheckpointInstance& x) { return pass_on<wire::Checkpoint>(self, x.instance(), x); },
      [=](const wire::RestoreInstance& x) { return pass_on<wire::Restored>(self, x.instance(), x); },
      [=](const wire::CallInstance& x) { return pass_on<wire::Invoked>(self, x.instance(), x); },
      [=](const wire::NodeArrived&) {
        // However long nobody answered: what fails from now on is tried again soon.
        self->state.failures = 0;
        send_report(self);
      },
      // Who has gone is told by the reports that nobody answers.
      [](const wire::NodeDeparted&) {},
      [=](const turn& x) { x.work(); },
      [=](const instance_news& x) { take_news(self, x); },
  };
}

} // namespace

agent_actor spawn_agent(caf::actor_system& system, agent_settings settings, std::shared_ptr<driver> driver,
                        image_access images, caf::actor report_to) {
  // Before the sweep: what it finds alive must see a renewal as early as possible.
  if (!settings.lease)
    settings.lease = open_lease(settings.data);
  if (!settings.disk)
    settings.disk = host::own_disk();
  if (!settings.workers)
    settings.workers = std::make_shared<host::crew>(2);
  if (!settings.fetchers && images.fetch)
    settings.fetchers = std::make_shared<host::crew>(fetches_max);
  const auto former = driver->sweep();
  return system.spawn(behave, std::move(settings), std::move(driver), std::move(images), std::move(report_to), former);
}

} // namespace novacron::workload
