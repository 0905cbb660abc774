// Rounding to bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "transform/sampling.hpp"

namespace faro::transform::test {
namespace {

TEST(Numbers, BytesAreRoundedAndHeldInRange) {
  for (int i = -400; i < 1200; ++i) {
    const float value = static_cast<float>(i) / 4;
    const double expected = std::clamp(std::nearbyint(static_cast<double>(value)), 0.0, 255.0);
    EXPECT_EQ(to_u8(value), expected) << value;
  }
  EXPECT_EQ(to_u8(std::nanf("")), 0);
  EXPECT_EQ(to_u8(std::numeric_limits<float>::infinity()), 255);
}

}  // namespace
}  // namespace faro::transform::test
