// Interface of base/: errors, checks and checked casts. Every folder of src may use it.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <limits>
#include <utility>

#include "faro/error.hpp"

namespace faro {

/// Throws Error(code) with a formatted text.
template <class... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(code, fmt::format(text, std::forward<Args>(args)...));
}

/// Throws Error(code) with a formatted text unless the condition holds.
template <class... Args>
void check(bool condition, ErrorCode code, fmt::format_string<Args...> text, Args&&... args) {
  if (!condition) fail(code, text, std::forward<Args>(args)...);
}

/// value as a To; Error(internal) where it does not fit.
template <std::integral To, std::integral From>
[[nodiscard]] To narrow(From value) {
  if (!std::in_range<To>(value)) {
    fail(ErrorCode::internal, "the integer {} does not fit its type of {} bytes", value,
         sizeof(To));
  }
  return static_cast<To>(value);
}

/// a + b; Error(code) on overflow. For lengths from untrusted bytes.
[[nodiscard]] inline std::uint64_t checked_add(std::uint64_t a, std::uint64_t b,
                                               ErrorCode code = ErrorCode::internal) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) fail(code, "{} + {} overflows 64 bits", a, b);
  return sum;
}

/// a * b; Error(code) on overflow.
[[nodiscard]] inline std::uint64_t checked_mul(std::uint64_t a, std::uint64_t b,
                                               ErrorCode code = ErrorCode::internal) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) fail(code, "{} * {} overflows 64 bits", a, b);
  return product;
}

/// value rounded up to a multiple of `to`, a power of two.
[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t to) {
  return (value + to - 1) & ~(to - 1);
}

/// "12.3 MB": bytes for people, decimal units.
[[nodiscard]] std::string human_bytes(double bytes);

}  // namespace faro
