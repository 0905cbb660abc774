// The arithmetic of what is drawn: integers and single operations of IEEE doubles, so that host and
// device agree to the bit. constexpr throughout, for a device's compiler; contraction is off.
#pragma once

#include <array>
#include <cstdint>

#include "transform/philox.hpp"

namespace faro::transform {

/// What is drawn for; part of the counter.
enum class Purpose : std::uint32_t { crop = 1, flip = 2, user = 3 };

/// One sample's random words, by purpose and index.
struct Draws {
  std::uint64_t key = 0;     ///< of (seed, epoch)
  std::uint64_t sample = 0;  ///< number in the data set

  [[nodiscard]] constexpr std::array<std::uint32_t, 4> words(Purpose purpose,
                                                             std::uint32_t index) const noexcept {
    return philox({static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(sample >> 32),
                   static_cast<std::uint32_t>(purpose), index},
                  {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)});
  }
};

/// Uniform in [0, 1), in steps of 2^-32; exact.
constexpr double uniform(std::uint32_t word) noexcept {
  return static_cast<double>(word) * 0x1p-32;
}

/// Uniform in [0, range); the bias is at most range / 2^32.
constexpr std::uint32_t below(std::uint32_t range, std::uint32_t word) noexcept {
  return static_cast<std::uint32_t>((std::uint64_t{word} * range) >> 32);
}

/// e^x to 1e-12 for |x| below 8: a Taylor polynomial of x / 256, squared eight times. The machines'
/// own exp() differ in their last bits.
constexpr double exponential(double x) noexcept {
  const double t = x / 256;
  double sum = 1;
  for (int term = 7; term > 0; --term) sum = 1 + sum * t / term;
  for (int i = 0; i < 8; ++i) sum = sum * sum;
  return sum;
}

/// The whole number nearest to the root of n: r or r + 1, where r = floor(sqrt(n)).
constexpr std::uint64_t nearest_root(std::uint64_t n) noexcept {
  std::uint64_t root = 0;
  for (std::uint64_t bit = std::uint64_t{1} << 31; bit != 0; bit >>= 1) {
    const std::uint64_t larger = root | bit;
    if (larger * larger <= n) root = larger;
  }
  return n - root * root > root ? root + 1 : root;
}

/// A part of an image, in pixels.
struct Part {
  std::uint32_t top = 0;
  std::uint32_t left = 0;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
};

/// What RandomResizedCrop draws from.
struct CropRange {
  double scale_min = 0;
  double scale_max = 1;
  double log_ratio_min = 0;
  double log_ratio_max = 0;
  double ratio_min = 1;
  double ratio_max = 1;
};

/// The largest part in the middle whose ratio is in range; the whole image where its own is.
constexpr Part central_part(std::uint32_t height, std::uint32_t width,
                            const CropRange& range) noexcept {
  const double ratio = static_cast<double>(width) / height;
  std::uint32_t h = height;
  std::uint32_t w = width;
  if (ratio < range.ratio_min) h = static_cast<std::uint32_t>(width / range.ratio_min + 0.5);
  if (ratio > range.ratio_max) w = static_cast<std::uint32_t>(height * range.ratio_max + 0.5);
  h = h < 1 ? 1 : (h > height ? height : h);
  w = w < 1 ? 1 : (w > width ? width : w);
  return {(height - h) / 2, (width - w) / 2, h, w};
}

/// See RandomResizedCrop.
constexpr Part random_part(std::uint32_t height, std::uint32_t width, const CropRange& range,
                           const Draws& draws) noexcept {
  const double area = static_cast<double>(height) * width;
  for (std::uint32_t attempt = 0; attempt < 10; ++attempt) {
    const auto word = draws.words(Purpose::crop, attempt);
    const double target =
        area * (range.scale_min + (range.scale_max - range.scale_min) * uniform(word[0]));
    const double ratio = exponential(
        range.log_ratio_min + (range.log_ratio_max - range.log_ratio_min) * uniform(word[1]));
    const auto w = nearest_root(static_cast<std::uint64_t>(target * ratio));
    const auto h = nearest_root(static_cast<std::uint64_t>(target / ratio));
    if (w == 0 || w > width || h == 0 || h > height) continue;
    Part part{0, 0, static_cast<std::uint32_t>(h), static_cast<std::uint32_t>(w)};
    part.top = below(height - part.height + 1, word[2]);
    part.left = below(width - part.width + 1, word[3]);
    return part;
  }
  return central_part(height, width, range);
}

constexpr bool draw_flip(double probability, const Draws& draws) noexcept {
  return uniform(draws.words(Purpose::flip, 0)[0]) < probability;
}

}  // namespace faro::transform
