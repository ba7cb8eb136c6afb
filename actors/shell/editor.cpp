#include "actors/shell/editor.hpp"

#include "actors/shell/failure.hpp"
#include "actors/shell/interrupt.hpp"
#include "actors/shell/output.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cwchar>
#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <system_error>
#include <unistd.h>

namespace novacron::shell {
namespace {

constexpr auto history_max = 2'000;
/// Chosen: more than a screen of candidates helps nobody.
constexpr auto shown_max = std::size_t{60};

std::size_t terminal_columns() {
  auto size = winsize{};
  return ::ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

void show(const std::vector<candidate>& candidates, std::size_t common) {
  const auto with_help = std::ranges::any_of(candidates, [](const auto& x) { return !x.help.empty(); });
  // What all share and is not the word itself, as in JSON, is not repeated.
  const auto shown = [&](const candidate& x) { return harmless(x.text.substr(std::min(common, x.text.size()))); };
  auto widest = std::size_t{0};
  for (const auto& x : candidates)
    widest = std::max(widest, width(shown(x)));
  const auto per_line = with_help ? 1 : std::max<std::size_t>(1, terminal_columns() / (widest + 2));
  auto text = std::string{"\n"};
  auto n = std::size_t{0};
  for (const auto& x : candidates) {
    if (n == shown_max)
      break;
    auto cell = shown(x);
    if (with_help)
      cell = "  " + cell + std::string(widest + 2 - width(shown(x)), ' ') + harmless(x.help);
    const auto last = ++n % per_line == 0;
    text += cell + (last ? "\n" : std::string(widest + 2 - width(cell), ' '));
  }
  if (n % per_line != 0)
    text += '\n';
  if (candidates.size() > shown_max)
    text += "... " + std::to_string(candidates.size() - shown_max) + " more\n";
  std::fputs(text.c_str(), stdout);
}

/// The next key for the library: 1, 0 at the end, -1 with EINTR on Ctrl-C. It waits here and not in read(), where a
/// Ctrl-C that came just before would be waited past.
int next_key(EditLine*, wchar_t* key) {
  auto state = std::mbstate_t{};
  while (true) {
    try {
      interrupt::wait(STDIN_FILENO, POLLIN, -1);
    } catch (const interrupted&) {
      errno = EINTR;
      return -1;
    } catch (const reader_gone&) {
      return 0;
    }
    auto byte = char{};
    const auto count = ::read(STDIN_FILENO, &byte, 1);
    if (count < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    if (count <= 0)
      return static_cast<int>(count);
    // What is left of a Ctrl-D that was typed while something ran and the terminal edited lines by itself.
    if (byte == '\0')
      byte = '\x04';
    const auto used = std::mbrtowc(key, &byte, 1, &state);
    if (used == static_cast<std::size_t>(-1))
      state = {}; // no character of this locale; the next byte may begin one
    else if (used != static_cast<std::size_t>(-2))
      return 1;
  }
}

} // namespace

struct editor::inner {
  EditLine* line = nullptr;
  History* past = nullptr;
  std::filesystem::path file;
  std::function<std::string()> prompt;
  std::function<offer(const std::string&)> completer;
  std::string shown_prompt;

  static inner& of(EditLine* x) {
    void* data = nullptr;
    ::el_get(x, EL_CLIENTDATA, &data);
    return *static_cast<inner*>(data);
  }

  static char* give_prompt(EditLine* x) { return of(x).shown_prompt.data(); }

  static unsigned char complete(EditLine* x, int) {
    const auto* now = ::el_line(x);
    const auto before = std::string(now->buffer, static_cast<std::size_t>(now->cursor - now->buffer));
    const auto found = of(x).completer(before);
    if (found.candidates.empty())
      return CC_REFRESH_BEEP;
    const auto fragment = before.substr(std::min(found.start, before.size()));
    const auto more = completed(fragment, found.candidates);
    if (!more.empty()) {
      ::el_insertstr(x, more.c_str());
      return CC_REFRESH;
    }
    if (found.candidates.size() == 1)
      return CC_REFRESH;
    const auto json = fragment.find_last_of("{[,:\"");
    show(found.candidates, json == fragment.npos ? 0 : json + 1);
    return CC_REDISPLAY;
  }
};

std::string completed(const std::string& fragment, const std::vector<candidate>& candidates) {
  auto common = candidates.front().text;
  for (const auto& x : candidates) {
    const auto [end, unused] = std::ranges::mismatch(common, x.text);
    common.erase(end, common.end());
  }
  if (common.size() < fragment.size())
    return {};
  auto more = common.substr(fragment.size());
  if (candidates.size() == 1 && candidates.front().whole)
    more += ' ';
  return more;
}

namespace {

/// Under another name until all of it is there: a full disk must not cost what was typed before.
void keep_history(History* past, const std::filesystem::path& file) {
  auto unknown = std::error_code{};
  // Who links it elsewhere, or to /dev/null, means that.
  const auto whole = std::filesystem::weakly_canonical(file, unknown);
  if (unknown || (std::filesystem::exists(whole, unknown) && !std::filesystem::is_regular_file(whole, unknown)))
    return;
  const auto draft = whole.string() + ".new." + std::to_string(::getpid());
  // What people type may hold secrets.
  ::unlink(draft.c_str());
  const auto fd = ::open(draft.c_str(), O_CREAT | O_EXCL | O_CLOEXEC | O_WRONLY, 0600);
  auto* out = fd < 0 ? nullptr : ::fdopen(fd, "w");
  if (!out)
    return;
  auto event = HistEvent{};
  const auto written =
      ::history(past, &event, H_SAVE_FP, out) >= 0 && std::fflush(out) == 0 && !std::ferror(out) && ::fsync(fd) == 0;
  if (std::fclose(out) != 0 || !written || ::rename(draft.c_str(), whole.c_str()) != 0)
    ::unlink(draft.c_str());
}

} // namespace

editor::editor(std::filesystem::path history_file, std::function<std::string()> prompt,
               std::function<offer(const std::string&)> completer)
    : in{std::make_unique<inner>()} {
  in->file = std::move(history_file);
  in->prompt = std::move(prompt);
  in->completer = std::move(completer);
  auto event = HistEvent{};
  in->past = ::history_init();
  ::history(in->past, &event, H_SETSIZE, history_max);
  ::history(in->past, &event, H_SETUNIQUE, 1);
  if (!in->file.empty())
    ::history(in->past, &event, H_LOAD, in->file.c_str());
  in->line = ::el_init("novacron", stdin, stdout, stderr);
  ::el_set(in->line, EL_CLIENTDATA, in.get());
  ::el_set(in->line, EL_EDITOR, "emacs");
  ::el_set(in->line, EL_HIST, ::history, in->past);
  ::el_set(in->line, EL_PROMPT, &inner::give_prompt);
  ::el_set(in->line, EL_GETCFN, &next_key);
  ::el_set(in->line, EL_ADDFN, "novacron-complete", "complete the word at the cursor", &inner::complete);
  ::el_set(in->line, EL_BIND, "^I", "novacron-complete", nullptr);
  ::el_set(in->line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  ::el_source(in->line, nullptr);
}

editor::~editor() {
  ::el_end(in->line);
  if (!in->file.empty())
    keep_history(in->past, in->file);
  ::history_end(in->past);
}

editor::event editor::read(std::string& line) {
  in->shown_prompt = in->prompt();
  auto count = 0;
  errno = 0;
  // The library would show the prompt first: what is typed at once, such as Ctrl-D, would go to a terminal that still
  // edits lines by itself.
  ::el_set(in->line, EL_PREP_TERM, 1);
  const auto* text = ::el_gets(in->line, &count);
  if (!text || count <= 0) {
    const auto stopped = count == -1 && errno == EINTR;
    std::fputs(stopped ? "^C\n" : "\n", stdout);
    std::fflush(stdout);
    if (stopped)
      ::el_reset(in->line);
    return stopped ? event::interrupted : event::ended;
  }
  line.assign(text, static_cast<std::size_t>(count));
  while (line.ends_with('\n') || line.ends_with('\r'))
    line.pop_back();
  if (line.find_first_not_of(" \t") != line.npos) {
    auto event = HistEvent{};
    ::history(in->past, &event, H_ENTER, line.c_str());
  }
  return event::line;
}

} // namespace novacron::shell
