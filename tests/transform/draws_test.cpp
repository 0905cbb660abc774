// The draws: the generator's published vectors, and the distributions of what is made of it.
#include "transform/draws.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace faro::transform::test {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Random123, examples/kat_vectors: philox4x32 10.
static_assert(philox({0, 0, 0, 0}, {0, 0}) ==
              Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
static_assert(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
              Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
static_assert(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
              Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});

TEST(Draws, ExponentialAndRootAreRight) {
  for (int i = -5000; i <= 5000; ++i) {
    const double x = i / 1000.0;
    EXPECT_NEAR(exponential(x) / std::exp(x), 1, 1e-12) << x;
  }
  for (std::uint64_t n = 0; n < 100'000; ++n) {
    ASSERT_EQ(nearest_root(n), static_cast<std::uint64_t>(std::llround(std::sqrt(n)))) << n;
  }
  EXPECT_EQ(nearest_root(std::uint64_t{65'535} * 65'535), 65'535U);
}

TEST(Draws, CropsLieInTheImageAndHaveTheirAreaAndRatio) {
  const CropRange range{0.08, 1.0, std::log(3.0 / 4), std::log(4.0 / 3), 3.0 / 4, 4.0 / 3};
  double area = 0;
  double logarithm = 0;
  int fitting = 0;
  constexpr int count = 20'000;
  for (std::uint64_t sample = 0; sample < count; ++sample) {
    const auto part = random_part(1000, 1000, range, {7, sample});
    ASSERT_GE(part.height, 1U);
    ASSERT_LE(part.top + part.height, 1000U);
    ASSERT_LE(part.left + part.width, 1000U);
    const double of = part.height * part.width / 1e6;
    const double ratio = static_cast<double>(part.width) / part.height;
    ASSERT_GT(of, 0.079);
    ASSERT_GT(ratio, 0.74);
    ASSERT_LT(ratio, 1.35);
    if (of > 0.7) continue;  // what is larger does not always fit, and is drawn again
    area += of;
    logarithm += std::log(ratio);
    ++fitting;
  }
  EXPECT_NEAR(area / fitting, 0.39, 0.006);  // uniform from 0.08 to 0.7
  EXPECT_NEAR(logarithm / fitting, 0, 0.005);
}

TEST(Draws, ACropThatNeverFitsIsTheCentre) {
  const CropRange range{1, 1, std::log(1.0), std::log(1.0), 1, 1};
  const auto part = random_part(10, 1000, range, {1, 1});
  EXPECT_EQ(part.height, 10U);
  EXPECT_EQ(part.width, 10U);
  EXPECT_EQ(part.left, 495U);
  const auto flat = random_part(1000, 10, range, {1, 1});
  EXPECT_EQ(flat.height, 10U);
  EXPECT_EQ(flat.top, 495U);
}

TEST(Draws, FlipsAreAsLikelyAsAskedFor) {
  for (const double probability : {0.0, 0.25, 1.0}) {
    int flips = 0;
    for (std::uint64_t sample = 0; sample < 10'000; ++sample) {
      flips += draw_flip(probability, {3, sample}) ? 1 : 0;
    }
    EXPECT_NEAR(flips / 10'000.0, probability, 0.015);
  }
}

TEST(Draws, DependOnKeySampleAndPurpose) {
  const Draws draws{0x123456789abcdef0, 0x1122334455667788};
  const auto words = draws.words(Purpose::crop, 0);
  EXPECT_NE(words, draws.words(Purpose::flip, 0));
  EXPECT_NE(words, draws.words(Purpose::crop, 1));
  EXPECT_NE(words, (Draws{draws.key ^ (1ULL << 40), draws.sample}.words(Purpose::crop, 0)));
  EXPECT_NE(words, (Draws{draws.key, draws.sample ^ (1ULL << 40)}.words(Purpose::crop, 0)));
}

}  // namespace
}  // namespace faro::transform::test
