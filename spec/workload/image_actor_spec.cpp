#include "actors/workload/image_actor.hpp"
#include "messages/language.hpp"
#include "spec/workload/image_kit.hpp"

#include <caf/all.hpp>

#include <atomic>

using namespace image_kit;
using namespace novacron;
using namespace std::chrono_literals;

namespace {

struct settings : caf::actor_system_config {
  settings() {
    add_language(*this);
    set("scheduler.max-threads", 2);
  }
};

/// A node with a store, and a person who asks it.
struct town {
  scratch place;
  settings config;
  caf::actor_system system{config};
  std::vector<caf::actor> people;
  caf::scoped_actor self{system};
  std::string large = tar_of({{"data", 'f', std::string(300'000, 'd')}});
  layout source{place.path / "layout", {hello(), large}, "web:v1", {.cmd = {"/bin/hello"}}};

  /// The system waits for all of them: those with threads of their own never end by themselves.
  ~town() {
    for (const auto& each : people)
      self->send_exit(each, caf::exit_reason::user_shutdown);
    people.clear();
  }

  static std::string hello() { return tar_of({{"bin/hello", 'f', "hello", 0755}}); }

  std::shared_ptr<image_store> store(const std::string& name) {
    return std::make_shared<image_store>(place.path / name, quick());
  }

  image_actor node(const std::string& name, std::vector<caf::actor> upstream = {}) {
    return node_of(store(name), name, std::move(upstream));
  }

  image_actor node_of(std::shared_ptr<image_store> held, const std::string& name, std::vector<caf::actor> upstream) {
    const auto made =
        spawn_image_actor(system, std::move(held),
                          {.node = name, .upstream = std::move(upstream), .piece_bytes = 40'000, .fetches_max = 2});
    people.push_back(caf::actor_cast<caf::actor>(made));
    return made;
  }

  /// The answer, or the fault in words.
  template <class Answer, class Question>
  std::pair<Answer, fault_text> ask(const image_actor& whom, const Question& question) {
    auto result = std::pair<Answer, fault_text>{};
    self->request(whom, 30s, question)
        .receive([&](const Answer& x) { result.first = x; }, [&](caf::error& x) { result.second = explain(x); });
    return result;
  }

  std::pair<wire::Image, fault_text> import(const image_actor& whom, const fs::path& path) {
    auto order = wire::ImageImport{};
    order.set_path(path.string());
    return ask<wire::Image>(whom, order);
  }

  std::pair<wire::Image, fault_text> ensure(const image_actor& whom, const std::string& name) {
    auto order = wire::ImageEnsure{};
    order.set_name(name);
    return ask<wire::Image>(whom, order);
  }
};

/// A peer that passes questions on, and may spoil or refuse the answers to those for blobs.
caf::behavior middleman(caf::event_based_actor* self, image_actor real, std::shared_ptr<std::atomic<int>> blobs,
                        std::function<bool(int, wire::Blob&)> spoil) {
  return {
      [=](const wire::ImageLookup& x) { return self->delegate(real, x); },
      [=](const wire::BlobRequest& x) {
        const auto number = ++*blobs;
        auto promise = self->make_response_promise<wire::Blob>();
        self->request(real, 30s, x)
            .then(
                [=](const wire::Blob& blob) mutable {
                  auto changed = blob;
                  if (spoil(number, changed))
                    promise.deliver(std::move(changed));
                  else
                    promise.deliver(caf::make_error(fault::unreachable, "the line is cut"));
                },
                [=](caf::error& problem) mutable { promise.deliver(problem); });
        return promise;
      },
  };
}

bool pass(int, wire::Blob&) {
  return true;
}

} // namespace

SCENARIO("the image actor answers what the store answers") {
  auto t = town{};
  const auto node = t.node("here");
  const auto [image, problem] = t.import(node, t.source.path);
  REQUIRE(problem.text.empty());
  CHECK(image.name() == "web:v1");
  CHECK(image.digest() == t.source.manifest);
  CHECK(image.node() == "here");
  CHECK(t.ask<wire::ImageList>(node, wire::ImageListRequest{}).first.images_size() == 1);
  THEN("it serves blobs in pieces") {
    auto question = wire::BlobRequest{};
    question.set_digest(digest_of(t.large));
    question.set_offset(10);
    question.set_limit(1'000'000);
    const auto [blob, refused] = t.ask<wire::Blob>(node, question);
    CHECK(blob.size() == t.large.size());
    CHECK(blob.data() == t.large.substr(10, 40'000));
  }
  THEN("faults are named") {
    auto lookup = wire::ImageLookup{};
    lookup.set_name("none");
    CHECK(t.ask<wire::ImageManifest>(node, lookup).second.kind == fault::not_found);
    auto blob = wire::BlobRequest{};
    blob.set_digest("../index.json");
    CHECK(t.ask<wire::Blob>(node, blob).second.kind == fault::not_found);
    CHECK(t.import(node, "/no/such/image").second.kind == fault::bad_request);
    CHECK(t.ensure(node, "none").second.kind == fault::not_found);
    CHECK(t.ensure(node, "no name").second.kind == fault::bad_request);
  }
  THEN("it deletes by name, once") {
    auto order = wire::ImageDelete{};
    order.set_name("web:v1");
    CHECK(t.ask<wire::Done>(node, order).second.text.empty());
    CHECK(t.ask<wire::Done>(node, order).second.kind == fault::not_found);
    CHECK(t.ask<wire::ImageList>(node, wire::ImageListRequest{}).first.images_size() == 0);
  }
}

SCENARIO("an image that a workload needs is pulled from upstream") {
  auto t = town{};
  const auto cloud = t.node("cloud");
  REQUIRE(t.import(cloud, t.source.path).second.text.empty());
  const auto blobs = std::make_shared<std::atomic<int>>(0);
  const auto peer = [&](std::function<bool(int, wire::Blob&)> spoil) {
    t.people.push_back(t.system.spawn(middleman, cloud, blobs, std::move(spoil)));
    return t.people.back();
  };
  const auto held = t.store("edge");
  const auto check_whole = [&] {
    const auto use = held->acquire("web:v1", "web.0");
    CHECK(read(use.rootfs / "bin/hello") == "hello");
    CHECK(fs::file_size(use.rootfs / "data") == 300'000);
    CHECK(use.config.cmd == std::vector<std::string>{"/bin/hello"});
  };
  // The configuration and the small layer are one piece each.
  const auto pieces = 2 + static_cast<int>((t.large.size() + 39'999) / 40'000);
  WHEN("the peer is honest") {
    const auto edge = t.node_of(held, "edge", {peer(pass)});
    const auto [image, problem] = t.ensure(edge, "web:v1");
    CHECK(problem.text.empty());
    CHECK(image.digest() == t.source.manifest);
    CHECK(image.node() == "edge");
    check_whole();
    CHECK(*blobs == pieces);
    THEN("what is there is not pulled again") {
      t.ensure(edge, "web:v1");
      t.ensure(edge, t.source.manifest);
      CHECK(*blobs == pieces);
    }
  }
  WHEN("many want it at once, by name and digest") {
    const auto edge = t.node_of(held, "edge", {peer(pass)});
    auto by_name = wire::ImageEnsure{};
    by_name.set_name("web:v1");
    auto by_digest = wire::ImageEnsure{};
    by_digest.set_name(t.source.manifest);
    auto first = t.self->request(edge, 30s, by_name);
    auto second = t.self->request(edge, 30s, by_name);
    auto third = t.self->request(edge, 30s, by_digest);
    const auto fine = [&](const wire::Image& x) { CHECK(x.digest() == t.source.manifest); };
    const auto broken = [](caf::error& x) { FAIL_CHECK(explain(x).text); };
    first.receive(fine, broken);
    second.receive(fine, broken);
    third.receive(fine, broken);
    THEN("each piece came once") {
      CHECK(*blobs == pieces);
    }
  }
  WHEN("the line breaks in the middle") {
    const auto edge = t.node_of(held, "edge", {peer([](int number, wire::Blob&) { return number != 6; })});
    CHECK(t.ensure(edge, "web:v1").second.kind == fault::unavailable);
    CHECK(held->list().empty());
    THEN("the next attempt fetches only what is missing") {
      CHECK(t.ensure(edge, "web:v1").second.text.empty());
      CHECK(*blobs == pieces + 1);
      check_whole();
    }
  }
  WHEN("the first peer spoils a byte") {
    const auto bad = peer([](int, wire::Blob& blob) {
      blob.mutable_data()->back() ^= 1;
      return true;
    });
    const auto edge = t.node_of(held, "edge", {bad});
    const auto problem = t.ensure(edge, "web:v1").second;
    CHECK(problem.kind == fault::unavailable);
    CHECK(problem.text.find("digest") != problem.text.npos);
    CHECK(held->list().empty());
    THEN("an honest second one is asked") {
      const auto other = t.node_of(t.store("other"), "other", {bad, peer(pass)});
      CHECK(t.ensure(other, "web:v1").second.text.empty());
    }
  }
  WHEN("a peer never ends or sends too much") {
    const auto edge = t.node_of(held, "edge", {peer([](int number, wire::Blob& blob) {
                                  if (number % 2 == 0)
                                    blob.clear_data();
                                  else
                                    blob.mutable_data()->append(1'000'000, 'x');
                                  return true;
                                })});
    CHECK(t.ensure(edge, "web:v1").second.kind == fault::unavailable);
  }
  WHEN("no peer has it") {
    CHECK(t.ensure(t.node_of(held, "edge", {peer(pass), peer(pass)}), "none:1").second.kind == fault::not_found);
  }
}
