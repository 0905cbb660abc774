// The arithmetic of scaling and of rounding, in integers wherever it can be: bit for bit the same
// on host and device.
#pragma once

#include <bit>
#include <cstdint>

namespace faro::transform {

/// A stretch of an image's side, in 2^-16 pixels.
struct Stretch {
  std::int64_t begin = 0;
  std::int64_t length = 0;
};

/// The two pixels that a place lies between, and the weight of the second, of 2048.
struct Tap {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  std::uint32_t weight = 0;
};

/// Bits after the point of a value between four pixels.
inline constexpr unsigned value_bits = 22;

/// Where output pixel `out` of `outs` lies in a stretch: its centre, held within the centres of the
/// stretch's first and last pixel. \param size pixels of the image's side
constexpr Tap tap(std::uint32_t out, std::uint32_t outs, Stretch stretch,
                  std::uint32_t size) noexcept {
  constexpr std::int64_t one = 1 << 16;
  const std::int64_t twice = 2 * static_cast<std::int64_t>(out) + 1;
  std::int64_t at = stretch.begin + twice * stretch.length / (2 * std::int64_t{outs}) - one / 2;
  const std::int64_t last = stretch.begin + stretch.length - one;
  at = at > last ? last : at;
  at = at < stretch.begin ? stretch.begin : at;
  const std::int64_t end = (static_cast<std::int64_t>(size) - 1) * one;
  at = at > end ? end : at;
  const auto first = static_cast<std::uint32_t>(at >> 16);
  return {first, first + 1 < size ? first + 1 : first,
          (static_cast<std::uint32_t>(at & (one - 1)) + 16) >> 5};
}

/// Between four pixels, in 2^-22.
constexpr std::uint32_t blend(std::uint32_t p00, std::uint32_t p01, std::uint32_t p10,
                              std::uint32_t p11, std::uint32_t wx, std::uint32_t wy) noexcept {
  const std::uint32_t upper = p00 * (2048 - wx) + p01 * wx;
  const std::uint32_t lower = p10 * (2048 - wx) + p11 * wx;
  return upper * (2048 - wy) + lower * wy;
}

constexpr float value_of(std::uint32_t blended) noexcept {
  return static_cast<float>(blended) * 0x1p-22F;
}

/// f32 to the bits of bfloat16: to nearest, ties to even; a NaN stays one.
constexpr std::uint16_t to_bf16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

constexpr float from_bf16(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

/// f32 to the bits of IEEE binary16: to nearest, ties to even, beyond 65,504 infinity.
constexpr std::uint16_t to_f16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = (bits >> 16) & 0x8000;
  const auto size = bits & 0x7fffffff;
  if (size > 0x7f800000) return static_cast<std::uint16_t>(sign | 0x7e00);
  if (size >= 0x477ff000) return static_cast<std::uint16_t>(sign | 0x7c00);
  if (size >= 0x38800000) {  // normal: the exponent's bias changes, and 13 bits go
    const auto rounded = size + 0xfff + ((size >> 13) & 1);
    return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000) >> 13));
  }
  if (size <= 0x33000000) return static_cast<std::uint16_t>(sign);
  const auto shift = 126 - (size >> 23);  // subnormal, in units of 2^-24
  const auto mantissa = (size & 0x7fffff) | 0x800000;
  const auto rest = mantissa & ((1U << shift) - 1);
  const auto half = 1U << (shift - 1);
  auto units = mantissa >> shift;
  if (rest > half || (rest == half && (units & 1) != 0)) ++units;
  return static_cast<std::uint16_t>(sign | units);
}

constexpr float from_f16(std::uint16_t bits) noexcept {
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  const std::uint32_t exponent = (bits >> 10) & 31;
  const std::uint32_t mantissa = bits & 0x3ff;
  if (exponent == 0) return sign * static_cast<float>(mantissa) * 0x1p-24F;
  const auto wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(((bits & 0x8000U) << 16) | (wide << 23) | (mantissa << 13));
}

/// f32 to a byte: to nearest, ties to even, held within 0 and 255; a NaN becomes 0.
constexpr std::uint8_t to_u8(float value) noexcept {
  if (!(value > 0)) return 0;
  if (value >= 255) return 255;
  const auto whole = static_cast<std::uint32_t>(value);
  const float rest = value - static_cast<float>(whole);
  const bool up = rest > 0.5F || (rest == 0.5F && (whole & 1) != 0);
  return static_cast<std::uint8_t>(whole + (up ? 1 : 0));
}

}  // namespace faro::transform
