#include "actors/workload/image_actor.hpp"

#include "actors/host/log.hpp"
#include "actors/workload/image_pull.hpp"

#include <caf/all.hpp>

#include <deque>
#include <functional>
#include <map>
#include <utility>

namespace novacron::workload {

/// What the image actor tells its workers. They never leave the process.
struct begin_blob {
  std::string digest;
  std::uint64_t size = 0;
};
struct append_blob {
  std::string digest;
  wire::Blob piece;
};
struct finish_blob {
  std::string digest;
};
struct drop_blob {
  std::string digest;
};
struct admit_image {
  std::string manifest;
  std::string name;
};

} // namespace novacron::workload

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::workload::begin_blob)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::workload::append_blob)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::workload::finish_blob)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::workload::drop_blob)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::workload::admit_image)

namespace novacron::workload {
namespace {

fault fault_of(image_problem x) {
  switch (x) {
    case image_problem::not_found: return fault::not_found;
    case image_problem::corrupt:
    case image_problem::hostile:
    case image_problem::bad_request: return fault::bad_request;
    case image_problem::unsupported: return fault::unsupported;
    case image_problem::storage: return fault::storage;
  }
  return fault::unspecified;
}

/// The answer of `action`, or its refusal as an error.
template <class Answer, class Action>
caf::result<Answer> answer_of(Action action) {
  try {
    return action();
  } catch (const image_error& problem) {
    host::log_warn("images", "{}", problem.what());
    return caf::make_error(fault_of(problem.problem), std::string{problem.what()});
  }
}

wire::Image image_of(const image_record& x, const std::string& node) {
  auto image = wire::Image{};
  image.set_name(x.name);
  image.set_digest(x.digest);
  image.set_size_bytes(x.size_bytes);
  image.set_imported_ms(x.imported_ms);
  image.set_node(node);
  return image;
}

// --- what takes long

using slow_worker = caf::typed_actor<caf::replies_to<wire::ImageImport>::with<wire::Image>,
                                     caf::replies_to<wire::ImageDelete>::with<wire::Done>,
                                     caf::replies_to<admit_image>::with<wire::Image>>;

slow_worker::behavior_type slow(slow_worker::pointer, std::shared_ptr<image_store> store, std::string node) {
  return {
      [=](const wire::ImageImport& x) {
        return answer_of<wire::Image>([&] {
          const auto record = store->import(x.path(), x.name());
          host::log_info("images", "imported {} ({}) from {}", record.name, record.digest, x.path());
          return image_of(record, node);
        });
      },
      [=](const wire::ImageDelete& x) {
        return answer_of<wire::Done>([&] {
          if (!store->remove(x.name()))
            throw image_error{image_problem::not_found, "there is no image '" + x.name() + "'"};
          return wire::Done{};
        });
      },
      [=](const admit_image& x) {
        return answer_of<wire::Image>([&] {
          const auto record = store->admit(x.manifest, x.name);
          host::log_info("images", "pulled {} ({})", record.name, record.digest);
          return image_of(record, node);
        });
      },
  };
}

// --- what is quick, but reads or writes files

using quick_worker = caf::typed_actor<
    caf::replies_to<wire::ImageListRequest>::with<wire::ImageList>,
    caf::replies_to<wire::ImageLookup>::with<wire::ImageManifest>, caf::replies_to<wire::BlobRequest>::with<wire::Blob>,
    caf::replies_to<begin_blob>::with<std::uint64_t>, caf::replies_to<append_blob>::with<std::uint64_t>,
    caf::replies_to<finish_blob>::with<std::uint64_t>, caf::reacts_to<drop_blob>>;

struct quick_state {
  static inline const char* name = "image-files";
  /// Behaviors go before states do: what is under way must find its store still there.
  std::shared_ptr<image_store> store;
  std::map<std::string, std::unique_ptr<image_store::download>> downloads;
};

quick_worker::behavior_type quick(quick_worker::stateful_pointer<quick_state> self, std::shared_ptr<image_store> store,
                                  image_actor_config settings) {
  self->state.store = store;
  return {
      [=](const wire::ImageListRequest&) {
        auto list = wire::ImageList{};
        for (const auto& record : store->list())
          *list.add_images() = image_of(record, settings.node);
        return list;
      },
      [=](const wire::ImageLookup& x) -> caf::result<wire::ImageManifest> {
        // Not a warning: every pull asks for what is not there.
        if (!store->find(x.name()))
          return caf::make_error(fault::not_found, "there is no image '" + x.name() + "'");
        return answer_of<wire::ImageManifest>([&] {
          auto content = store->content(x.name());
          auto manifest = wire::ImageManifest{};
          *manifest.mutable_image() = image_of(content.record, settings.node);
          manifest.set_manifest(std::move(content.manifest));
          for (auto& blob : content.blobs)
            manifest.add_blobs(std::move(blob));
          return manifest;
        });
      },
      [=](const wire::BlobRequest& x) {
        return answer_of<wire::Blob>([&] {
          const auto limit = x.limit() == 0 ? settings.piece_bytes : std::min(x.limit(), settings.piece_bytes);
          auto piece = store->read_blob(x.digest(), x.offset(), limit);
          auto blob = wire::Blob{};
          blob.set_data(std::move(piece.data));
          blob.set_size(piece.size);
          return blob;
        });
      },
      [=](const begin_blob& x) {
        return answer_of<std::uint64_t>([&] {
          if (store->has_blob(x.digest))
            return x.size;
          self->state.downloads.erase(x.digest);
          auto& download = self->state.downloads[x.digest] = store->begin_download(x.digest, x.size);
          return download->offset();
        });
      },
      [=](const append_blob& x) {
        return answer_of<std::uint64_t>([&] {
          const auto& download = self->state.downloads.at(x.digest);
          download->append(x.piece.data());
          return download->offset();
        });
      },
      [=](const finish_blob& x) {
        return answer_of<std::uint64_t>([&] {
          // None when it was here already.
          if (const auto node = self->state.downloads.extract(x.digest))
            node.mapped()->finish();
          return std::uint64_t{0};
        });
      },
      [=](const drop_blob& x) { self->state.downloads.erase(x.digest); },
  };
}

// --- the actor itself

struct pull_job {
  explicit pull_job(const std::string& name, std::size_t peers) : plan{name, peers} {}
  image_pull plan;
  std::vector<caf::typed_response_promise<wire::Image>> waiting;
  /// Of the step at hand: what belongs to an earlier one is ignored.
  std::uint64_t round = 0;
  std::size_t blobs_left = 0;
};

using told = std::function<void(const caf::error&)>;

/// A blob as one pull wants it.
struct wish {
  descriptor blob;
  std::size_t peer = 0;
  told tell;
};

/// A blob on its way, as the first of those who wait for it wanted it.
struct fetch_job {
  std::vector<wish> waiting;
};

struct image_state {
  static inline const char* name = "images";
  std::shared_ptr<image_store> store;
  image_actor_config settings;
  slow_worker slow;
  quick_worker quick;
  std::map<std::string, pull_job> pulls;
  std::map<std::string, fetch_job> fetches;
  std::deque<std::string> queue;
  std::uint32_t running = 0;
};

using pointer = image_actor::stateful_pointer<image_state>;

void run_step(pointer self, const std::string& name, const image_pull::step& step);

void start_fetches(pointer self);

/// Fetches a blob once, however many pulls want it.
void want_blob(pointer self, wish wanted) {
  auto& st = self->state;
  const auto digest = wanted.blob.digest;
  const auto [job, fresh] = st.fetches.try_emplace(digest);
  job->second.waiting.push_back(std::move(wanted));
  if (fresh)
    st.queue.push_back(digest);
}

/// The fetch has come to its end, good or bad: everyone who waited is told. Who wanted it in another way than it was
/// tried, because another peer failed before, gets a try of their own.
void end_fetch(pointer self, const std::string& digest, const caf::error& problem) {
  auto job = self->state.fetches.extract(digest);
  if (!job)
    return;
  --self->state.running;
  if (problem)
    self->send(self->state.quick, drop_blob{digest});
  const auto tried = std::pair{job.mapped().waiting.front().peer, job.mapped().waiting.front().blob.size};
  for (auto& wanted : job.mapped().waiting)
    if (problem && std::pair{wanted.peer, wanted.blob.size} != tried)
      want_blob(self, std::move(wanted));
    else
      wanted.tell(problem);
  start_fetches(self);
}

void fetch_piece(pointer self, const descriptor& blob, std::size_t peer, std::uint64_t offset) {
  const auto patience = self->state.settings.piece_patience;
  const auto fail = [=](caf::error& problem) { end_fetch(self, blob.digest, problem); };
  if (offset >= blob.size) {
    self->request(self->state.quick, patience, finish_blob{blob.digest})
        .then([=](std::uint64_t) { end_fetch(self, blob.digest, {}); }, fail);
    return;
  }
  auto wanted = wire::BlobRequest{};
  wanted.set_digest(blob.digest);
  wanted.set_offset(offset);
  wanted.set_limit(self->state.settings.piece_bytes);
  self->request(self->state.settings.upstream[peer], patience, wanted)
      .then(
          [=](const wire::Blob& piece) {
            if (piece.data().empty() || piece.size() != blob.size)
              return end_fetch(self, blob.digest,
                               caf::make_error(fault::bad_request, "the peer has blob " + blob.digest +
                                                                       " in another size than its manifest says"));
            self->request(self->state.quick, patience, append_blob{blob.digest, piece})
                .then([=](std::uint64_t next) { fetch_piece(self, blob, peer, next); }, fail);
          },
          fail);
}

void start_fetches(pointer self) {
  auto& st = self->state;
  while (st.running < st.settings.fetches_max && !st.queue.empty()) {
    const auto digest = st.queue.front();
    st.queue.pop_front();
    const auto& first = st.fetches.at(digest).waiting.front();
    ++st.running;
    self->request(st.quick, st.settings.unpack_patience, begin_blob{digest, first.blob.size})
        .then(
            [=, blob = first.blob, peer = first.peer](std::uint64_t offset) { fetch_piece(self, blob, peer, offset); },
            [=](caf::error& problem) { end_fetch(self, digest, problem); });
  }
}

void end_pull(pointer self, const std::string& name, const caf::expected<wire::Image>& outcome) {
  auto job = self->state.pulls.extract(name);
  if (!job)
    return;
  for (auto& promise : job.mapped().waiting)
    outcome ? promise.deliver(*outcome) : promise.deliver(outcome.error());
}

void fail_step(pointer self, const std::string& name, const caf::error& problem) {
  const auto why = explain(problem);
  auto& job = self->state.pulls.at(name);
  run_step(self, name, job.plan.failed(why.kind == fault::not_found, why.text));
}

struct runner {
  pointer self;
  std::string name;
  std::uint64_t round;

  /// Whether the step is still the one at hand.
  bool is_due() const {
    const auto job = self->state.pulls.find(name);
    return job != self->state.pulls.end() && job->second.round == round;
  }

  void operator()(const image_pull::look_up& x) const {
    auto question = wire::ImageLookup{};
    question.set_name(name);
    self->request(self->state.settings.upstream[x.peer], self->state.settings.lookup_patience, question)
        .then(
            [*this](const wire::ImageManifest& found) {
              if (is_due())
                run_step(self, name, self->state.pulls.at(name).plan.found(found.manifest(), found.image().name()));
            },
            [*this](caf::error& problem) {
              if (is_due())
                fail_step(self, name, problem);
            });
  }

  void operator()(const image_pull::fetch& x) const {
    self->state.pulls.at(name).blobs_left = x.blobs.size();
    for (const auto& blob : x.blobs)
      want_blob(self, {blob, x.peer, [*this](const caf::error& problem) { arrived(problem); }});
    start_fetches(self);
  }

  void arrived(const caf::error& problem) const {
    if (!is_due())
      return;
    if (problem)
      return fail_step(self, name, problem);
    auto& job = self->state.pulls.at(name);
    if (--job.blobs_left == 0)
      run_step(self, name, job.plan.fetched());
  }

  void operator()(const image_pull::admit& x) const {
    self->request(self->state.slow, self->state.settings.unpack_patience, admit_image{x.manifest, x.name})
        .then([*this](const wire::Image& image) { end_pull(self, name, image); },
              [*this](caf::error& problem) { end_pull(self, name, problem); });
  }

  void operator()(const image_pull::give_up& x) const {
    end_pull(self, name, caf::make_error(x.missing ? fault::not_found : fault::unavailable, x.why));
  }
};

void run_step(pointer self, const std::string& name, const image_pull::step& step) {
  const auto round = ++self->state.pulls.at(name).round;
  std::visit(runner{self, name, round}, step);
}

caf::result<wire::Image> ensure(pointer self, const std::string& name) {
  auto& st = self->state;
  if (const auto here = st.store->find(name))
    return image_of(*here, st.settings.node);
  if (!is_image_name(name))
    return caf::make_error(fault::bad_request, "'" + name.substr(0, 200) + "' cannot be the name of an image");
  const auto [job, fresh] = st.pulls.try_emplace(name, name, st.settings.upstream.size());
  auto promise = self->make_response_promise<wire::Image>();
  job->second.waiting.push_back(promise);
  if (fresh)
    run_step(self, name, job->second.plan.begin());
  return promise;
}

image_actor::behavior_type images(pointer self, std::shared_ptr<image_store> store, image_actor_config settings) {
  self->state.slow = self->spawn<caf::detached + caf::linked>(slow, store, settings.node);
  self->state.quick = self->spawn<caf::detached + caf::linked>(quick, store, settings);
  self->state.store = std::move(store);
  self->state.settings = std::move(settings);
  return {
      [=](const wire::ImageImport& x) { return self->delegate(self->state.slow, x); },
      [=](const wire::ImageEnsure& x) { return ensure(self, x.name()); },
      [=](const wire::ImageListRequest& x) { return self->delegate(self->state.quick, x); },
      [=](const wire::ImageDelete& x) { return self->delegate(self->state.slow, x); },
      [=](const wire::ImageLookup& x) { return self->delegate(self->state.quick, x); },
      [=](const wire::BlobRequest& x) { return self->delegate(self->state.quick, x); },
  };
}

} // namespace

image_actor spawn_image_actor(caf::actor_system& system, std::shared_ptr<image_store> store,
                              image_actor_config settings) {
  return system.spawn(images, std::move(store), std::move(settings));
}

} // namespace novacron::workload
