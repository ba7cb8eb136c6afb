#include "actors/workload/image_store.hpp"

#include "actors/workload/image_access.hpp"
#include "actors/workload/image_pack.hpp"
#include "spec/workload/barred.hpp"
#include "spec/workload/image_kit.hpp"

#include <cstdlib>
#include <future>
#include <latch>

using namespace image_kit;
using texts = std::vector<std::string>;

namespace {

const auto hello = tar_of({{"bin/", 'd', "", 0755}, {"bin/hello", 'f', "hello", 0755}});

struct house {
  scratch place;
  fs::path at = place.path / "images";
  std::unique_ptr<image_store> store = std::make_unique<image_store>(at, quick());

  void reopen() {
    store.reset();
    store = std::make_unique<image_store>(at, quick());
  }
  texts blobs() const { return names_in(at / "blobs" / "sha256"); }
  texts roots() const { return names_in(at / "rootfs"); }

  /// Nothing of an import is there.
  void check_empty() const {
    CHECK(blobs().empty());
    CHECK(roots().empty());
    CHECK(names_in(at / "tmp").empty());
    CHECK(store->list().empty());
  }

  image_error refusal(const fs::path& source, const std::string& name = "x") {
    const auto problem = refusal_of([&] { store->import(source, name); });
    check_empty();
    return problem;
  }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

/// The path of a blob of a layout.
fs::path blob_in(const fs::path& layout, const std::string& digest) {
  return layout / "blobs" / "sha256" / digits_of(digest);
}

} // namespace

SCENARIO("a workload image is imported from a layout, and run from one shared root") {
  auto h = house{};
  const auto source = layout{h.place.path / "layout", {hello}, "web:v1", {.cmd = {"/bin/hello"}, .env = {"A=1"}}};
  const auto image = h.store->import(source.path);
  CHECK(image.name == "web:v1");
  CHECK(image.digest == source.manifest);
  CHECK(image.imported_ms == 1'700'000'000'000);
  CHECK(h.store->list() == std::vector{image});
  THEN("all its bytes count") {
    auto sum = std::uintmax_t{0};
    for (const auto& blob : fs::directory_iterator{h.at / "blobs" / "sha256"})
      sum += blob.file_size();
    CHECK(image.size_bytes == sum);
  }
  THEN("it is found by name, digest and both") {
    CHECK(h.store->find("web:v1") == image);
    CHECK(h.store->find(image.digest) == image);
    CHECK(h.store->find("any@" + image.digest) == image);
    CHECK_FALSE(h.store->find("web"));
    CHECK_FALSE(h.store->find("sha256:" + std::string(64, '0')));
  }
  THEN("instances share its root") {
    const auto first = h.store->acquire("web:v1", "web.0");
    const auto second = h.store->acquire(image.digest, "web.1");
    CHECK(first.rootfs == second.rootfs);
    CHECK(first.config.cmd == texts{"/bin/hello"});
    CHECK(first.digest == image.digest);
    CHECK(read(first.rootfs / "bin/hello") == "hello");
    CHECK(h.store->holders() == texts{"web.0", "web.1"});
  }
  THEN("nobody but us looks into the store") {
    CHECK((fs::status(h.at).permissions() & fs::perms::all) == fs::perms::owner_all);
  }
  THEN("another name may be given, and 'web' is also 'web:latest'") {
    h.store->import(source.path, "other:latest");
    CHECK(h.store->find("other")->name == "other:latest");
    h.store->import(source.path, "plain");
    CHECK(h.store->find("plain:latest")->name == "plain");
    CHECK(h.store->list().size() == 3);
    CHECK(h.roots().size() == 1);
  }
  THEN("importing it again changes nothing") {
    CHECK(h.store->import(source.path) == image);
    CHECK(h.roots().size() == 1);
  }
  THEN("it is there after a restart") {
    h.reopen();
    CHECK(h.store->list() == std::vector{image});
  }
  THEN("the store is itself a layout that can be imported") {
    auto other = image_store{h.place.path / "other", quick()};
    CHECK(other.import(h.at).digest == image.digest);
  }
}

SCENARIO("a workload image is imported from archives of every kind") {
  auto h = house{};
  const auto packed = tar_of({{"bin/hello", 'f', "hello", 0755}}, packing::gzip);
  const auto source =
      layout{h.place.path / "layout", {packed}, "web:v1", {}, {tar_of({{"bin/hello", 'f', "hello", 0755}})}};
  for (const auto how : {packing::plain, packing::gzip, packing::zstd}) {
    const auto file = h.place.path / "archive";
    write(file, tar_of(items_of(source.path), how));
    CHECK(h.store->import(file).digest == source.manifest);
    CHECK(read(h.store->acquire("web:v1", "a").rootfs / "bin/hello") == "hello");
  }
}

SCENARIO("a workload image is imported from what `docker save` writes") {
  auto h = house{};
  const auto upper = tar_of({{"bin/more", 'f', "more"}});
  const auto config = write_description({.os = "linux",
                                         .architecture = host_architecture(),
                                         .config = {.cmd = {"/bin/hello"}},
                                         .diff_ids = {digest_of(hello), digest_of(upper), digest_of(upper)}});
  const auto config_name = std::string{digits_of(digest_of(config))} + ".json";
  auto members = std::vector<item>{
      {"one/layer.tar", 'f', hello},
      {"two/layer.tar", 'f', upper},
      {"three/layer.tar", 'l', "../two/layer.tar"},
      {config_name, 'f', config},
      {"manifest.json", 'f',
       R"([{"Config":")" + config_name +
           R"(","RepoTags":["shop/web:v2"],"Layers":["one/layer.tar","two/layer.tar","three/layer.tar"]}])"}};
  const auto file = h.place.path / "saved.tar";
  WHEN("it is honest") {
    for (const auto how : {packing::plain, packing::gzip}) {
      write(file, tar_of(members, how));
      const auto image = h.store->import(file);
      CHECK(image.name == "shop/web:v2");
      const auto use = h.store->acquire("shop/web:v2", "w");
      CHECK(read(use.rootfs / "bin/hello") == "hello");
      CHECK(read(use.rootfs / "bin/more") == "more");
      CHECK(use.config.cmd == texts{"/bin/hello"});
    }
  }
  WHEN("a layer was changed") {
    members[1].content = tar_of({{"bin/more", 'f', "evil"}});
    write(file, tar_of(members));
    const auto problem = h.refusal(file);
    CHECK(problem.problem == image_problem::corrupt);
    CHECK(contains(problem.what(), digest_of(members[1].content)));
  }
  WHEN("the configuration was changed") {
    members[3].content += " ";
    write(file, tar_of(members));
    CHECK(contains(h.refusal(file).what(), digest_of(config)));
  }
  WHEN("a layer is missing") {
    members.erase(members.begin());
    write(file, tar_of(members));
    CHECK(contains(h.refusal(file).what(), "one/layer.tar is missing"));
  }
  WHEN("there are fewer layers than the configuration says") {
    members.back().content = R"([{"Config":")" + config_name + R"(","RepoTags":null,"Layers":["one/layer.tar"]}])";
    write(file, tar_of(members));
    CHECK(h.refusal(file).problem == image_problem::corrupt);
  }
  WHEN("a link leads out of the archive") {
    members[2].content = "../../../etc/passwd";
    write(file, tar_of(members));
    CHECK(h.refusal(file).problem == image_problem::hostile);
  }
}

SCENARIO("a workload image whose blobs are not what they should be is refused, by the blob's name") {
  auto h = house{};
  const auto source = layout{h.place.path / "layout", {hello}};
  const auto layer = digest_of(hello);
  const auto refusal = [&] {
    write(h.place.path / "archive", tar_of(items_of(source.path)));
    const auto problem = h.refusal(h.place.path / "archive");
    CHECK(problem.what() == std::string{h.refusal(source.path).what()});
    return problem;
  };
  WHEN("one byte differs") {
    auto changed = hello;
    changed[1000] ^= 1;
    write(blob_in(source.path, layer), changed);
    const auto problem = refusal();
    CHECK(problem.problem == image_problem::corrupt);
    CHECK(contains(problem.what(), layer));
  }
  WHEN("one is shorter") {
    write(blob_in(source.path, layer), hello.substr(0, 512));
    CHECK(contains(refusal().what(), layer + " has 512 bytes"));
  }
  WHEN("one is missing") {
    fs::remove(blob_in(source.path, layer));
    CHECK(contains(refusal().what(), layer + " is missing"));
  }
  WHEN("the manifest was changed") {
    auto text = read(blob_in(source.path, source.manifest));
    text[text.size() / 2] ^= 1;
    write(blob_in(source.path, source.manifest), text);
    CHECK(contains(refusal().what(), source.manifest));
  }
  WHEN("it is there in a good copy already, the bad one is still refused") {
    h.store->import(source.path);
    write(blob_in(source.path, layer), std::string(hello.size(), 'x'));
    CHECK(contains(refusal_of([&] { h.store->import(source.path); }).what(), layer));
    CHECK(h.store->list().size() == 1);
    CHECK(read(h.store->acquire("web:v1", "a").rootfs / "bin/hello") == "hello");
  }
  WHEN("a blob of a layout directory is a link to elsewhere, or no file") {
    write(h.place.path / "elsewhere", hello);
    fs::remove(blob_in(source.path, layer));
    fs::create_symlink(h.place.path / "elsewhere", blob_in(source.path, layer));
    CHECK(h.refusal(source.path).problem == image_problem::corrupt);
    fs::remove(blob_in(source.path, layer));
    REQUIRE(::mkfifo(blob_in(source.path, layer).c_str(), 0600) == 0);
    CHECK(h.refusal(source.path).problem == image_problem::corrupt);
  }
  WHEN("a layer does not unpack to what the configuration says") {
    const auto other = layout{h.place.path / "other", {hello}, "x", {}, {"something else"}};
    const auto problem = h.refusal(other.path);
    CHECK(problem.problem == image_problem::corrupt);
    CHECK(contains(problem.what(), layer));
  }
}

SCENARIO("a hostile workload image is refused and leaves nothing behind") {
  auto h = house{};
  const auto hostile = std::vector<std::vector<item>>{{{"../evil", 'f', "x"}},
                                                      {{"/evil", 'f', "x"}},
                                                      {{"up", 'l', "../../.."}, {"up/evil", 'f', "x"}},
                                                      {{"evil", 'h', "../../index.json"}},
                                                      {{".wh...", 'f', ""}}};
  for (const auto& items : hostile) {
    fs::remove_all(h.place.path / "layout");
    const auto source = layout{h.place.path / "layout", {hello, tar_of(items)}};
    const auto problem = h.refusal(source.path);
    CHECK(problem.problem == image_problem::hostile);
    CHECK(contains(problem.what(), digest_of(tar_of(items))));
  }
  CHECK(names_in(h.place.path) == texts{"images", "layout"});
  THEN("so is an archive with members outside") {
    write(h.place.path / "archive", tar_of({{"../evil", 'f', "x"}}));
    CHECK(h.refusal(h.place.path / "archive").problem == image_problem::hostile);
    write(h.place.path / "archive", tar_of({{"/evil", 'f', "x"}}));
    CHECK(h.refusal(h.place.path / "archive").problem == image_problem::hostile);
  }
  THEN("so is one that is larger than allowed") {
    auto settings = quick();
    settings.limits.blob_bytes_max = 1000;
    auto store = image_store{h.place.path / "small", settings};
    const auto source = layout{h.place.path / "large", {hello}};
    CHECK(refusal_of([&] { store.import(source.path); }).problem == image_problem::hostile);
    CHECK(names_in(h.place.path / "small" / "tmp").empty());
  }
  THEN("so is JSON that is too long") {
    const auto source = layout{h.place.path / "long", {hello}};
    write(source.path / "index.json", R"({"manifests":[],"x":")" + std::string(5u << 20, 'x') + "\"}");
    CHECK(h.refusal(source.path).problem == image_problem::hostile);
  }
}

SCENARIO("what is no image is refused in words") {
  auto h = house{};
  write(h.place.path / "text", "this is a text");
  write(h.place.path / "tar", tar_of({{"a", 'f', "x"}}));
  fs::create_directory(h.place.path / "empty");
  for (const auto* name : {"text", "tar", "empty", "missing"})
    CHECK(h.refusal(h.place.path / name).problem == image_problem::bad_request);
  CHECK(h.refusal("/dev/null").problem == image_problem::bad_request);
  const auto source = layout{h.place.path / "layout", {hello}, ""};
  CHECK(contains(refusal_of([&] { h.store->import(source.path); }).what(), "has no name"));
  h.check_empty();
  CHECK(h.refusal(source.path, "no name").problem == image_problem::bad_request);
  CHECK(h.refusal(source.path, source.manifest).problem == image_problem::bad_request);
}

SCENARIO("of an index with several workload images the right one is taken") {
  auto h = house{};
  const auto mine = layout{h.place.path / "a", {hello}, "web:v1"};
  const auto other = tar_of({{"other", 'f', "x"}});
  const auto foreign = layout{h.place.path / "b", {other}, "web:v1", {}, {}, "s390x"};
  for (const auto& item : items_of(foreign.path / "blobs"))
    write(mine.path / "blobs" / item.path, item.content);
  auto entries = read_index(read(mine.path / "index.json"), "").manifests;
  const auto more = read_index(read(foreign.path / "index.json"), "").manifests;
  entries.insert(entries.begin(), more.front());
  WHEN("they are for different machines") {
    write(mine.path / "index.json", write_index({entries}));
    CHECK(h.store->import(mine.path).digest == mine.manifest);
    THEN("the blobs of the others are not kept") {
      CHECK(h.blobs().size() == 3);
    }
  }
  WHEN("the index is behind an index") {
    auto inner = layout::put(mine.path, write_index({entries}), media::index);
    inner.annotations[ref_name] = "multi";
    write(mine.path / "index.json", write_index({{inner}}));
    CHECK(h.store->import(mine.path).digest == mine.manifest);
    CHECK(h.store->find("multi"));
  }
  WHEN("none is for this host") {
    CHECK(h.refusal(foreign.path).problem == image_problem::unsupported);
    auto silent = read_index(read(foreign.path / "index.json"), "").manifests;
    silent.front().os.clear();
    silent.front().architecture.clear();
    write(foreign.path / "index.json", write_index({silent}));
    CHECK(h.refusal(foreign.path).problem == image_problem::unsupported);
  }
  WHEN("they have different names") {
    const auto second = layout{mine.path, {other}, "shop:v3"};
    auto both = read_index(read(mine.path / "index.json"), "").manifests;
    both.push_back(entries.back());
    write(mine.path / "index.json", write_index({both}));
    CHECK(contains(refusal_of([&] { h.store->import(mine.path); }).what(), "shop:v3, web:v1"));
    CHECK(h.store->import(mine.path, "shop:v3").digest == second.manifest);
    CHECK(h.store->import(mine.path, "web:v1").digest == mine.manifest);
  }
  WHEN("indexes point to each other without end") {
    auto inner = layout::put(mine.path, write_index({entries}), media::index);
    for (auto i = 0; i < 6; ++i)
      inner = layout::put(mine.path, write_index({{inner}}), media::index);
    write(mine.path / "index.json", write_index({{inner}}));
    CHECK(h.refusal(mine.path).problem == image_problem::hostile);
  }
}

SCENARIO("an image that a failing disk does not give back waits for the next start of the node") {
  auto h = house{};
  const auto source = layout{h.place.path / "a", {hello}, "web:v1"};
  h.store->import(source.path);
  {
    const auto images = access_to(std::shared_ptr<image_store>{std::move(h.store)});
    REQUIRE(images.acquire("web:v1", "web.0"));
    const auto failing = barred{h.at / "holds"};
    CHECK_NOTHROW(images.release("web.0"));
  }
  h.reopen();
  CHECK(h.store->holders() == texts{"web.0"});
  access_to(std::shared_ptr<image_store>{std::move(h.store)}).release("web.0");
  h.reopen();
  CHECK(h.store->holders().empty());
}

SCENARIO("what no name and no instance needs of a workload image is collected") {
  auto h = house{};
  const auto source = layout{h.place.path / "a", {hello}, "web:v1"};
  h.store->import(source.path);
  WHEN("it is removed") {
    CHECK_FALSE(h.store->remove("web:v2"));
    CHECK(h.store->remove("web:v1"));
    h.check_empty();
    CHECK_FALSE(h.store->remove("web:v1"));
  }
  WHEN("it is removed while an instance runs from it") {
    const auto use = h.store->acquire("web:v1", "web.0");
    h.store->remove("web:v1");
    CHECK(h.store->list().empty());
    CHECK(read(use.rootfs / "bin/hello") == "hello");
    THEN("it stays over a restart, and the instance gets it again") {
      h.reopen();
      CHECK(h.store->holders() == texts{"web.0"});
      CHECK(h.store->acquire(use.digest, "web.0").rootfs == use.rootfs);
      AND_THEN("it goes once it is released") {
        h.store->release("web.0");
        h.store->release("web.0");
        h.store->collect();
        h.check_empty();
      }
    }
  }
  WHEN("a name moves to another image that shares a layer") {
    const auto first = h.store->acquire("web:v1", "old").rootfs;
    const auto next = layout{h.place.path / "b", {hello, tar_of({{"new", 'f', "n"}})}, "web:v1"};
    h.store->import(next.path);
    h.store->release("old");
    CHECK(h.store->collect() == 3); // manifest, configuration, root
    CHECK_FALSE(fs::exists(first));
    CHECK(read(h.store->acquire("web:v1", "new").rootfs / "new") == "n");
  }
  WHEN("a root was lost") {
    fs::remove_all(h.at / "rootfs" / h.roots().front());
    CHECK(read(h.store->acquire("web:v1", "web.0").rootfs / "bin/hello") == "hello");
  }
  WHEN("a holder asks for what is not there") {
    CHECK(refusal_of([&] { h.store->acquire("none", "x"); }).problem == image_problem::not_found);
    CHECK(refusal_of([&] { h.store->acquire("sha256:" + std::string(64, '0'), "x"); }).problem ==
          image_problem::not_found);
    CHECK(refusal_of([&] { h.store->acquire("web:v1", "../x"); }).problem == image_problem::bad_request);
    CHECK(h.store->holders().empty());
  }
}

SCENARIO("an import of a workload image that was killed leaves no trace") {
  auto h = house{};
  const auto source = layout{h.place.path / "a", {hello}, "web:v1"};
  h.store->import(source.path);
  h.store.reset();
  // What kill -9 may leave at each step of an import.
  write(h.at / "tmp" / "import-1-1" / "piece-0", "half a blob");
  write(h.at / "rootfs" / "new-1-2" / "bin" / "half", "half a root");
  write(h.at / "rootfs" / "old-1-3" / "bin" / "half", "half deleted");
  write(h.at / "blobs" / "sha256" / std::string(64, 'e'), "a blob without a name");
  write(h.at / "index.json.new", "half an ind");
  write(h.at / "holds" / "web.0.new", "half");
  h.reopen();
  CHECK(h.store->list().size() == 1);
  CHECK(h.blobs().size() == 3);
  CHECK(h.roots().size() == 1);
  CHECK(names_in(h.at / "tmp").empty());
  CHECK(h.store->holders().empty());
  CHECK(h.store->import(source.path).digest == source.manifest);
}

SCENARIO("concurrent imports and removals of workload images are harmless") {
  auto h = house{};
  const auto source = layout{h.place.path / "a", {hello}, "web:v1"};
  const auto next = layout{h.place.path / "b", {hello, tar_of({{"new", 'f', "n"}})}, "web:v2"};
  auto crowd = std::vector<std::future<void>>{};
  for (auto i = 0; i < 4; ++i)
    crowd.push_back(std::async(std::launch::async, [&, i] {
      for (auto round = 0; round < 8; ++round) {
        h.store->import(source.path);
        h.store->import(next.path);
        const auto holder = "w." + std::to_string(i);
        try {
          const auto use = h.store->acquire("web:v2", holder);
          CHECK(read(use.rootfs / "new") == "n");
        } catch (const image_error& problem) {
          CHECK(problem.problem == image_problem::not_found);
        }
        h.store->release(holder);
        h.store->remove("web:v2");
      }
    }));
  for (auto& each : crowd)
    each.get();
  CHECK(h.store->list().size() == 1);
  h.store->collect();
  CHECK(h.blobs().size() == 3);
  CHECK(h.roots().size() == 1);
  CHECK(read(h.store->acquire("web:v1", "w").rootfs / "bin/hello") == "hello");
}

SCENARIO("blobs of a workload image travel in pieces, may be cut off, and are verified") {
  auto h = house{};
  auto far = image_store{h.place.path / "far", quick()};
  const auto large = tar_of({{"data", 'f', std::string(300'000, 'd')}});
  const auto source = layout{h.place.path / "a", {large}, "web:v1"};
  far.import(source.path);
  const auto content = far.content("web:v1");
  CHECK(content.blobs.size() == 2);
  const auto fetch = [&](const std::string& digest, std::uint64_t until) {
    const auto size = far.read_blob(digest, 0, 0).size;
    const auto download = h.store->begin_download(digest, size);
    while (download->offset() < std::min(until, size))
      download->append(far.read_blob(digest, download->offset(), 50'000).data);
    if (download->offset() == size)
      download->finish();
    return download->offset();
  };
  WHEN("it is cut off, and the node restarts") {
    CHECK(fetch(digest_of(large), 100'000) == 100'000);
    h.reopen();
    CHECK(h.store->begin_download(digest_of(large), large.size())->offset() == 100'000);
    for (const auto& blob : content.blobs)
      fetch(blob, ~0ull);
    h.reopen();
    THEN("it goes on where it was, and ends in an image") {
      CHECK(h.store->admit(content.manifest, "web:v1").digest == source.manifest);
      CHECK(fs::file_size(h.store->acquire("web:v1", "a").rootfs / "data") == 300'000);
      CHECK(names_in(h.at / "ready").empty());
      CHECK(names_in(h.at / "partial").empty());
    }
  }
  WHEN("a byte is wrong") {
    auto download = h.store->begin_download(digest_of(large), large.size());
    download->append(std::string(large.size(), 'x'));
    CHECK(refusal_of([&] { download->finish(); }).problem == image_problem::corrupt);
    download.reset();
    CHECK(h.store->begin_download(digest_of(large), large.size())->offset() == 0);
    CHECK_FALSE(h.store->has_blob(digest_of(large)));
  }
  WHEN("more comes than was announced") {
    const auto download = h.store->begin_download(digest_of(large), 10);
    download->append("0123456789");
    CHECK(refusal_of([&] { download->append("x"); }).problem == image_problem::corrupt);
  }
  WHEN("two want the same blob at a time") {
    const auto download = h.store->begin_download(digest_of(large), 10);
    CHECK(refusal_of([&] { h.store->begin_download(digest_of(large), 10); }).problem == image_problem::bad_request);
  }
  WHEN("not all blobs are there") {
    CHECK(refusal_of([&] { h.store->admit(content.manifest, "web:v1"); }).problem == image_problem::not_found);
    CHECK(h.store->list().empty());
  }
  WHEN("what is asked for is no blob") {
    CHECK(refusal_of([&] { far.read_blob("../../index.json", 0, 10); }).problem == image_problem::not_found);
    CHECK(far.read_blob(source.manifest, 1u << 30, 10).data.empty());
  }
}

SCENARIO("a directory packed as a workload image comes back as it was") {
  auto h = house{};
  const auto tree = h.place.path / "tree";
  write(tree / "bin/tool", std::string(200'000, 't'));
  write(tree / "etc/empty", "");
  fs::create_directories(tree / "var/empty");
  fs::create_symlink("../bin/tool", tree / "etc/link");
  fs::create_hard_link(tree / "bin/tool", tree / "bin/twin");
  write(tree / "f\u0151", "name");
  REQUIRE(::chmod((tree / "bin/tool").c_str(), 04751) == 0);
  REQUIRE(::chmod((tree / "var/empty").c_str(), 01777) == 0);
  const auto config = image_config{.entrypoint = {"/bin/tool"}, .env = {"A=1"}, .exposed_ports = {"80/tcp"}};
  for (const auto compress : {false, true}) {
    const auto out = h.place.path / ("layout-" + std::to_string(static_cast<int>(compress)));
    const auto packed =
        pack_image(tree, config, out, {.name = "t:1", .keep_owners = true, .modified = {}, .compress = compress});
    CHECK(h.store->import(out).digest == packed.digest);
    const auto use = h.store->acquire("t:1", "a");
    CHECK(use.config == config);
    CHECK(look(use.rootfs) == look(tree));
    CHECK(h.store->find("t:1")->size_bytes == packed.size_bytes);
  }
  THEN("the same content is the same image, wherever and whenever it was made") {
    const auto command = "cp -a '" + tree.string() + "' '" + (h.place.path / "copy").string() + "'";
    REQUIRE(std::system(command.c_str()) == 0);
    fs::last_write_time(h.place.path / "copy/bin/tool", fs::file_time_type::clock::now() - std::chrono::hours{1});
    const auto one = pack_image(tree, config, h.place.path / "one");
    const auto two = pack_image(h.place.path / "copy", config, h.place.path / "two");
    CHECK(one.digest == two.digest);
    CHECK(look(h.place.path / "one").size() == look(h.place.path / "two").size());
  }
  THEN("a layout takes several images, and each name once") {
    const auto out = h.place.path / "several";
    pack_image(tree, config, out, {.name = "a"});
    pack_image(tree, {}, out, {.name = "b"});
    pack_image(tree, config, out, {.name = "b"});
    CHECK(read_index(read(out / "index.json"), "").manifests.size() == 2);
  }
  THEN("several that are made at once in one layout all come out whole") {
    const auto out = h.place.path / "at-once";
    constexpr auto makers = 4;
    auto begin = std::latch{makers};
    auto made = std::vector<std::future<packed_image>>{};
    for (auto i = 0; i < makers; ++i)
      made.push_back(std::async(std::launch::async, [&, name = std::string(1, static_cast<char>('a' + i))] {
        write(h.place.path / name / "own", std::string(100'000, name.front()));
        begin.arrive_and_wait();
        return pack_image(h.place.path / name, config, out, {.name = name, .compress = false});
      }));
    for (auto& each : made)
      each.wait();
    CHECK(read_index(read(out / "index.json"), "").manifests.size() == makers);
    for (auto& each : made)
      CHECK_NOTHROW(each.get());
    for (const auto& name : names_in(out / "blobs" / "sha256"))
      CHECK(digest_of(read(out / "blobs" / "sha256" / name)) == "sha256:" + name);
  }
}
