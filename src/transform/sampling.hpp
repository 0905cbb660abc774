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

/// Between two values, in 2^-11 of their unit. The difference may wrap around, and the sum wraps
/// back.
constexpr std::uint32_t mix(std::uint32_t first, std::uint32_t second,
                            std::uint32_t weight) noexcept {
  return (first << 11) + (second - first) * weight;
}

/// Between four pixels, in 2^-22.
constexpr std::uint32_t blend(std::uint32_t p00, std::uint32_t p01, std::uint32_t p10,
                              std::uint32_t p11, std::uint32_t wx, std::uint32_t wy) noexcept {
  return mix(mix(p00, p01, wx), mix(p10, p11, wx), wy);
}

/// Below 2^30, so that the signed conversion, which processors have, is right.
constexpr float value_of(std::uint32_t blended) noexcept {
  return static_cast<float>(static_cast<std::int32_t>(blended)) * 0x1p-22F;
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
