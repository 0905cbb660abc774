// Gradients into their bucket of f32 and back. What is done to an element is written once, for the
// kernels, the host and the emulation: single IEEE operations, so the same bits everywhere (but for
// those of a NaN).
#pragma once

#include <cstdint>

#include "base/half.hpp"

namespace faro::cuda {

enum class Float : std::uint8_t { f32, f16, bf16 };

/// to[i] = from[i] * scale. With scale 0 zeros, and `from` is not read. `from` may be `to`.
struct Widen {
  const void* from = nullptr;  ///< aligned to its elements; faster where it is to 16 bytes
  float* to = nullptr;         ///< aligned to 16 bytes
  std::uint64_t elements = 0;
  Float type = Float::f32;  ///< of from
  float scale = 1;
};

/// to[i] = from[i] / divisor, rounded to nearest, ties to even. `to` may be `from`.
struct Narrow {
  const float* from = nullptr;  ///< aligned to 16 bytes
  void* to = nullptr;           ///< aligned to its elements; faster where it is to 16 bytes
  std::uint64_t elements = 0;
  Float type = Float::f32;  ///< of to
  float divisor = 1;
};

/// How a float is stored.
struct F32 {
  using Bits = float;
  static constexpr float load(float value) noexcept { return value; }
  static constexpr float store(float value) noexcept { return value; }
};
struct F16 {
  using Bits = std::uint16_t;
  static constexpr float load(std::uint16_t bits) noexcept { return f16_to_f32(bits); }
  static constexpr std::uint16_t store(float value) noexcept { return f32_to_f16(value); }
};
struct Bf16 {
  using Bits = std::uint16_t;
  static constexpr float load(std::uint16_t bits) noexcept { return bf16_to_f32(bits); }
  static constexpr std::uint16_t store(float value) noexcept { return f32_to_bf16(value); }
};

template <class Type>
constexpr float widened(typename Type::Bits bits, float scale) noexcept {
  return Type::load(bits) * scale;
}
template <class Type>
constexpr typename Type::Bits narrowed(float sum, float divisor) noexcept {
  return Type::store(sum / divisor);
}

/// use(F32{}), use(F16{}) or use(Bf16{}).
template <class Use>
constexpr void with(Float type, Use&& use) {
  switch (type) {
    case Float::f32: return use(F32{});
    case Float::f16: return use(F16{});
    case Float::bf16: return use(Bf16{});
  }
}

/// Does it on the host, in its memory.
void run(const Widen& work);
void run(const Narrow& work);

}  // namespace faro::cuda
