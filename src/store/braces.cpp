#include "store/braces.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>

#include "base/error.hpp"
#include "store/store.hpp"

namespace faro::store {
namespace {

constexpr std::uint64_t most_names = 10'000'000;

// A part of a pattern: fixed text, a list of alternatives, or a range of numbers.
struct Part {
  std::vector<std::string> names;
  std::uint64_t first = 0;
  std::uint64_t count = 0;  // numbers of a range; 0: not a range
  std::size_t width = 0;    // digits, with leading zeros

  [[nodiscard]] std::uint64_t size() const { return count > 0 ? count : names.size(); }
  [[nodiscard]] std::string at(std::uint64_t i) const {
    return count > 0 ? fmt::format("{:0{}}", first + i, width) : names[i];
  }
};

bool is_group(std::string_view inner) {
  return inner.find(',') != inner.npos || inner.find("..") != inner.npos;
}

std::uint64_t number(std::string_view text, const std::string& pattern) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc{} && end == text.data() + text.size() && value < (1ull << 62),
        ErrorCode::invalid_argument, "{}: '{}' is not a number; a range is {{000..127}}",
        redacted(pattern), text);
  return value;
}

Part range_part(std::string_view inner, const std::string& pattern) {
  const auto dots = inner.find("..");
  const auto low = inner.substr(0, dots);
  const auto high = inner.substr(dots + 2);
  Part part;
  part.first = number(low, pattern);
  const auto last = number(high, pattern);
  check(part.first <= last, ErrorCode::invalid_argument, "{}: the range {{{}}} runs backwards",
        redacted(pattern), inner);
  part.count = last - part.first + 1;
  const bool padded =
      (low.size() > 1 && low.front() == '0') || (high.size() > 1 && high.front() == '0');
  if (padded) part.width = std::max(low.size(), high.size());
  return part;
}

Part list_part(std::string_view inner) {
  Part part;
  while (true) {
    const auto comma = inner.find(',');
    part.names.emplace_back(inner.substr(0, comma));
    if (comma == inner.npos) return part;
    inner.remove_prefix(comma + 1);
  }
}

std::vector<Part> parse(const std::string& pattern) {
  std::vector<Part> parts;
  std::string_view rest = pattern;
  std::string text;
  const auto flush = [&] {
    if (!text.empty()) parts.push_back({.names = {std::exchange(text, {})}});
  };
  while (!rest.empty()) {
    const auto open = rest.find('{');
    text += rest.substr(0, open);
    if (open == rest.npos) break;
    rest.remove_prefix(open + 1);
    const auto close = rest.find_first_of("{}");
    check(close != rest.npos, ErrorCode::invalid_argument, "{}: a {{ has no }}", redacted(pattern));
    check(rest[close] == '}', ErrorCode::invalid_argument, "{}: braces do not nest",
          redacted(pattern));
    const auto inner = rest.substr(0, close);
    rest.remove_prefix(close + 1);
    if (is_group(inner)) {
      flush();
      parts.push_back(inner.find(',') != inner.npos ? list_part(inner)
                                                    : range_part(inner, pattern));
    } else {
      text += fmt::format("{{{}}}", inner);
    }
  }
  flush();
  return parts;
}

}  // namespace

bool has_braces(const std::string& text) {
  return text.find('{') != text.npos;
}

std::vector<std::string> expand_braces(const std::string& pattern) {
  const auto parts = parse(pattern);
  std::uint64_t total = 1;
  for (const auto& part : parts) {
    // Both factors are below 2^62 and 10^7: their product is tested before it is made.
    check(part.size() <= most_names / total, ErrorCode::invalid_argument,
          "{} stands for more than {} names", redacted(pattern), most_names);
    total *= part.size();
  }
  std::vector<std::string> names(1);
  names.reserve(total);
  for (const auto& part : parts) {
    std::vector<std::string> longer;
    longer.reserve(names.size() * part.size());
    for (const auto& name : names) {
      for (std::uint64_t i = 0; i < part.size(); ++i) longer.push_back(name + part.at(i));
    }
    names = std::move(longer);
  }
  return names;
}

}  // namespace faro::store
