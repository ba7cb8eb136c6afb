#include "actors/shell/words.hpp"

#include <doctest/doctest.h>

using namespace novacron::shell;
using lines = std::vector<std::vector<std::string>>;

SCENARIO("a line of the shell becomes commands and words") {
  CHECK(split("node list; ps -o json").commands == lines{{"node", "list"}, {"ps", "-o", "json"}});
  CHECK(split("  ps # all of them; really\nnode list").commands == lines{{"ps"}, {"node", "list"}});
  CHECK(split("# nothing").commands.empty());
  CHECK(split(";;;").commands.empty());
  CHECK(split("echo a#b").commands == lines{{"echo", "a#b"}});
}

SCENARIO("quotes keep words together") {
  CHECK(split("exec web.0 sh -c 'echo \"a;b\" # c'").commands ==
        lines{{"exec", "web.0", "sh", "-c", "echo \"a;b\" # c"}});
  CHECK(split(R"(a "b \"c\" \n" d\ e)").commands == lines{{"a", R"(b "c" \n)", "d e"}});
  CHECK(split("a '' b").commands == lines{{"a", "", "b"}});
  CHECK(split("a'b c'd").commands == lines{{"ab cd"}});
  CHECK(split("a 'b").error == "a quote is never closed: '");
  CHECK(split("a \"b").error == "a quote is never closed: \"");
}

SCENARIO("JSON needs no quotes") {
  CHECK(split(R"(ask s Submit {"spec": {"name": "a; } b"}} ; ps)").commands ==
        lines{{"ask", "s", "Submit", R"({"spec": {"name": "a; } b"}})"}, {"ps"}});
  CHECK(split(R"(ask s M {"a": "\"}"})").commands == lines{{"ask", "s", "M", R"({"a": "\"}"})"}});
  CHECK(split("ask s M {\"a\"").error == "a '{' is never closed");
}

SCENARIO("an unfinished line shows the word at its end") {
  const auto word = split_unfinished("node sh");
  CHECK(word.words == std::vector<std::string>{"node"});
  CHECK(word.fragment == "sh");
  CHECK(word.start == 5);
  const auto space = split_unfinished("ps; node ");
  CHECK(space.words == std::vector<std::string>{"node"});
  CHECK(space.fragment.empty());
  CHECK(space.start == 9);
  const auto quoted = split_unfinished("ask s M '{\"na");
  CHECK(quoted.words == std::vector<std::string>{"ask", "s", "M"});
  CHECK(quoted.fragment == "{\"na");
  CHECK(quoted.start == 9);
  CHECK(split_unfinished("").fragment.empty());
}
