// What is packed as PNG is what libpng decodes again.
#include "pack/png.hpp"

#include <gtest/gtest.h>
#include <png.h>

#include "support.hpp"

namespace faro::pack::test {
namespace {

std::vector<std::byte> bytes(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

TEST(Png, KeepsEveryPixel) {
  for (const auto& [width, height] : {std::pair{28U, 28U}, {1U, 1U}, {1U, 300U}, {300U, 3U}}) {
    const std::vector<std::byte> grey = bytes(pixels(1, height, width));
    const std::vector<std::byte> png = encode_png(grey, width, height);
    EXPECT_EQ(png, encode_png(grey, width, height)) << "the same pixels, other bytes";

    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    ASSERT_NE(png_image_begin_read_from_memory(&image, png.data(), png.size()), 0);
    EXPECT_EQ(image.width, width);
    EXPECT_EQ(image.height, height);
    EXPECT_EQ(image.format, static_cast<png_uint_32>(PNG_FORMAT_GRAY));
    std::vector<std::byte> decoded(PNG_IMAGE_SIZE(image));
    ASSERT_NE(png_image_finish_read(&image, nullptr, decoded.data(), 0, nullptr), 0);
    EXPECT_EQ(decoded, grey);
  }
}

TEST(Png, RefusesPixelsOfAnotherSize) {
  const std::vector<std::byte> grey(27);
  EXPECT_EQ(error_of([&] { (void)encode_png(grey, 28, 1); }).code(), ErrorCode::internal);
}

}  // namespace
}  // namespace faro::pack::test
