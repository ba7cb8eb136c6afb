#include "actors/shell/output.hpp"

#include "actors/shell/failure.hpp"
#include "actors/shell/interrupt.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ostream>
#include <utility>

namespace novacron::shell {
namespace {

constexpr auto gap = std::size_t{3};
/// Chosen: a column that must shrink keeps enough to recognise what is in it.
constexpr auto least_width = std::size_t{8};

std::string cut(const std::string& text, std::size_t limit) {
  if (width(text) <= limit)
    return text;
  auto out = std::string{};
  auto count = std::size_t{0};
  for (const auto c : text) {
    const auto starts = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (starts && ++count >= limit)
      break;
    out += c;
  }
  return out + "…";
}

std::string padded(const std::string& shown, std::size_t taken, std::size_t wanted, bool right) {
  const auto spaces = std::string(wanted > taken ? wanted - taken : 0, ' ');
  return right ? spaces + shown : shown + spaces;
}

/// Takes what is too much from the widest column, again and again.
void shrink(std::vector<std::size_t>& widths, std::size_t limit) {
  const auto total = [&] {
    auto sum = gap * (widths.size() - 1);
    for (const auto x : widths)
      sum += x;
    return sum;
  };
  for (auto sum = total(); sum > limit; --sum) {
    const auto widest = std::ranges::max_element(widths);
    if (*widest <= least_width)
      return;
    --*widest;
  }
}

void print_names(std::ostream& out, const table& x, bool with_noun) {
  for (const auto& row : x.rows)
    if (!row.empty())
      out << (with_noun && !x.noun.empty() ? x.noun + "/" : "") << harmless(row.front()) << '\n';
}

bool plain_in_yaml(const std::string& text) {
  static constexpr auto words = std::array{"null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE",
                                           "yes",  "Yes",  "YES",  "no",   "No",   "NO",   "on",    "On",    "ON",
                                           "off",  "Off",  "OFF",  "y",    "Y",    "n",    "N",     "nan",   "inf"};
  if (text.empty() || std::ranges::find(words, text) != words.end())
    return false;
  const auto letter = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/';
  };
  // Whatever begins with a digit, sign or dot may be a number, a time or a version.
  return letter(static_cast<unsigned char>(text.front())) && std::ranges::all_of(text, [&](unsigned char c) {
           return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
         });
}

std::string yaml_text(const std::string& text) {
  // Every JSON string is a YAML string.
  return plain_in_yaml(text)
             ? text
             : nlohmann::ordered_json(text).dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

void write_yaml(std::string& out, const nlohmann::ordered_json& x, std::size_t depth, bool in_list) {
  const auto indent = std::string(depth * 2, ' ');
  const auto child = [&](const nlohmann::ordered_json& value) {
    if (value.is_structured() && !value.empty()) {
      out += '\n';
      write_yaml(out, value, depth + 1, false);
    } else {
      out += ' ';
      write_yaml(out, value, 0, false);
    }
  };
  if (x.is_object() && !x.empty()) {
    auto first = in_list;
    for (const auto& [key, value] : x.items()) {
      out += (std::exchange(first, false) ? std::string{} : indent) + yaml_text(key) + ":";
      child(value);
    }
  } else if (x.is_array() && !x.empty()) {
    for (const auto& value : x) {
      out += indent + "-";
      if (value.is_object() && !value.empty()) {
        out += ' ';
        write_yaml(out, value, depth + 1, true);
      } else
        child(value);
    }
  } else
    out += (x.is_string() ? yaml_text(x.get<std::string>()) : x.dump()) + "\n";
}

} // namespace

format parse_format(std::string_view text) {
  using enum format;
  static constexpr auto names =
      std::array{std::pair{"wide", wide}, std::pair{"json", json}, std::pair{"yaml", yaml}, std::pair{"name", name}};
  for (const auto& [known, value] : names)
    if (known == text)
      return value;
  return table;
}

std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

std::string harmless(std::string_view text) {
  auto out = std::string{};
  for (auto i = std::size_t{0}; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // C1 control characters are two bytes in UTF-8: C2 80 to C2 9F.
    const auto c1 = c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c1)
      ++i;
    out += c < 0x20 || c == 0x7F || c1 ? ' ' : text[i];
  }
  return out;
}

std::string colored(const std::string& cell, const std::string& text) {
  static constexpr auto good = std::array{"running", "ready", "up", "completed", "passing", "serving", "start"};
  static constexpr auto bad = std::array{"failed", "lost", "failing", "refused", "down", "expired"};
  static constexpr auto changing = std::array{"pending", "placed",     "starting",   "stopping", "migrating", "paused",
                                              "drained", "restarting", "connecting", "move",     "stop"};
  const auto among = [&](const auto& words) { return std::ranges::find(words, cell) != words.end(); };
  const auto* code = among(good) ? "32" : among(bad) ? "31" : among(changing) ? "33" : nullptr;
  return code ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

void print(std::ostream& out, const table& x, const output_options& options) {
  if (options.quiet || options.as == format::name)
    return print_names(out, x, !options.quiet);
  auto shown = std::vector<std::size_t>{};
  for (auto i = std::size_t{0}; i < x.columns.size(); ++i)
    if (!x.columns[i].wide || options.as == format::wide)
      shown.push_back(i);
  const auto cell = [&](const std::vector<std::string>& row, std::size_t i) {
    const auto text = i < row.size() ? harmless(row[i]) : std::string{};
    return text.empty() ? std::string{"-"} : text;
  };
  auto widths = std::vector<std::size_t>{};
  for (const auto i : shown) {
    auto most = options.headers ? width(x.columns[i].title) : 0;
    for (const auto& row : x.rows)
      most = std::max(most, width(cell(row, i)));
    widths.push_back(most);
  }
  if (options.columns > 0 && !widths.empty())
    shrink(widths, static_cast<std::size_t>(options.columns));
  const auto line = [&](const auto& text_of, bool paint) {
    auto text = std::string{};
    for (auto n = std::size_t{0}; n < shown.size(); ++n) {
      const auto whole = text_of(shown[n]);
      const auto part = cut(whole, widths[n]);
      const auto last = n + 1 == shown.size();
      text += padded(paint ? colored(whole, part) : part, width(part),
                     last && !x.columns[shown[n]].right ? 0 : widths[n], x.columns[shown[n]].right);
      if (!last)
        text += std::string(gap, ' ');
    }
    out << text << '\n';
  };
  if (options.headers && !shown.empty())
    line([&](std::size_t i) { return x.columns[i].title; }, false);
  for (const auto& row : x.rows)
    line([&](std::size_t i) { return cell(row, i); }, options.color);
}

void deliver(std::ostream& out) {
  errno = 0;
  out.flush();
  if (out)
    return;
  const auto reason = errno;
  if (interrupt::reader_is_gone())
    throw reader_gone{};
  throw failure{exit_code::failed,
                fmt::format("cannot write the output{}{}", reason ? ": " : "", reason ? std::strerror(reason) : "")};
}

std::string to_yaml(std::string_view json) {
  const auto parsed = nlohmann::ordered_json::parse(json, nullptr, false);
  auto out = std::string{};
  if (!parsed.is_discarded())
    write_yaml(out, parsed, 0, false);
  return out;
}

std::string pretty_json(std::string_view json) {
  const auto parsed = nlohmann::ordered_json::parse(json, nullptr, false);
  return parsed.is_discarded() ? std::string{json}
                               : parsed.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace novacron::shell
