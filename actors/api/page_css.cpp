#include "actors/api/page.hpp"

namespace novacron::api {

// clang-format off
const std::string_view page_css = R"page(:root {
  color-scheme: light dark;
  --back: #ffffff; --text: #1b1f24; --soft: #57606a; --line: #d0d7de; --card: #f6f8fa;
  --good: #1a7f37; --bad: #b3261e; --turn: #8a5300; --bar: #0969da;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #0d1117; --text: #e6edf3; --soft: #9aa4ae; --line: #30363d; --card: #161b22;
    --good: #56d364; --bad: #ff7b72; --turn: #e3b341; --bar: #58a6ff;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: 0 2rem; align-items: baseline; padding: .6rem 1.2rem; border-bottom: 1px solid var(--line); }
h1 { font-size: 1.3rem; margin: 0; }
h1 span, header p { color: var(--soft); font-weight: normal; font-size: 1rem; margin: 0; }
main { padding: 0 1.2rem 2rem; max-width: 90rem; }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
dl { display: flex; flex-wrap: wrap; gap: .8rem; margin: 0; }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .5rem .9rem; min-width: 9rem; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; white-space: nowrap; }
td.none { color: var(--soft); }
meter { width: 6rem; height: .8rem; vertical-align: middle; }
.good { color: var(--good); } .bad { color: var(--bad); } .turn { color: var(--turn); }
.good::before { content: "\25CF\00A0"; } .bad::before { content: "\25A0\00A0"; } .turn::before { content: "\25B2\00A0"; }
.tree, .tree ul { list-style: none; margin: 0; padding: 0; }
.tree ul { display: flex; flex-wrap: wrap; gap: .8rem; padding: .8rem 0 0 1.4rem; margin-left: .9rem; border-left: 2px solid var(--line); }
.tree .zone { border: 1px dashed var(--line); border-radius: 6px; padding: .5rem; }
.tree .zone > span { display: block; color: var(--soft); font-size: .8rem; }
.tree .zone ul { border: 0; margin: 0; padding: .3rem 0 0; }
.box { display: inline-block; background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .4rem .7rem; min-width: 9rem; }
.box b { display: block; } .box small { color: var(--soft); display: block; }
.box .copies { display: flex; flex-wrap: wrap; gap: .25rem; margin-top: .2rem; }
.box .copies span { border: 1px solid var(--line); border-radius: 4px; padding: 0 .35rem; font-size: .8rem; background: var(--back); }
#events { padding-left: 0; list-style: none; max-height: 24rem; overflow-y: auto; margin: 0; font-variant-numeric: tabular-nums; }
#events li { padding: .15rem 0; border-bottom: 1px solid var(--line); }
#events time { color: var(--soft); margin-right: .6rem; }
button { font: inherit; padding: .1rem .7rem; }
:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
)page";
// clang-format on

} // namespace novacron::api
