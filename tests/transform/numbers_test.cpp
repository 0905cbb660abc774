// Rounding to the small float types, against a search over all of their values.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "transform/sampling.hpp"

namespace faro::transform::test {
namespace {

/// All finite values that are not negative, in order: index = bits.
template <class From>
std::vector<double> values_of(std::uint16_t infinity, From from) {
  std::vector<double> values;
  for (std::uint16_t bits = 0; bits < infinity; ++bits) values.push_back(from(bits));
  return values;
}

/// The bits of the nearest value, ties to even; beyond the last by half a step, infinity.
std::uint16_t nearest(const std::vector<double>& values, float given) {
  const double size = std::fabs(static_cast<double>(given));
  const auto sign = static_cast<std::uint16_t>(std::signbit(given) ? 0x8000 : 0);
  const double step = values.back() - values[values.size() - 2];
  if (size >= values.back() + step / 2) {
    return static_cast<std::uint16_t>(sign | values.size());
  }
  const auto above = static_cast<std::size_t>(std::lower_bound(values.begin(), values.end(), size) -
                                              values.begin());
  if (above == values.size()) return static_cast<std::uint16_t>(sign | (above - 1));
  if (above == 0 || values[above] == size) return static_cast<std::uint16_t>(sign | above);
  const double up = values[above] - size;
  const double down = size - values[above - 1];
  const bool take_up = up < down || (up == down && above % 2 == 0);
  return static_cast<std::uint16_t>(sign | (take_up ? above : above - 1));
}

/// Every kind of float: all exponents, and what lies around each value of the small type.
std::vector<float> samples(const std::vector<double>& values) {
  std::vector<float> out{0.0F,
                         -0.0F,
                         std::numeric_limits<float>::infinity(),
                         -std::numeric_limits<float>::infinity(),
                         std::numeric_limits<float>::denorm_min(),
                         std::numeric_limits<float>::max()};
  std::mt19937 random(1);
  for (int i = 0; i < 200'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isnan(value)) out.push_back(value);
  }
  for (std::size_t i = 0; i + 1 < values.size(); ++i) {
    const auto middle = static_cast<float>((values[i] + values[i + 1]) / 2);
    for (const float value : {static_cast<float>(values[i]), middle, std::nextafter(middle, 0.0F),
                              std::nextafter(middle, 1e38F)}) {
      out.push_back(value);
      out.push_back(-value);
    }
  }
  return out;
}

TEST(Numbers, F16RoundsToNearestEven) {
  const auto values = values_of(0x7c00, from_f16);
  EXPECT_EQ(values.back(), 65504.0);
  EXPECT_EQ(values[1], 0x1p-24);
  for (const float value : samples(values)) {
    ASSERT_EQ(to_f16(value), nearest(values, value)) << value;
  }
  EXPECT_TRUE(std::isnan(from_f16(to_f16(std::nanf("")))));
  EXPECT_EQ(from_f16(0xfc00), -std::numeric_limits<float>::infinity());
}

TEST(Numbers, Bf16RoundsToNearestEven) {
  const auto values = values_of(0x7f80, from_bf16);
  for (const float value : samples(values)) {
    ASSERT_EQ(to_bf16(value), nearest(values, value)) << value;
  }
  EXPECT_TRUE(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0x7f800001)))));
}

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
