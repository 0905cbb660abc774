// Each step against a slow and plain computation of the same.
#include <cmath>
#include <limits>

#include "base/half.hpp"
#include "support.hpp"

namespace faro::test {
namespace {

using transform::Draws;

TensorSpec raw(std::vector<std::uint64_t> shape, Type type) {
  TensorSpec spec;
  spec.name = "x";
  spec.field = "data";
  spec.decode = Decode::raw;
  spec.shape = std::move(shape);
  spec.type = type;
  return spec;
}

unsigned at(const std::string& text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

TEST(Steps, APngIsItsPixels) {
  for (const auto& [h, w] : {std::pair{28U, 28U}, {1U, 1U}, {3U, 301U}}) {
    const auto image = pixels(h, h, w);
    const auto out = run<float>(grey(h, w), grey_png(image, h, w));
    ASSERT_EQ(out.size(), image.size());
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], at(image, i));
  }
}

TEST(Steps, GreyIsRepeatedForThreeChannels) {
  const auto image = pixels(1, 4, 5);
  auto spec = grey(4, 5);
  spec.channels = 3;
  spec.type = Type::u8;
  const auto nhwc = run<std::uint8_t>(spec, grey_png(image, 4, 5));
  spec.layout = Layout::nchw;
  const auto nchw = run<std::uint8_t>(spec, grey_png(image, 4, 5));
  for (std::size_t i = 0; i < 20; ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_EQ(nhwc[i * 3 + c], at(image, i));
      EXPECT_EQ(nchw[c * 20 + i], at(image, i));
    }
  }
}

TEST(Steps, NormaliseIsTwoRoundedOperations) {
  const auto image = pixels(2, 6, 7, 3);
  auto spec = raw({6, 7, 3}, Type::f32);
  const std::vector<double> mean{0.485, 0.456, 0.406};
  const std::vector<double> std{0.229, 0.224, 0.225};
  spec.steps = {Normalise{mean, std, {}}};
  for (const auto layout : {Layout::nhwc, Layout::nchw}) {
    spec.layout = layout;
    const auto out = run<float>(spec, image);
    for (std::size_t i = 0; i < 42; ++i) {
      for (std::size_t c = 0; c < 3; ++c) {
        const volatile float a = static_cast<float>(1.0 / 255 / std[c]);
        const volatile float product = static_cast<float>(at(image, i * 3 + c)) * a;
        const float expected = product + static_cast<float>(-mean[c] / std[c]);
        ASSERT_EQ(out[layout == Layout::nhwc ? i * 3 + c : c * 42 + i], expected);
        ASSERT_NEAR(expected, (at(image, i * 3 + c) / 255.0 - mean[c]) / std[c], 1e-5);
      }
    }
  }
}

/// The whole of RandomResizedCrop, flip and normalise in doubles, with no tables and no fixed
/// point.
TEST(Steps, CropFlipAndNormaliseAreThoseOfAPlainComputation) {
  constexpr std::uint32_t h = 45;
  constexpr std::uint32_t w = 61;
  const auto image = pixels(3, h, w, 3);
  auto spec = raw({h, w, 3}, Type::f32);
  spec.layout = Layout::nchw;
  spec.steps = {RandomResizedCrop{20, 24}, HorizontalFlip{0.5}, Normalise{{0.5}, {0.25}, {}}};
  const transform::CropRange range{0.08, 1, std::log(3.0 / 4), std::log(4.0 / 3), 3.0 / 4, 4.0 / 3};
  int flipped = 0;
  for (std::uint64_t sample = 0; sample < 200; ++sample) {
    const Draws draws{99, sample};
    const auto out = run<float>(spec, image, draws);
    const auto part = transform::random_part(h, w, range, draws);
    const bool flip = transform::draw_flip(0.5, draws);
    flipped += flip ? 1 : 0;
    for (std::uint32_t c = 0; c < 3; ++c) {
      for (std::uint32_t y = 0; y < 20; ++y) {
        for (std::uint32_t x = 0; x < 24; ++x) {
          const auto place = [](double out_at, double outs, double size) {
            return std::min(std::max((out_at + 0.5) * size / outs - 0.5, 0.0), size - 1);
          };
          const double sy = place(y, 20, part.height);
          const double sx = place(flip ? 23 - x : x, 24, part.width);
          const auto y0 = static_cast<std::uint32_t>(sy);
          const auto x0 = static_cast<std::uint32_t>(sx);
          const auto y1 = std::min(y0 + 1, part.height - 1);
          const auto x1 = std::min(x0 + 1, part.width - 1);
          const auto pixel = [&](std::uint32_t py, std::uint32_t px) {
            return static_cast<double>(
                at(image, (std::size_t{part.top + py} * w + part.left + px) * 3 + c));
          };
          const double fy = sy - y0;
          const double fx = sx - x0;
          const double value = (pixel(y0, x0) * (1 - fx) + pixel(y0, x1) * fx) * (1 - fy) +
                               (pixel(y1, x0) * (1 - fx) + pixel(y1, x1) * fx) * fy;
          // Weights of 11 bits: a quarter of a grey level at most, of 255, over std.
          ASSERT_NEAR(out[(c * 20 + y) * 24 + x], (value / 255 - 0.5) / 0.25, 0.3 / 255 / 0.25)
              << sample << ' ' << c << ' ' << y << ' ' << x;
        }
      }
    }
  }
  EXPECT_GT(flipped, 70);
  EXPECT_LT(flipped, 130);
}

TEST(Steps, ACentreCropIsTheMiddle) {
  const auto image = pixels(4, 9, 13);
  auto spec = grey(9, 13);
  spec.type = Type::u8;
  spec.steps = {CentreCrop{5, 4}};
  const auto out = run<std::uint8_t>(spec, grey_png(image, 9, 13));
  for (std::size_t y = 0; y < 5; ++y) {
    for (std::size_t x = 0; x < 4; ++x) {
      EXPECT_EQ(out[y * 4 + x], at(image, (y + 2) * 13 + x + 4));
    }
  }
  spec.steps = {CentreCrop{10, 4}};
  EXPECT_SAYS(error_of([&] { run<std::uint8_t>(spec, grey_png(image, 9, 13)); }, ErrorCode::format),
              "an image side of 9 pixels, and centre_crop takes 10");
}

TEST(Steps, AResizedCentreCropAsLargeAsTheImageIsTheImage) {
  const auto image = pixels(5, 8, 8);
  auto spec = grey(8, 8);
  spec.type = Type::u8;
  const auto whole = run<std::uint8_t>(spec, grey_png(image, 8, 8));
  spec.steps = {CentreCrop{8, 8, 8}};
  EXPECT_EQ(run<std::uint8_t>(spec, grey_png(image, 8, 8)), whole);
  spec.steps = {Resize{8, 8}};
  EXPECT_EQ(run<std::uint8_t>(spec, grey_png(image, 8, 8)), whole);
  spec.steps = {CentreCrop{4, 4, 4}};  // halved: each pixel the mean of four
  const auto half = run<std::uint8_t>(spec, grey_png(image, 8, 8));
  for (std::size_t y = 0; y < 4; ++y) {
    for (std::size_t x = 0; x < 4; ++x) {
      const auto sum = at(image, 2 * y * 8 + 2 * x) + at(image, 2 * y * 8 + 2 * x + 1) +
                       at(image, (2 * y + 1) * 8 + 2 * x) + at(image, (2 * y + 1) * 8 + 2 * x + 1);
      EXPECT_EQ(half[y * 4 + x], std::nearbyint(sum / 4.0));
    }
  }
}

TEST(Steps, EveryTypeIsTheRoundedFloat) {
  const auto image = pixels(6, 5, 5);
  auto spec = grey(5, 5);
  spec.steps = {Normalise{{0.3}, {0.7}, {}}};
  const auto png = grey_png(image, 5, 5);
  const auto f32 = run<float>(spec, png);
  spec.type = Type::f16;
  const auto f16 = run<std::uint16_t>(spec, png);
  spec.type = Type::bf16;
  const auto bf16 = run<std::uint16_t>(spec, png);
  spec.type = Type::u8;
  spec.steps = {Normalise{{-0.5}, {0.01}, {}}};
  const auto u8 = run<std::uint8_t>(spec, png);
  for (std::size_t i = 0; i < 25; ++i) {
    EXPECT_EQ(f16[i], f32_to_f16(f32[i]));
    EXPECT_EQ(bf16[i], f32_to_bf16(f32[i]));
    EXPECT_EQ(u8[i], std::clamp(std::nearbyint((at(image, i) / 255.0 + 0.5) * 100), 0.0, 255.0));
  }
  spec.steps = {};
  spec.type = Type::i64;  // a mask of class numbers
  const auto i64 = run<std::int64_t>(spec, png);
  for (std::size_t i = 0; i < 25; ++i) EXPECT_EQ(i64[i], at(image, i));
}

TEST(Steps, RawElementsAreConvertedAndLaidOut) {
  const std::vector<std::int16_t> stored{-3, 7, 300, 32767, -32768, 0, 1, 2, 3, 4, 5, 6};
  const std::string_view bytes(reinterpret_cast<const char*>(stored.data()), 24);
  auto spec = raw({2, 3, 2}, Type::f32);
  spec.stored = Type::i16;
  spec.layout = Layout::nchw;
  const auto f32 = run<float>(spec, bytes);
  spec.type = Type::i64;
  const auto i64 = run<std::int64_t>(spec, bytes);
  spec.type = Type::i16;
  const auto i16 = run<std::int16_t>(spec, bytes);
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t c = 0; c < 2; ++c) {
      EXPECT_EQ(f32[c * 6 + i], stored[i * 2 + c]);
      EXPECT_EQ(i64[c * 6 + i], stored[i * 2 + c]);
      EXPECT_EQ(i16[c * 6 + i], stored[i * 2 + c]);
    }
  }
  spec.type = Type::i32;
  EXPECT_SAYS(error_of([&] { run<std::int32_t>(spec, bytes); }, ErrorCode::invalid_argument),
              "type i32 is for what is stored so");
  spec.type = Type::f32;
  EXPECT_SAYS(error_of([&] { run<float>(spec, bytes.substr(1)); }, ErrorCode::format),
              "23 bytes, and 2 x 3 x 2 of i16 are 24");
}

TEST(Steps, LargeIntegersStayExact) {
  const std::vector<std::int64_t> stored{INT64_MAX, INT64_MIN, (1LL << 53) + 1};
  auto spec = raw({3}, Type::i64);
  spec.stored = Type::i64;
  EXPECT_EQ(run<std::int64_t>(spec, {reinterpret_cast<const char*>(stored.data()), 24}), stored);
}

TEST(Steps, LabelsAreTextOrBytes) {
  TensorSpec spec;
  spec.name = "label";
  spec.field = "cls";
  spec.decode = Decode::label;
  spec.classes = 10;
  EXPECT_EQ(run<std::int64_t>(spec, "7\n")[0], 7);
  EXPECT_EQ(run<std::int64_t>(spec, " 0 ")[0], 0);
  for (const auto* wrong : {"", "\n", "7x", "1 2", "0x1", "99999999999999999999", "1.0"}) {
    EXPECT_SAYS(error_of([&] { run<std::int64_t>(spec, wrong); }, ErrorCode::format),
                "no whole number");
  }
  for (const auto* wrong : {"10", "-1"}) {
    EXPECT_SAYS(error_of([&] { run<std::int64_t>(spec, wrong); }, ErrorCode::format),
                "is out of range: it must be from 0 to 9");
  }
  spec.stored = Type::u16;
  EXPECT_EQ(run<std::int64_t>(spec, std::string_view("\x09\x00", 2))[0], 9);
  EXPECT_SAYS(error_of([&] { run<std::int64_t>(spec, std::string_view("\x09\x01", 2)); },
                       ErrorCode::format),
              "label 265 is out of range");
  EXPECT_SAYS(error_of([&] { run<std::int64_t>(spec, "9"); }, ErrorCode::format),
              "a label of 1 bytes, where u16 has 2");
}

TEST(Steps, APngOfAnotherSizeOrCutShortIsAnError) {
  const auto png = grey_png(pixels(7, 28, 28), 28, 28);
  EXPECT_SAYS(error_of([&] { run<float>(grey(28, 27), png); }, ErrorCode::format),
              "an image of 28 x 28 pixels, and the tensor's shape is 28 x 27");
  for (std::size_t length = 0; length < png.size(); ++length) {
    error_of([&] { run<float>(grey(28, 28), png.substr(0, length)); }, ErrorCode::format);
  }
  // Any damaged byte is either found by a checksum or lies in one that is not looked at.
  const auto right = run<float>(grey(28, 28), png);
  for (std::size_t i = 0; i < png.size(); ++i) {
    auto damaged = png;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    try {
      EXPECT_EQ(run<float>(grey(28, 28), damaged), right) << "a wrong tensor, byte " << i;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::format);
    }
  }
}

TEST(Steps, HugeDimensionsAreRefusedBeforeMemoryIsTaken) {
  const transform::Program program(grey(28, 28), 1000);
  transform::Scratch scratch;
  std::vector<std::byte> out(program.bytes());
  const auto png = grey_png(pixels(7, 40, 40), 40, 40);
  EXPECT_SAYS(
      error_of([&] { program.run(as_bytes(png), {}, scratch, out.data()); }, ErrorCode::format),
      "an image of 40 x 40 pixels: sides up to 65535 and 1000 pixels in all are taken");
  EXPECT_EQ(scratch.pixels.capacity(), 0U);
}

}  // namespace
}  // namespace faro::test
