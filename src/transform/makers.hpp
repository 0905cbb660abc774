// How a tensor's element is made of an f32: one type for each, with the bits it is stored as.
// constexpr and without the host's libraries, for a device's compiler.
#pragma once

#include <cstdint>

#include "base/half.hpp"
#include "transform/sampling.hpp"

namespace faro::transform {

struct AsU8 {
  using Bits = std::uint8_t;
  static constexpr Bits of(float value) noexcept { return to_u8(value); }
};
struct AsF16 {
  using Bits = std::uint16_t;
  static constexpr Bits of(float value) noexcept { return f32_to_f16(value); }
};
struct AsBf16 {
  using Bits = std::uint16_t;
  static constexpr Bits of(float value) noexcept { return f32_to_bf16(value); }
};
struct AsF32 {
  using Bits = float;
  static constexpr Bits of(float value) noexcept { return value; }
};
/// Only of whole numbers that a float holds: the 256 values of a byte.
struct AsI64 {
  using Bits = std::int64_t;
  static constexpr Bits of(float value) noexcept { return static_cast<Bits>(value); }
};

}  // namespace faro::transform
