#include "actors/workload/image_layer.hpp"
#include "spec/workload/image_kit.hpp"

#include <fcntl.h>

using namespace image_kit;

namespace {

/// A root inside a larger directory: what is written next to it is an escape.
struct stage {
  scratch place;
  fs::path root = place.path / "root";
  image_limits limits;
  std::string diff_id;

  stage() {
    fs::create_directory(root);
    write(place.path / "outside", "untouched");
  }

  void apply(const std::vector<std::string>& layers) {
    auto unpacker = layer_unpacker{root, limits};
    for (const auto& layer : layers) {
      write(place.path / "layer", layer);
      const auto file = owned_fd{::open((place.path / "layer").c_str(), O_RDONLY | O_CLOEXEC)};
      diff_id = unpacker.apply(file.get(), "layer");
    }
    unpacker.finish();
  }

  image_error refusal(const std::vector<std::vector<item>>& layers) {
    auto tars = std::vector<std::string>{};
    for (const auto& layer : layers)
      tars.push_back(tar_of(layer));
    const auto problem = refusal_of([&] { apply(tars); });
    CHECK(names_in(place.path) == std::vector<std::string>{"layer", "outside", "root"});
    CHECK(read(place.path / "outside") == "untouched");
    return problem;
  }
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

} // namespace

SCENARIO("a workload image's layer is unpacked as it is") {
  auto s = stage{};
  const auto tar = tar_of({{"./", 'd', "", 0755},
                           {"bin/", 'd', "", 0711},
                           {"bin/tool", 'f', "content", 04755, 7},
                           {"bin/link", 'l', "/etc/../tool"},
                           {"bin/twin", 'h', "bin/tool"},
                           {"run/pipe", 'p', "", 0600},
                           {"dev/null", 'c'},
                           {"deep/er/file", 'f', "x"},
                           {"f\u0151tan\u00fas\u00edtv\u00e1ny", 'f', "name"}});
  for (const auto how : {0, 1, 2}) {
    s.apply({how == 0 ? tar : tar_of({{"a", 'f', "1"}}, how == 1 ? packing::gzip : packing::zstd)});
    if (how > 0)
      CHECK(read(s.root / "a") == "1");
  }
  struct stat status {};
  REQUIRE(::lstat((s.root / "bin/tool").c_str(), &status) == 0);
  CHECK(read(s.root / "bin/tool") == "content");
  CHECK((status.st_mode & 07777) == 04755);
  CHECK(status.st_mtim.tv_sec == 1'600'000'000);
  CHECK(status.st_nlink == 2);
  if (::geteuid() == 0)
    CHECK(status.st_uid == 7);
  CHECK(fs::read_symlink(s.root / "bin/link") == "/etc/../tool");
  CHECK(read(s.root / "bin/twin") == "content");
  CHECK(fs::is_fifo(s.root / "run/pipe"));
  CHECK(read(s.root / "f\u0151tan\u00fas\u00edtv\u00e1ny") == "name");
  REQUIRE(::lstat((s.root / "bin").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0711);
  CHECK(status.st_mtim.tv_sec == 1'600'000'000);
  THEN("a device node is left out") {
    CHECK_FALSE(fs::exists(s.root / "dev/null"));
  }
}

SCENARIO("the diff_id of a workload image's layer is that of the plain tar") {
  auto s = stage{};
  const auto items = std::vector<item>{{"a", 'f', std::string(100'000, 'a')}};
  for (const auto how : {packing::plain, packing::gzip, packing::zstd}) {
    s.apply({tar_of(items, how)});
    CHECK(s.diff_id == digest_of(tar_of(items)));
  }
  THEN("bytes behind the end of the tar count too") {
    s.apply({tar_of(items) + std::string(100'000, 'z')});
    CHECK(s.diff_id == digest_of(tar_of(items) + std::string(100'000, 'z')));
  }
  THEN("an empty layer is one") {
    s.apply({""});
    CHECK(s.diff_id == digest_of(""));
  }
}

SCENARIO("whiteouts of a workload image hide what lies below, and only that") {
  auto s = stage{};
  WHEN("a file and a directory are whited out") {
    s.apply({tar_of({{"a/x", 'f', "1"}, {"a/y", 'f', "2"}, {"b/z", 'f', "3"}}),
             tar_of({{"a/.wh.x"}, {".wh.b"}, {".wh.nothing"}, {".wh..wh.plnk"}})});
    CHECK(names_in(s.root) == std::vector<std::string>{"a"});
    CHECK(names_in(s.root / "a") == std::vector<std::string>{"y"});
  }
  WHEN("a directory is opaque") {
    s.apply({tar_of({{"a/b/old", 'f', "1"}, {"a/c/old", 'f', "2"}, {"a/old", 'f', "3"}}),
             tar_of({{"a/b/new", 'f', "4"}, {"a/.wh..wh..opq"}, {"a/late", 'f', "5"}})});
    THEN("its own layer's files stay, before and after the mark, and lower ones go at any depth") {
      CHECK(names_in(s.root / "a") == std::vector<std::string>{"b", "late"});
      CHECK(names_in(s.root / "a/b") == std::vector<std::string>{"new"});
    }
  }
  WHEN("a layer whites out what it made itself") {
    s.apply({tar_of({{"a", 'f', "1"}, {".wh.a"}})});
    CHECK(read(s.root / "a") == "1");
  }
  WHEN("kinds change between layers") {
    s.apply({tar_of({{"a/b/c", 'f', "1"}, {"l", 'l', "/etc"}}),
             tar_of({{"a", 'f', "now a file"}, {"l", 'd'}, {"l/inside", 'f', "3"}})});
    CHECK(read(s.root / "a") == "now a file");
    CHECK(fs::is_directory(fs::symlink_status(s.root / "l")));
    CHECK(read(s.root / "l/inside") == "3");
  }
  WHEN("a directory is replaced while the tar goes on in it") {
    s.apply({tar_of({{"a/b/c", 'f', "1"}, {"a", 'f', "file"}, {"a/", 'd'}, {"a/b/", 'd'}, {"a/b/d", 'f', "2"}})});
    CHECK(names_in(s.root / "a/b") == std::vector<std::string>{"d"});
  }
}

SCENARIO("a hostile layer of a workload image is refused and reaches nothing outside") {
  auto s = stage{};
  THEN("'..' is") {
    for (const auto* path : {"../outside", "a/../../outside", "..", "a/.."}) {
      const auto problem = s.refusal({{{path, 'f', "x"}}});
      CHECK(problem.problem == image_problem::hostile);
    }
  }
  THEN("an absolute path is") {
    const auto problem = s.refusal({{{(s.place.path / "evil").string(), 'f', "x"}}});
    CHECK(problem.problem == image_problem::hostile);
    CHECK(contains(problem.what(), "absolute"));
  }
  THEN("a file behind a symbolic link is, in one layer and over two, and the link itself is kept harmless") {
    for (const auto* target : {"..", "/", "../..", "."}) {
      CHECK(s.refusal({{{"up", 'l', target}, {"up/evil", 'f', "x"}}}).problem == image_problem::hostile);
      CHECK(s.refusal({{{"up", 'l', target}}, {{"up/evil", 'f', "x"}}}).problem == image_problem::hostile);
      CHECK(s.refusal({{{"up", 'l', target}}, {{"up/deep/evil", 'f', "x"}}}).problem == image_problem::hostile);
      CHECK(s.refusal({{{"up", 'l', target}}, {{"up/.wh.outside"}}}).problem == image_problem::hostile);
      CHECK(s.refusal({{{"up", 'l', target}}, {{"up/.wh..wh..opq"}}}).problem == image_problem::hostile);
    }
  }
  THEN("writing over a symbolic link replaces the link") {
    s.apply({tar_of({{"up", 'l', "../outside"}, {"up", 'f', "mine"}})});
    CHECK(read(s.place.path / "outside") == "untouched");
    CHECK(read(s.root / "up") == "mine");
  }
  THEN("a hard link to what is outside is, by name and through a link") {
    CHECK(s.refusal({{{"evil", 'h', "../outside"}}}).problem == image_problem::hostile);
    CHECK(s.refusal({{{"evil", 'h', (s.place.path / "outside").string()}}}).problem == image_problem::hostile);
    CHECK(s.refusal({{{"up", 'l', ".."}, {"evil", 'h', "up/outside"}}}).problem == image_problem::hostile);
    CHECK(s.refusal({{{"evil", 'h', "missing"}}}).problem == image_problem::corrupt);
    CHECK(s.refusal({{{"d/", 'd'}, {"evil", 'h', "d"}}}).problem == image_problem::corrupt);
  }
  THEN("a hard link to a symbolic link is the link, not what it leads to") {
    s.apply({tar_of({{"up", 'l', "../outside"}, {"twin", 'h', "up"}})});
    CHECK(fs::is_symlink(s.root / "twin"));
    CHECK(read(s.place.path / "outside") == "untouched");
  }
  THEN("whiteouts of '.' and '..' are") {
    for (const auto* path : {".wh.", ".wh..", ".wh...", "a/.wh..."})
      CHECK(s.refusal({{{path, 'f', ""}}}).problem == image_problem::hostile);
  }
  THEN("a root that is no directory is") {
    CHECK(s.refusal({{{"./", 'l', "/etc"}}}).problem == image_problem::hostile);
    CHECK(s.refusal({{{".", 'h', "a"}}}).problem == image_problem::hostile);
  }
  THEN("a path that is too deep is") {
    auto path = std::string{};
    for (auto i = 0; i < 129; ++i)
      path += "d/";
    CHECK(s.refusal({{{path, 'd'}}}).problem == image_problem::hostile);
  }
  THEN("an owner that cannot be is") {
    CHECK(s.refusal({{{"a", 'f', "", 0644, 0xffff'ffffL}}}).problem == image_problem::hostile);
  }
}

SCENARIO("an image that is larger than allowed is refused") {
  auto s = stage{};
  s.limits.unpacked_bytes_max = 100'000;
  THEN("by the sum of its files") {
    const auto half = std::string(60'000, 'x');
    s.apply({tar_of({{"a", 'f', half}})});
    CHECK(contains(s.refusal({{{"a", 'f', half}, {"b", 'f', half}}}).what(), "larger than the limit"));
  }
  THEN("by what a small compressed layer becomes") {
    const auto bomb = tar_of({{"a", 'f', std::string(10'000'000, '\0')}}, packing::gzip);
    REQUIRE(bomb.size() < 50'000);
    const auto problem = refusal_of([&] { s.apply({bomb}); });
    CHECK(problem.problem == image_problem::hostile);
  }
  THEN("by a stream behind the end of the tar") {
    const auto problem = refusal_of([&] { s.apply({tar_of({{"a", 'f', "x"}}) + std::string(200'000, 'z')}); });
    CHECK(problem.problem == image_problem::hostile);
  }
  THEN("by a size that only the header claims") {
    auto tar = tar_of({{"a", 'f', "x"}});
    // ustar: size at 124, checksum at 148.
    tar.replace(124, 11, "77777777777");
    tar.replace(148, 8, "        ");
    auto sum = 0u;
    for (auto i = std::size_t{0}; i < 512; ++i)
      sum += static_cast<unsigned char>(tar[i]);
    auto text = std::array<char, 8>{};
    std::snprintf(text.data(), text.size(), "%06o", sum);
    tar.replace(148, 7, text.data(), 7);
    const auto problem = refusal_of([&] { s.apply({tar}); });
    CHECK(problem.problem == image_problem::hostile);
  }
  THEN("by the number of its entries, and both sides of the limit hold") {
    s.limits.entries_max = 3;
    s.apply({tar_of({{"a", 'd'}, {"b", 'd'}, {"c", 'd'}})});
    CHECK(s.refusal({{{"d", 'd'}, {"e", 'd'}, {"f", 'd'}, {"g", 'd'}}}).problem == image_problem::hostile);
  }
  THEN("by the length of its names") {
    s.limits.name_bytes_max = 1000;
    auto many = std::vector<item>{};
    for (auto i = 0; i < 20; ++i)
      many.push_back({std::string(100, 'n') + std::to_string(i), 'd'});
    CHECK(s.refusal({many}).problem == image_problem::hostile);
  }
}

SCENARIO("a damaged layer is refused") {
  auto s = stage{};
  const auto whole = tar_of({{"a", 'f', std::string(5000, 'a')}});
  CHECK(refusal_of([&] { s.apply({whole.substr(0, 2000)}); }).problem == image_problem::corrupt);
  CHECK(refusal_of([&] { s.apply({std::string(5000, 'x')}); }).problem == image_problem::corrupt);
  const auto packed = tar_of({{"a", 'f', std::string(5000, 'a')}}, packing::gzip);
  CHECK(refusal_of([&] { s.apply({packed.substr(0, packed.size() / 2)}); }).problem == image_problem::corrupt);
}
