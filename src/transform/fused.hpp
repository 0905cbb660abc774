// The loop over a sample's elements: from pixels or stored elements to the tensor's, once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "transform/decode.hpp"
#include "transform/elements.hpp"
#include "transform/grid.hpp"

namespace faro::transform {

/// x * a + b of each channel, or nothing.
struct Affine {
  std::vector<float> a;
  std::vector<float> b;
  [[nodiscard]] bool none() const noexcept { return a.empty(); }
  [[nodiscard]] float operator()(float x, std::uint64_t channel) const noexcept {
    const float product = x * a[channel];
    return product + b[channel];
  }
};

/// What each of the 256 values of a byte becomes, channel by channel, as elements of a type.
using Table = std::vector<std::byte>;

[[nodiscard]] Table make_table(const Affine& affine, std::uint64_t channels, Type type);

/// Memory for a view that is not exact, used again and again.
struct ScaleMemory {
  std::vector<Tap> taps;
  std::vector<std::uint32_t> rows;
};

/// \param table of `type`, for a view that is exact
void write_pixels(const Pixels& pixels, const View& view, const Grid& grid, const Table& table,
                  const Affine& affine, Type type, ScaleMemory& memory, std::byte* out);

/// Elements of `stored` to elements of `type`. Error(format) where floats would become i64.
void write_elements(Bytes elements, Type stored, const Grid& grid, const Affine& affine, Type type,
                    std::byte* out);

}  // namespace faro::transform
