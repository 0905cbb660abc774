#include "pack/png.hpp"

#include <png.h>

#include "base/error.hpp"

namespace faro::pack {

std::vector<std::byte> encode_png(std::span<const std::byte> pixels, std::uint32_t width,
                                  std::uint32_t height) {
  check(pixels.size() == std::uint64_t{width} * height && width <= max_png_side &&
            height <= max_png_side,
        ErrorCode::internal, "{} pixels are no image of {} x {}", pixels.size(), width, height);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = PNG_FORMAT_GRAY;

  // Room for the largest possible answer: one call instead of one to measure and one to write.
  std::vector<std::byte> png(PNG_IMAGE_PNG_SIZE_MAX(image));
  png_alloc_size_t size = png.size();
  const int written = png_image_write_to_memory(&image, png.data(), &size, 0, pixels.data(),
                                                static_cast<png_int_32>(width), nullptr);
  check(written != 0, ErrorCode::memory, "libpng cannot encode an image of {} x {}: {}", width,
        height, image.message);
  png.resize(size);
  return png;
}

}  // namespace faro::pack
