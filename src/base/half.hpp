// Half-precision floats as bits: IEEE 754 binary16 (f16) and bfloat16 (bf16).
#pragma once

#include <bit>
#include <cstdint>

namespace faro {

[[nodiscard]] constexpr float bf16_to_f32(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// To nearest, ties to even; a NaN stays one.
[[nodiscard]] constexpr std::uint16_t f32_to_bf16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>(bits >> 16 | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

[[nodiscard]] constexpr float f16_to_f32(std::uint16_t bits) noexcept {
  constexpr std::uint32_t rebias = (127 - 15) << 23;
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t magnitude = (bits & 0x7fffU) << 13;
  const std::uint32_t exponent = bits & 0x7c00U;
  if (exponent == 0x7c00U) return std::bit_cast<float>(sign | (magnitude + 2 * rebias));
  if (exponent != 0) return std::bit_cast<float>(sign | (magnitude + rebias));
  // Subnormal: a float whose unit in the last place is the least f16 takes it exactly.
  constexpr std::uint32_t least = rebias + (1U << 23);
  const float value = std::bit_cast<float>(magnitude + least) - std::bit_cast<float>(least);
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
}

/// To nearest, ties to even; infinity from 65,520 on; a NaN stays one.
[[nodiscard]] constexpr std::uint16_t f32_to_f16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  std::uint32_t half = 0;
  if (magnitude >= 0x47800000U) {  // 65,536
    half = magnitude > 0x7f800000U ? 0x7e00U : 0x7c00U;
  } else if (magnitude < 0x38800000U) {  // 2^-14: subnormal; the addition rounds
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3f000000U;
  } else {
    half = (magnitude + 0xfffU + (magnitude >> 13 & 1U) - 0x38000000U) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

}  // namespace faro
