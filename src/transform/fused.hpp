// The loop over a sample's elements: from pixels or stored elements to the tensor's, once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "transform/decode.hpp"
#include "transform/elements.hpp"
#include "transform/sampling.hpp"

namespace faro::transform {

/// A sample's elements by height, width and channel, and how far apart they stand in the tensor.
/// Samples of other than three dimensions are one row.
struct Grid {
  std::uint64_t height = 1;
  std::uint64_t width = 1;
  std::uint64_t channels = 1;
  std::uint64_t y_stride = 1;
  std::uint64_t x_stride = 1;
  std::uint64_t c_stride = 1;

  [[nodiscard]] std::uint64_t elements() const noexcept { return height * width * channels; }
  /// The same in stored order: rows without gaps.
  [[nodiscard]] Grid stored() const noexcept {
    return {height, width, channels, width * channels, channels, 1};
  }
};

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

/// The part of an image that fills the grid.
struct View {
  Stretch y;
  Stretch x;
  bool flip = false;
};

/// Whether a view's pixels are the grid's, one to one.
[[nodiscard]] bool is_exact(const View& view, const Grid& grid) noexcept;

[[nodiscard]] Table make_table(const Affine& affine, std::uint64_t channels, Type type);

/// \param table of `type`, for a view that is exact
/// \param taps memory for a view that is not
void write_pixels(const Pixels& pixels, const View& view, const Grid& grid, const Table& table,
                  const Affine& affine, Type type, std::vector<Tap>& taps, std::byte* out);

/// Elements of `stored` to elements of `type`. Error(format) where floats would become i64.
void write_elements(Bytes elements, Type stored, const Grid& grid, const Affine& affine, Type type,
                    std::byte* out);

}  // namespace faro::transform
