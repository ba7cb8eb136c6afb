#include "actors/shell/program.hpp"

#include "actors/shell/move_picture.hpp"
#include "spec/shell/fake_fabric.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

using namespace novacron::shell;
namespace wire = novacron::v1;

namespace {

struct outcome {
  int code = 0;
  std::string out;
  std::string err;
};

outcome run_on(const fake_fabric& fabric, std::vector<std::string> words) {
  words.insert(words.begin(), "--connect=" + fabric.path());
  auto out = std::ostringstream{};
  auto err = std::ostringstream{};
  auto within = program{{}, {.out = out, .err = err}};
  const auto code = within.run(words);
  return {code, out.str(), err.str()};
}

const auto made = std::string{
    R"({"name":"db.0-17","instance":"db.0","source":"edge-1","target":"edge-2","phase":"moved","cause":"drain",)"
    R"("began_ms":"1000","ended_ms":"3400","bytes":"1048576","passes":2,"still_seconds":0.018,)"
    R"("expected":{"seconds":2.0,"still_seconds":0.03},"course":[)"
    R"({"seconds":2.0,"bytes":"1000000","pages":"4096","written":"12"},{"seconds":0.01,"bytes":"48576","pages":"12"}]})"};
const auto kept = std::string{R"({"name":"db.0-9","instance":"db.0","source":"edge-1","target":"edge-3",)"
                              R"("phase":"kept","reason":"its disk is full","ended_ms":"900"})"};

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

} // namespace

SCENARIO("what moves is listed apart from what has moved, with what was expected of it") {
  auto fabric = fake_fabric{[&](const fake_request& x) {
    return answer(x.line.ends_with("state=over") ? R"({"migrations":[)" + kept + "," + made + "]}" : "{}");
  }};
  CHECK(run_on(fabric, {"migration", "list"}).code == 0);
  CHECK(fabric.asked().back().line == "GET /v1/migrations?state=moving");
  const auto past = run_on(fabric, {"migration", "history"});
  CHECK(fabric.asked().back().line == "GET /v1/migrations?state=over");
  INFO(past.out);
  for (const auto* part : {"db.0-9", "kept", "its disk is full", "db.0-17", "moved", "2.4 s", "2.0 s", "18 ms",
                           "30 ms", "1MiB"})
    CHECK(has(past.out, part));
  CHECK(run_on(fabric, {"migration", "history", "-o", "name"}).out == "migration/db.0-9\nmigration/db.0-17\n");
}

SCENARIO("a move is shown with its passes, and drawn") {
  auto fabric = fake_fabric{[&](const fake_request& x) { return answer(x.line.ends_with("db.0-9") ? kept : made); }};
  const auto shown = run_on(fabric, {"migration", "show", "db.0-17"});
  INFO(shown.out);
  for (const auto* part : {"drain", "2.4 s, stood still 18 ms, 1MiB in 2 passes", "16MiB", "48KiB"})
    CHECK(has(shown.out, part));
  const auto file = fabric.path() + ".svg";
  CHECK(run_on(fabric, {"migration", "show", "db.0-17", "--plot=" + file}).code == 0);
  auto read = std::ifstream{file};
  const auto picture = std::string{std::istreambuf_iterator<char>{read}, {}};
  CHECK(picture.starts_with("<svg "));
  CHECK(picture.ends_with("</svg>\n"));
  CHECK(has(picture, "db.0-17: edge-1 to edge-2, moved"));
  std::filesystem::remove(file);
  // Of one whose passes nobody knows there is nothing to draw, and a file that cannot be written is named.
  CHECK(run_on(fabric, {"migration", "show", "db.0-9", "--plot=" + file}).code == 4);
  CHECK_FALSE(std::filesystem::exists(file));
  CHECK(has(run_on(fabric, {"migration", "show", "db.0-17", "--plot=/proc/no/such"}).err, "/proc/no/such"));
}

SCENARIO("a picture holds whatever a source said of its passes") {
  auto x = wire::Migration{};
  CHECK(draw_move(x).empty());
  x.set_name("<a&b>");
  auto& pass = *x.add_course();
  CHECK(has(draw_move(x), "&lt;a&amp;b&gt;"));
  pass.set_seconds(-1);
  pass.set_bytes(~std::uint64_t{0});
  pass.set_pages(~std::uint64_t{0});
  const auto drawn = draw_move(x);
  CHECK_FALSE(has(drawn, "nan"));
  CHECK_FALSE(has(drawn, "inf"));
}

SCENARIO("who drains a node is told what becomes of each instance") {
  auto looks = 0;
  auto fabric = fake_fabric{[&](const fake_request& x) -> std::string {
    if (x.line == "GET /v1/nodes/edge-1/drain")
      return answer(R"({"steps":[{"instance":"db.0","action":"migrate","node":"edge-2"},)"
                    R"({"instance":"web.0","action":"move","node":"edge-3","reason":"it has a network"},)"
                    R"({"instance":"big.0","action":"pending","reason":"2 nodes: 2 lack memory"}],)"
                    R"("summary":"1 to move","feasible":false})");
    if (x.line == "GET /v1/instances?node=edge-1")
      return answer(++looks == 1 ? R"({"instances":[{"name":"db.0","phase":"PHASE_RUNNING","reason":"moves to edge-2"}]})"
                                 : "{}");
    if (x.line == "GET /v1/instances?workload=db")
      return answer(R"({"instances":[{"name":"db.0","node":"edge-2","phase":"PHASE_RUNNING"}]})");
    if (x.line == "GET /v1/nodes/edge-1")
      return answer(looks < 2 ? R"({"instances":1})" : "{}");
    return answer(R"({"index":"3"})");
  }};
  const auto planned = run_on(fabric, {"drain", "edge-1", "--check"});
  CHECK(planned.code == 4);
  CHECK(has(planned.out, "it has a network"));
  CHECK(has(planned.out, "1 to move"));
  CHECK(fabric.asked().size() == 1);
  const auto said = run_on(fabric, {"drain", "edge-1", "--wait"});
  INFO(said.err);
  CHECK(said.code == 0);
  for (const auto* part :
       {"edge-1 is being drained", "db.0 moves to edge-2 while it runs", "web.0 is stopped, and starts on edge-3: it has",
        "big.0 stays until there is room for it elsewhere: 2 nodes", "db.0 is running: moves to edge-2",
        "db.0 is on edge-2, running"})
    CHECK(has(said.err, part));
  CHECK(run_on(fabric, {"drain", "edge-1", "-q"}).err.empty());
}

SCENARIO("a controller that knows no plan for a drain still drains") {
  auto fabric = fake_fabric{[](const fake_request& x) {
    return x.line.ends_with("/drain") ? answer(R"({"title":"No"})", 404, "application/problem+json")
                                      : answer(R"({"index":"3"})");
  }};
  const auto said = run_on(fabric, {"drain", "edge-1"});
  CHECK(said.code == 0);
  CHECK(said.err == "edge-1 is being drained\n");
}
