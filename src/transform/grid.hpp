// Which element stands where: what the loop over a sample's elements and a device's kernel share.
// constexpr and without the host's libraries, for a device's compiler.
#pragma once

#include <cstdint>

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

  [[nodiscard]] constexpr std::uint64_t elements() const noexcept {
    return height * width * channels;
  }
  /// The same in stored order: rows without gaps.
  [[nodiscard]] constexpr Grid stored() const noexcept {
    return {height, width, channels, width * channels, channels, 1};
  }
  /// Whether the tensor's order is the stored one.
  [[nodiscard]] constexpr bool is_stored() const noexcept { return c_stride == 1 || channels == 1; }
};

/// The part of an image that fills the grid.
struct View {
  Stretch y;
  Stretch x;
  bool flip = false;
};

/// Whether a view's pixels are the grid's, one to one.
[[nodiscard]] constexpr bool is_exact(const View& view, const Grid& grid) noexcept {
  constexpr std::int64_t one = 1 << 16;
  return view.y.length == static_cast<std::int64_t>(grid.height) * one &&
         view.x.length == static_cast<std::int64_t>(grid.width) * one && view.y.begin % one == 0 &&
         view.x.begin % one == 0;
}

}  // namespace faro::transform
