// Decoders: bytes of a field to pixels, elements or a number. All bytes are untrusted: what is
// wrong with them is Error(format), without the sample's name, which the caller adds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "faro/transform.hpp"

namespace faro::transform {

using Bytes = std::span<const std::byte>;

/// Rows of height x width x channels bytes without gaps.
struct Pixels {
  const std::uint8_t* data = nullptr;
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  std::uint32_t channels = 0;
};

/// What the caller wants of an image.
struct ImageLimits {
  std::uint32_t channels = 3;    ///< 1 or 3
  std::uint64_t max_pixels = 0;  ///< checked before memory is taken
};

/// Memory for an image's pixels, used again and again.
class PixelMemory {
 public:
  /// Where they go if they fit: memory of a device's, say.
  std::span<std::uint8_t> given;

  /// Room for so many bytes: `given`, or memory of its own.
  [[nodiscard]] std::uint8_t* room(std::uint64_t bytes) {
    if (bytes <= given.size()) return given.data();
    if (own_.size() < bytes) own_.resize(bytes);
    return own_.data();
  }
  /// Bytes of its own.
  [[nodiscard]] std::uint64_t capacity() const noexcept { return own_.capacity(); }

 private:
  std::vector<std::uint8_t> own_;
};

[[nodiscard]] bool is_png(Bytes bytes) noexcept;
[[nodiscard]] Pixels decode_png(Bytes bytes, const ImageLimits& limits, PixelMemory& memory);

/// libjpeg-turbo's decompressor, made at its first use. One thread at a time.
class JpegDecoder {
 public:
  JpegDecoder() = default;
  [[nodiscard]] Pixels decode(Bytes bytes, const ImageLimits& limits, PixelMemory& memory);

 private:
  struct Close {
    void operator()(void* handle) const noexcept;
  };
  std::unique_ptr<void, Close> handle_;
};

/// Error(format) where an image has no pixels, more than are wanted, or a side above 65,535.
void check_size(std::uint64_t height, std::uint64_t width, const ImageLimits& limits);
/// Room for an image of these sizes, which have been checked.
[[nodiscard]] std::uint8_t* room_for(Pixels& pixels, PixelMemory& memory);

/// An .npy file's contents, in place.
struct Array {
  Type type = Type::u8;
  std::vector<std::uint64_t> shape;
  Bytes elements;  ///< exactly those of the shape
};

/// Format versions 1 and 2 (NEP 1; numpy.lib.format): little-endian or single bytes, C order.
[[nodiscard]] Array decode_npy(Bytes bytes);

/// An integer as decimal text, white space around it; or as an element of `stored`.
/// \param classes it must be below; 0: any that is not negative
[[nodiscard]] std::int64_t decode_label(Bytes bytes, std::optional<Type> stored,
                                        std::uint64_t classes);

/// "28 x 28 x 1"
[[nodiscard]] std::string shape_text(std::span<const std::uint64_t> shape);

}  // namespace faro::transform
