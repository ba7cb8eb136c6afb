#include "actors/api/bridge_actor.hpp"

#include <caf/all.hpp>

#include <map>

namespace novacron::api {
namespace {

caf::error error_of(const caf::message& answer, const std::string& path, milliseconds patience) {
  auto x = answer.get_as<caf::error>(0);
  if (x == caf::sec::request_timeout)
    return caf::make_error(fault::timeout, path + " did not answer within " + std::to_string(patience.count()) + " ms");
  if (explain(x).kind == fault::unavailable && x.category() != caf::atom("novacron"))
    return caf::make_error(fault::unavailable, path + " is gone or being restarted");
  return x;
}

} // namespace

bridge::bridge(caf::actor_system& system, finder find) : system_{system}, find_{std::move(find)} {}

world::answers bridge::ask(const std::vector<std::string>& paths, const caf::message& question, milliseconds patience) {
  auto self = caf::scoped_actor{system_};
  const auto me = caf::actor_cast<caf::actor>(self.ptr());
  const auto stopping = caf::make_error(fault::unavailable, "this node is stopping");
  auto answers = world::answers{paths.size(), stopping};
  {
    const auto lock = std::lock_guard{guard_};
    if (over_)
      return answers;
    waiting_.insert(me);
  }
  auto open = std::map<caf::message_id, std::size_t>{};
  for (auto i = std::size_t{0}; i < paths.size(); ++i) {
    const auto target = find_(paths[i]);
    if (!target || !*target) {
      answers[i] = target ? caf::make_error(fault::not_found, "there is no " + paths[i]) : target.error();
      continue;
    }
    // The question's type is known only now, so this does by hand what `request` does: CAF's clock sends the time-out.
    const auto id = self->new_request_id(caf::message_priority::normal);
    open.emplace(id.response_id(), i);
    self->request_response_timeout(caf::duration{patience}, id);
    (*target)->enqueue(caf::actor_cast<caf::strong_actor_ptr>(me), id, question, self->context());
  }
  while (!open.empty()) {
    self->await_data();
    const auto element = self->dequeue();
    if (!element)
      continue;
    if (!element->mid.is_response())
      break; // give_up
    const auto at = open.find(element->mid);
    if (at == open.end())
      continue;
    auto answer = element->move_content_to_message();
    auto& into = answers[at->second];
    if (answer.match_elements<caf::error>())
      into = error_of(answer, paths[at->second], patience);
    else
      into = std::move(answer);
    open.erase(at);
  }
  const auto lock = std::lock_guard{guard_};
  waiting_.erase(me);
  return answers;
}

void bridge::give_up() {
  const auto lock = std::lock_guard{guard_};
  over_ = true;
  for (const auto& x : waiting_)
    caf::anon_send(x, caf::ok_atom_v);
}

} // namespace novacron::api
