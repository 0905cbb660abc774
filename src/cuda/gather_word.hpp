// What one thread of the gather kernel does: 16 bytes of the tensor, so that neighbours' stores are
// aligned and side by side whatever a sample's size. Taken by the device's compiler and the host's.
#pragma once

#include <bit>
#include <cstring>
#include <type_traits>

#include "cuda/gather.hpp"
#include "faro/transform.hpp"
#include "transform/makers.hpp"

#ifdef __CUDACC__
#define FARO_ON_BOTH __host__ __device__
#else
#define FARO_ON_BOTH
#endif

namespace faro::cuda {

using Word64 = std::uint64_t;

/// 16 bytes, the first ones low.
struct alignas(16) Word {
  Word64 low = 0;
  Word64 high = 0;
};

/// a / b, which is many times cheaper in 32 bits.
FARO_ON_BOTH constexpr Word64 divide(Word64 a, Word64 b) {
  if (((a | b) >> 32) != 0) return a / b;
  return static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b);
}

template <class T>
FARO_ON_BOTH inline T load_aligned(const std::byte* from) {
  T value;
  std::memcpy(&value, __builtin_assume_aligned(from, alignof(T)), sizeof(T));
  return value;
}

/// An unsigned number from any address. Samples begin anywhere, and a device loads from multiples
/// of a number's size alone: so the aligned ones that it lies in, and a shift. Byte by byte would
/// be as many loads as bytes.
template <class T>
FARO_ON_BOTH inline T load_any(const std::byte* from) {
  const auto ahead = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(from) % sizeof(T));
  const auto first = load_aligned<T>(from - ahead);
  if (ahead == 0) return first;
  const auto second = load_aligned<T>(from - ahead + sizeof(T));
  return static_cast<T>(first >> (8 * ahead) | second << (8 * (sizeof(T) - ahead)));
}

FARO_ON_BOTH inline Word load_word(const std::byte* from) {
  const auto ahead = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(from) % sizeof(Word));
  const auto first = load_aligned<Word>(from - ahead);
  if (ahead == 0) return first;
  const auto second = load_aligned<Word>(from - ahead + sizeof(Word));
  const bool far = ahead >= 8;
  const Word64 a = far ? first.high : first.low;
  const Word64 b = far ? second.low : first.high;
  const Word64 c = far ? second.high : second.low;
  const unsigned bits = 8 * (ahead % 8);
  if (bits == 0) return {a, b};
  return {a >> bits | b << (64 - bits), b >> bits | c << (64 - bits)};
}

template <std::size_t bytes>
struct UnsignedOf;
template <>
struct UnsignedOf<1> : std::type_identity<std::uint8_t> {};
template <>
struct UnsignedOf<2> : std::type_identity<std::uint16_t> {};
template <>
struct UnsignedOf<4> : std::type_identity<std::uint32_t> {};
template <>
struct UnsignedOf<8> : std::type_identity<std::uint64_t> {};
template <class T>
using Unsigned = typename UnsignedOf<sizeof(T)>::type;

template <class T>
FARO_ON_BOTH inline T load_number(const std::byte* from) {
  return std::bit_cast<T>(load_any<Unsigned<T>>(from));
}

/// An element's place in its sample.
struct Place {
  Word64 y = 0;
  Word64 x = 0;
  Word64 c = 0;
};

/// \param index in the tensor's order
FARO_ON_BOTH constexpr Place place_of(const transform::Grid& grid, Word64 index) {
  const Word64 inner = grid.is_stored() ? grid.channels : grid.width;
  const Word64 middle = grid.is_stored() ? grid.width : grid.height;
  const Word64 rows = divide(index, inner);
  const Word64 outer = divide(rows, middle);
  const Word64 last = index - rows * inner;
  const Word64 between = rows - outer * middle;
  return grid.is_stored() ? Place{outer, between, last} : Place{between, last, outer};
}

FARO_ON_BOTH constexpr Place next(const transform::Grid& grid, Place at) {
  if (grid.is_stored()) {
    if (++at.c < grid.channels) return at;
    at.c = 0;
    if (++at.x < grid.width) return at;
    return {at.y + 1, 0, 0};
  }
  if (++at.x < grid.width) return at;
  at.x = 0;
  if (++at.y < grid.height) return at;
  return {0, 0, at.c + 1};
}

/// An element of the tensor's type `Make`, as bits, of a number.
template <class Make, class Number>
FARO_ON_BOTH inline Word64 made(const Gather& work, Word64 channel, Number number) {
  if constexpr (std::is_same_v<Make, transform::AsI64>) {
    return static_cast<Word64>(static_cast<std::int64_t>(number));  // never through a float
  } else {
    auto value = static_cast<float>(number);
    if (work.a != nullptr) {
      // Two roundings, as on the host: no fused multiplication (-fmad=false, -ffp-contract=off).
      const float product = value * work.a[channel];
      value = product + work.b[channel];
    }
    return std::bit_cast<Unsigned<typename Make::Bits>>(Make::of(value));
  }
}

template <class Make>
FARO_ON_BOTH inline Word64 converted(const Gather& work, Type stored, Word64 element,
                                     Word64 channel, const std::byte* from) {
  switch (stored) {
    case Type::u8: return made<Make>(work, channel, load_number<std::uint8_t>(from + element));
    case Type::i8: return made<Make>(work, channel, load_number<std::int8_t>(from + element));
    case Type::u16:
      return made<Make>(work, channel, load_number<std::uint16_t>(from + 2 * element));
    case Type::i16: return made<Make>(work, channel, load_number<std::int16_t>(from + 2 * element));
    case Type::u32:
      return made<Make>(work, channel, load_number<std::uint32_t>(from + 4 * element));
    case Type::i32: return made<Make>(work, channel, load_number<std::int32_t>(from + 4 * element));
    case Type::i64: return made<Make>(work, channel, load_number<std::int64_t>(from + 8 * element));
    case Type::f16:
      return made<Make>(work, channel, f16_to_f32(load_number<std::uint16_t>(from + 2 * element)));
    case Type::bf16:
      return made<Make>(work, channel, bf16_to_f32(load_number<std::uint16_t>(from + 2 * element)));
    case Type::f32: return made<Make>(work, channel, load_number<float>(from + 4 * element));
    case Type::f64: return made<Make>(work, channel, load_number<double>(from + 8 * element));
  }
  return 0;
}

/// A byte's element of the table.
template <class Make>
FARO_ON_BOTH inline Word64 looked_up(const Gather& work, Word64 channel, Word64 byte) {
  using Bits = Unsigned<typename Make::Bits>;
  return load_aligned<Bits>(work.table + (channel * 256 + byte) * sizeof(Bits));
}

/// Between four pixels.
template <class Make>
FARO_ON_BOTH inline Word64 scaled(const Gather& work, const GatherSample& sample, Place at) {
  const auto& grid = work.grid;
  const auto height = static_cast<std::uint32_t>(grid.height);
  const auto width = static_cast<std::uint32_t>(grid.width);
  const auto x = static_cast<std::uint32_t>(at.x);
  const auto rows =
      transform::tap(static_cast<std::uint32_t>(at.y), height, sample.view.y, sample.height);
  const auto columns =
      transform::tap(sample.view.flip ? width - 1 - x : x, width, sample.view.x, sample.width);
  const auto pixel = [&](Word64 row, Word64 column) {
    return static_cast<std::uint32_t>(
        sample.from[(row * sample.width + column) * grid.channels + at.c]);
  };
  const auto value = transform::value_of(
      transform::blend(pixel(rows.first, columns.first), pixel(rows.first, columns.second),
                       pixel(rows.second, columns.first), pixel(rows.second, columns.second),
                       columns.weight, rows.weight));
  return made<Make>(work, at.c, value);
}

/// Where the byte of an exact view's pixel stands.
FARO_ON_BOTH inline const std::byte* pixel_of(const Gather& work, const GatherSample& sample,
                                              Place at) {
  const Word64 x = sample.view.flip ? work.grid.width - 1 - at.x : at.x;
  const auto row = static_cast<Word64>(sample.view.y.begin >> 16) + at.y;
  const auto column = static_cast<Word64>(sample.view.x.begin >> 16) + x;
  return sample.from + (row * sample.width + column) * work.grid.channels + at.c;
}

/// An element's bits. \param index in the tensor's order, which `at` is the place of
template <class Make>
FARO_ON_BOTH inline Word64 element(const Gather& work, const GatherSample& sample, Word64 index,
                                   Place at) {
  using Bits = Unsigned<typename Make::Bits>;
  const Word64 stored = (at.y * work.grid.width + at.x) * work.grid.channels + at.c;
  switch (sample.kind) {
    case GatherKind::zeros: return 0;
    case GatherKind::copy: return load_any<Bits>(sample.from + index * sizeof(Bits));
    case GatherKind::move: return load_any<Bits>(sample.from + stored * sizeof(Bits));
    case GatherKind::convert:
      return converted<Make>(work, sample.stored, stored, at.c, sample.from);
    case GatherKind::look_up:
      return looked_up<Make>(work, at.c, static_cast<Word64>(*pixel_of(work, sample, at)));
    case GatherKind::scale: return scaled<Make>(work, sample, at);
  }
  return 0;
}

/// `count` bytes from any address, of which no other words are touched.
template <std::size_t count>
FARO_ON_BOTH inline Word load_run(const std::byte* from) {
  if constexpr (count == 16) {
    return load_word(from);
  } else {
    return {load_any<typename UnsignedOf<count>::type>(from), 0};
  }
}

/// The 16 bytes of the tensor from byte 16 * word on.
template <class Make>
FARO_ON_BOTH inline Word gather_word(const Gather& work, Word64 word) {
  constexpr unsigned size = sizeof(typename Make::Bits);
  constexpr unsigned most = 16 / size;
  const Word64 elements = work.grid.elements();
  Word64 sample = divide(word * most, elements);
  Word64 index = word * most - sample * elements;
  const GatherSample* from = work.samples + sample;
  if (from->kind == GatherKind::copy && index + most <= elements) {
    return load_word(from->from + index * size);
  }
  auto at = place_of(work.grid, index);
  Word out;
  const auto set = [&out](unsigned i, Word64 bits) {
    const unsigned shift = i * size * 8;
    (shift < 64 ? out.low : out.high) |= bits << (shift % 64);
  };
  // Pixels side by side in the image and in the tensor: their bytes in one load.
  if (from->kind == GatherKind::look_up && work.grid.is_stored() && !from->view.flip &&
      at.x * work.grid.channels + at.c + most <= work.grid.width * work.grid.channels) {
    const auto run = load_run<most>(pixel_of(work, *from, at));
    Word64 channel = at.c;
    for (unsigned i = 0; i < most; ++i) {
      const Word64 byte = (i < 8 ? run.low : run.high) >> (8 * (i % 8)) & 0xff;
      set(i, looked_up<Make>(work, channel, byte));
      if (++channel == work.grid.channels) channel = 0;
    }
    return out;
  }
  for (unsigned i = 0; i < most; ++i) {
    set(i, element<Make>(work, *from, index, at));
    at = next(work.grid, at);
    if (++index < elements) continue;
    if (++sample == work.count) break;
    ++from;
    index = 0;
    at = {};
  }
  return out;
}

/// Words of the tensor, for Make's elements.
template <class Make>
FARO_ON_BOTH constexpr Word64 words_of(const Gather& work) {
  constexpr Word64 most = 16 / sizeof(typename Make::Bits);
  return (work.count * work.grid.elements() + most - 1) / most;
}

/// use(Make{}) for a tensor's type; for one that nothing is converted to, of as many bytes.
template <class Use>
void with_elements(Type type, Use&& use) {
  switch (type) {
    case Type::u8:
    case Type::i8: return use(transform::AsU8{});
    case Type::bf16: return use(transform::AsBf16{});
    case Type::f16:
    case Type::u16:
    case Type::i16: return use(transform::AsF16{});
    case Type::f32:
    case Type::u32:
    case Type::i32: return use(transform::AsF32{});
    case Type::i64:
    case Type::f64: return use(transform::AsI64{});
  }
}

}  // namespace faro::cuda
