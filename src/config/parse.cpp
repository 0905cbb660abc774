#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "config/config.hpp"

namespace faro::config {
namespace {

/// The number at the start of `text`, and the rest.
std::pair<double, std::string_view> number(std::string_view text) {
  double value = 0;
  const auto [end, code] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (code != std::errc() || !std::isfinite(value)) return {-1, text};
  return {value, text.substr(static_cast<std::size_t>(end - text.data()))};
}

/// The bytes of a unit; 0 where it is none.
double unit(std::string_view text) {
  std::string name;
  for (const char c : text) name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (name.empty() || name == "b") return 1;
  constexpr std::string_view prefixes = "kmgtp";
  const auto power = prefixes.find(name[0]);
  if (power == std::string_view::npos) return 0;
  const std::string_view rest = std::string_view(name).substr(1);
  if (rest.empty() || rest == "ib") return std::pow(1024.0, static_cast<double>(power + 1));
  if (rest == "b") return std::pow(1000.0, static_cast<double>(power + 1));
  return 0;
}

}  // namespace

std::uint64_t parse_count(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(code == std::errc() && end == text.data() + text.size(), ErrorCode::invalid_argument,
        "'{}' is not a whole number from 0 to 2^64 - 1", text);
  return value;
}

std::uint64_t parse_size(std::string_view text) {
  std::uint64_t exact = 0;  // whole bytes exactly, even where a double would round
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), exact);
  if (code == std::errc() && end == text.data() + text.size()) return exact;
  const auto [value, rest] = number(text);
  const double bytes = value * unit(rest);
  check(value >= 0 && unit(rest) > 0 && bytes < 9.0e18, ErrorCode::invalid_argument,
        "'{}' is not a size: give bytes, or 64K, 16MiB, 1.5G (powers of 1024), 10MB (of 1000)",
        text);
  return static_cast<std::uint64_t>(bytes);
}

double parse_seconds(std::string_view text) {
  const auto [value, rest] = number(text);
  check(value >= 0 && (rest.empty() || rest == "s"), ErrorCode::invalid_argument,
        "'{}' is not a time in seconds", text);
  return value;
}

bool parse_switch(std::string_view text) {
  check(text == "true" || text == "false", ErrorCode::invalid_argument,
        "'{}' is neither true nor false", text);
  return text == "true";
}

Window parse_window(std::string_view text) {
  if (text == "auto") return {};
  if (text == "full") return {Window::Kind::full, 0};
  try {
    return {Window::Kind::bytes, parse_size(text)};
  } catch (const Error&) {
    fail(ErrorCode::invalid_argument, "'{}' is not a window: give auto, full, or a size (16MiB)",
         text);
  }
}

EndPolicy parse_end(std::string_view text) {
  for (const auto end : {EndPolicy::drop, EndPolicy::pad, EndPolicy::partial}) {
    if (text == to_string(end)) return end;
  }
  fail(ErrorCode::invalid_argument, "'{}' is not an end policy: give drop, pad or partial", text);
}

std::string to_string(EndPolicy end) {
  constexpr std::array names{"drop", "pad", "partial"};
  return names.at(static_cast<std::size_t>(end));
}

std::string to_string(const Window& window) {
  if (window.kind == Window::Kind::automatic) return "auto";
  return window.kind == Window::Kind::full ? "full" : std::to_string(window.bytes);
}

}  // namespace faro::config
