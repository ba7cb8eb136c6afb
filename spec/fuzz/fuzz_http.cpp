// What arrives over HTTP: any bytes, read as a connection would, routed, and made into messages for actors.

#include "actors/api/route.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using namespace novacron;
using namespace novacron::api;

void must(bool holds) {
  if (!holds)
    std::abort();
}

/// Answers each question with an empty answer of a type that fits one of the routes that ask it, or with a fault.
caf::expected<caf::message> answer(const std::string& actor, const caf::message& question) {
  if (actor.size() % 7 == 6)
    return caf::make_error(fault::unreachable, actor + " is away");
  if (question.match_elements<wire::WorkloadListRequest>()) {
    auto list = wire::WorkloadList{};
    auto& workload = *list.add_workloads();
    workload.mutable_record()->mutable_spec()->set_name(question.get_as<wire::WorkloadListRequest>(0).name());
    auto& instance = *workload.add_instances();
    instance.set_name("web.0");
    instance.set_node("edge-1");
    return caf::make_message(list);
  }
  if (question.match_elements<wire::LogRequest>()) {
    auto chunk = wire::LogChunk{};
    chunk.set_ended(true);
    return caf::make_message(chunk);
  }
  if (question.match_elements<wire::HealthRequest>())
    return caf::make_message(wire::Health{});
  if (question.match_elements<wire::EventsRequest>())
    return caf::make_message(wire::Events{});
  return caf::make_message(wire::Done{});
}

const world& around() {
  static const auto made = world{
      .ask =
          [](const auto& actors, const auto& question, auto) {
            auto all = world::answers{};
            for (const auto& x : actors)
              all.push_back(answer(x, question));
            return all;
          },
      .unique = [] { return "unique"; },
      .leaving = [] { return false; },
      .metrics = [] { return ""; },
      .node = "cloud-1",
      .role = "cloud",
      .version = "0",
  };
  return made;
}

struct few : sink {
  bool write(std::string_view) override { return --left > 0; }
  bool open() override { return left > 0; }
  int left = 8;
};

void respond(request asked, std::string_view role) {
  asked.who = {std::string{role}, "somebody"};
  const auto bare = asked.method == "HEAD";
  auto found = find_route(std::move(asked), around());
  auto out = std::holds_alternative<call>(found) ? std::get<call>(found).through->run(std::get<call>(found))
                                                 : std::get<response>(found);
  must(out.status >= 200 && out.status < 600);
  const auto head = format_head(out, true);
  // What a caller sent never becomes a header line of its own.
  must(head.find("\r\n\r\n") == head.size() - 4 && head.find('\n') == head.find("\r\n") + 1);
  if (out.stream && !bare) {
    auto reader = few{};
    out.stream(reader);
  }
}

/// Reads a body in pieces of `step` bytes; false when it is refused or not complete.
bool read_chunks(std::string_view& bytes, std::size_t step, std::string& into) {
  auto body = chunked_body{limits{.body_bytes_max = 4096}};
  while (!bytes.empty() && !body.complete()) {
    const auto taken = body.feed(bytes.substr(0, step));
    if (std::holds_alternative<refusal>(taken))
      return false;
    bytes.remove_prefix(std::get<std::size_t>(taken));
  }
  const auto complete = body.complete();
  into = body.take();
  must(into.size() <= 4096);
  return complete;
}

void serve(std::string_view bytes, std::size_t step, std::string_view role) {
  for (auto requests = 0; requests < 8; ++requests) {
    const auto end = head_end(bytes);
    if (end == bytes.npos)
      return;
    auto parsed = parse_head(bytes.substr(0, end));
    if (std::holds_alternative<refusal>(parsed)) {
      must(std::get<refusal>(parsed).status >= 400);
      return;
    }
    auto& x = std::get<head>(parsed);
    bytes.remove_prefix(end);
    if (x.chunked) {
      auto copy = bytes;
      auto whole = std::string{};
      const auto at_once = read_chunks(copy, bytes.size(), whole);
      must(read_chunks(bytes, step, x.asked.body) == at_once); // wherever it is cut
      if (!at_once)
        return;
      must(whole == x.asked.body && copy.size() == bytes.size());
    } else {
      x.asked.body = bytes.substr(0, x.length);
      bytes.remove_prefix(x.asked.body.size());
    }
    respond(std::move(x.asked), role);
    if (!x.keep_alive)
      return;
  }
}

} // namespace

/// The first byte chooses who asks and where chunks are cut; the rest is what comes over the connection.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  constexpr std::string_view roles[] = {"person", "person", "edge", ""};
  serve({reinterpret_cast<const char*>(data + 1), size - 1}, 1u + data[0] / 4, roles[data[0] % 4]);
  return 0;
}
