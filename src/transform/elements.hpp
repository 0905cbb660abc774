// Elements by their Type: what is stored, and what a tensor holds.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/error.hpp"
#include "base/half.hpp"
#include "faro/transform.hpp"
#include "transform/makers.hpp"

namespace faro::transform {

static_assert(std::endian::native == std::endian::little, "elements are read as they are stored");

constexpr bool is_integer(Type type) noexcept {
  return type != Type::f16 && type != Type::bf16 && type != Type::f32 && type != Type::f64;
}

/// Whether arithmetic may end in it.
constexpr bool is_output(Type type) noexcept {
  return type == Type::u8 || type == Type::f16 || type == Type::bf16 || type == Type::f32 ||
         type == Type::i64;
}

/// Loads a stored element as its C++ number. Types, not functions, so that they are inlined where
/// they are used.
template <class T>
struct Load {
  static constexpr std::uint64_t size = sizeof(T);
  T operator()(const std::byte* from) const noexcept {
    T value;
    std::memcpy(&value, from, size);
    return value;
  }
};
/// f16 and bf16: as float.
template <float (*widen)(std::uint16_t)>
struct LoadHalf {
  static constexpr std::uint64_t size = sizeof(std::uint16_t);
  float operator()(const std::byte* from) const noexcept {
    return widen(Load<std::uint16_t>{}(from));
  }
};

/// Calls `use` with what loads an element of the type.
template <class Use>
decltype(auto) with_loader(Type type, Use&& use) {
  switch (type) {
    case Type::u8: return use(Load<std::uint8_t>{});
    case Type::i8: return use(Load<std::int8_t>{});
    case Type::u16: return use(Load<std::uint16_t>{});
    case Type::i16: return use(Load<std::int16_t>{});
    case Type::u32: return use(Load<std::uint32_t>{});
    case Type::i32: return use(Load<std::int32_t>{});
    case Type::i64: return use(Load<std::int64_t>{});
    case Type::f16: return use(LoadHalf<f16_to_f32>{});
    case Type::bf16: return use(LoadHalf<bf16_to_f32>{});
    case Type::f32: return use(Load<float>{});
    case Type::f64: return use(Load<double>{});
  }
  fail(ErrorCode::internal, "type {} is none", static_cast<int>(type));
}

/// An integer type's element. Error(internal) for floats.
inline std::int64_t load_integer(Type type, const std::byte* from) {
  return with_loader(type, [&](auto load_one) -> std::int64_t {
    if constexpr (std::is_integral_v<decltype(load_one(from))>) {
      return static_cast<std::int64_t>(load_one(from));
    } else {
      fail(ErrorCode::internal, "{} is no integer type", to_string(type));
    }
  });
}

/// Calls `use` with the maker of a tensor's type. Error(internal) for types that no f32 becomes.
template <class Use>
decltype(auto) with_maker(Type type, Use&& use) {
  switch (type) {
    case Type::u8: return use(AsU8{});
    case Type::f16: return use(AsF16{});
    case Type::bf16: return use(AsBf16{});
    case Type::f32: return use(AsF32{});
    case Type::i64: return use(AsI64{});
    default: fail(ErrorCode::internal, "no f32 becomes {}", to_string(type));
  }
}

}  // namespace faro::transform
